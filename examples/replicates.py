"""Train replicates of one model side by side: how much do initial weights matter?

python examples/replicates.py          # about a minute
python examples/replicates.py --quick  # a few seconds, to see that it runs
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from agents import point_mass_nn_simple_reaches
from fbx_env import plot


def main() -> None:
    parser = argparse.ArgumentParser(description="Train five models that begin differently.")
    parser.add_argument("--quick", action="store_true", help="only a few updates")
    parser.add_argument("--out", type=Path, default=Path("replicates.png"), help="the picture")
    arguments = parser.parse_args()

    context = point_mass_nn_simple_reaches(n_replicates=5, key=jax.random.key(0))
    models, history = context.train(
        n_batches=10 if arguments.quick else 2000, log_step=500, key=jax.random.key(1)
    )
    metrics = context.task.evaluate_replicates(models, key=jax.random.key(2))
    ratios = np.array([each["ratio_to_optimum"] for each in metrics["replicates"]])
    print(f"Times the optimum: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    print(f"Mean {ratios.mean():.3f}, standard deviation {ratios.std(ddof=1):.3f}")
    figure, _ = plot.loss_history(history)
    figure.savefig(arguments.out, dpi=130)


if __name__ == "__main__":
    main()
