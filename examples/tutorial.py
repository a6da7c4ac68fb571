"""Train a ready-made model, look at its reaches and into its network, save it; then train five.

python examples/tutorial.py          # some minutes on two cores
python examples/tutorial.py --quick  # much less training, to see that it runs
"""

import argparse
from pathlib import Path

import jax
import matplotlib.pyplot as plt

from agents import point_mass_nn_simple_reaches
from fbx_env import plot, tree_take


def main() -> None:
    parser = argparse.ArgumentParser(description="The tutorial from beginning to end.")
    parser.add_argument("--quick", action="store_true", help="much less training")
    parser.add_argument("--out", type=Path, default=Path("tutorial"), help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    n_batches, batch_size = (10, 8) if arguments.quick else (2000, 250)

    def save(figure: plt.Figure, name: str) -> None:
        figure.savefig(arguments.out / name, dpi=130)
        plt.close(figure)

    context = point_mass_nn_simple_reaches(key=jax.random.key(0))
    model, history = context.train(
        n_batches=n_batches, batch_size=batch_size, key=jax.random.key(1)
    )
    save(plot.loss_history(history)[0], "loss_history.png")

    task = context.task
    reaches = task.eval(model, key=jax.random.key(2))
    save(plot.effector_trajectories(reaches)[0], "reaches.png")
    before = task.eval(context.model, key=jax.random.key(2))
    save(plot.effector_trajectories(before)[0], "reaches_untrained.png")
    metrics, _ = task.evaluate(model, key=jax.random.key(2))
    print(f"{metrics['ratio_to_optimum']:.3f} times the optimum")
    context.save(arguments.out / "model", model, history)

    context = point_mass_nn_simple_reaches(n_replicates=5, key=jax.random.key(0))
    models, history = context.train(
        n_batches=n_batches // 2, batch_size=batch_size, log_step=100, key=jax.random.key(1)
    )
    save(plot.loss_history(history)[0], "loss_history_replicates.png")
    reaches = task.eval(tree_take(models, 0), key=jax.random.key(2))
    save(plot.effector_trajectories(reaches)[0], "reaches_replicate.png")

    save(plot.activity_heatmap(tree_take(reaches, 0))[0], "activity_heatmap.png")
    figure, _ = plot.activity_sample_units(reaches, 4, key=jax.random.key(3))
    save(figure, "sampled_units.png")
    print(f"The pictures and the model are in {arguments.out}.")


if __name__ == "__main__":
    main()
