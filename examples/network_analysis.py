"""Train two networks on delayed reaches, and take them apart: tuning, dynamics, decoding.

python examples/network_analysis.py          # some minutes on two cores
python examples/network_analysis.py --quick  # a few updates, to see that it runs

What needs the network itself is in `agents.analysis`. What needs only its activity is left to
libraries for that: here scikit-learn decodes the goal, and compares the two networks.
`pip install scikit-learn`
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

from agents import pairing
from agents.analysis import dimensionality, fixed_points, linearise, subspace_angles, tuning
from fbx_env import plot, tree_take

N_TRIALS = 64
"""Drawn from the task, to decode from; the analysis by direction has the validation trials."""


def decoded_share(activity: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """How much of the variance of goals a linear map of the activity explains at each step.

    Args:
        activity: ``(trials, steps, units)``.
        goal: ``(trials, 2)``.
    """
    steps = activity.swapaxes(0, 1)
    return np.array([cross_val_score(Ridge(1e-3), step, goal, cv=8).mean() for step in steps])


def main() -> None:
    parser = argparse.ArgumentParser(description="Take two networks apart.")
    parser.add_argument("--quick", action="store_true", help="a few updates")
    settings = {"n_batches": 3, "batch_size": 4} if parser.parse_args().quick else {}

    keys = jax.random.split(jax.random.key(0), 5)
    context = pairing("PointMassDelayedReach-v0", n_replicates=2, key=keys[0])
    models, _ = context.train(key=keys[1], **settings)
    task, params = context.task, context.task.params
    model = tree_take(models, 0)

    reaches = task.eval(model, key=keys[2])
    tuned = tuning(reaches, params, ["target_on", "movement"])
    print("explained by direction (median of units)")
    print(tuned.groupby("epoch", sort=False).explained.median().to_string())
    plot.tuning_by_epoch(tuned)[0].savefig("tuning.png")

    epochs = ["target_on", "movement"]
    dimensions, angles = (of(reaches, params, epochs) for of in (dimensionality, subspace_angles))
    print("participation ratio")
    print(dimensions.groupby("epoch", sort=False).participation_ratio.first().to_string())
    plot.subspaces(dimensions, angles)[0].savefig("subspaces.png")

    points = fixed_points(model, params, reaches, n_starts=10, key=keys[3])
    print(f"{points.is_fixed.sum()} fixed points, of which {points.is_stable.sum()} are stable")
    plot.fixed_points(points, reaches)[0].savefig("fixed_points.png")

    linear = linearise(model, params, reaches.trial)
    for name, spectrum in (("network", linear.network), ("closed loop", linear.closed_loop)):
        rate = spectrum.decay_rates[:, -1, 0].mean()
        print(f"slowest decay at the end, {name}: {rate:.2f} /s")
    plot.eigenvalues(linear.frame())[0].savefig("eigenvalues.png")

    trials = jax.vmap(params.task.sample)(jax.random.split(keys[4], N_TRIALS))
    trials = trials.replace(is_catch=jnp.zeros_like(trials.is_catch))
    both = [task.eval(tree_take(models, index), key=keys[2], trials=trials) for index in range(2)]
    activity = [np.asarray(each.activity, float) for each in both]

    # Waits differ between trials, and time counts from when the target is shown.
    shown = np.asarray(both[0].epoch == 0).sum(axis=1)
    around = np.arange(-4, 40)
    aligned = activity[0][np.arange(N_TRIALS)[:, None], shown[:, None] + around]
    figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
    ax.plot(around * float(params.dt), decoded_share(aligned, np.asarray(trials.goal, float)))
    ax.axvline(0, color="0.6", lw=1)
    ax.set(xlabel="Time since the target is shown [s]", ylabel="Variance of the goal explained")
    ax.set_ylim(-0.5, 1.05)
    figure.savefig("decoding.png")

    # The networks' activity in half of the trials says how to compare them in the other half.
    parts = [PCA(8).fit_transform(each.reshape(-1, each.shape[-1])[::10]) for each in activity]
    half = len(parts[0]) // 2
    common = CCA(3, max_iter=5000).fit(*(part[:half] for part in parts))
    shared = common.transform(*(part[half:] for part in parts))
    pairs = zip(*(each.T for each in shared), strict=True)
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairs]
    print(f"canonical correlations of the two networks: {np.round(correlations, 3)}")


if __name__ == "__main__":
    main()
