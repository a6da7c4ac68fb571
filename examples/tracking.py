"""Track a target with and without a preview of its way, beside the optimum.

python examples/tracking.py          # some minutes on two cores
python examples/tracking.py --quick  # a few updates, to see that it runs
"""

import argparse

import jax

from agents import pairing
from fbx_env import measure, plot

PREVIEW = (0.2, 0.4)
"""How much later the places are that the network is shown [s]."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train networks to follow a target.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    settings = {"n_batches": 3, "batch_size": 4} if parser.parse_args().quick else {}

    keys = jax.random.split(jax.random.key(0), 3)
    for name, preview in {"without": None, "with": PREVIEW}.items():
        context = pairing("PointMassTrack-v0", preview=preview, key=keys[0])
        model, _ = context.train(key=keys[1], **settings)
        metrics, tracked = context.task.evaluate(model, key=keys[2])
        frame = measure(tracked, context.task.params)
        print(
            f"{name} preview: {metrics['ratio_to_optimum']:.3f} times the optimum, "
            f"{1e3 * frame.tracking_error.mean():.1f} mm from the target, "
            f"{1e3 * frame.tracking_lag.mean():.0f} ms behind it"
        )
        figure, _ = plot.aligned_time_courses(tracked, context.task.params)
        figure.savefig(f"tracking_{name}_preview.png")
    few = jax.tree.map(lambda leaf: leaf[1:5], tracked)
    plot.position_and_target(few)[0].savefig("tracking.png")


if __name__ == "__main__":
    main()
