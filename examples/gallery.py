"""Draw a picture of each body and each task, with the optimal controller where it is known.

python examples/gallery.py          # half a minute
python examples/gallery.py --quick  # the same: nothing is trained
"""

import argparse

import gymnasium
import jax
import matplotlib.pyplot as plt

import fbx_env
from agents import OptimalPolicy
from fbx_env import ForcePulse, plot, rollout, tree_take

BODIES = {
    "PointMass": "two forces",
    "MusclePointMass": "four muscles",
    "TwoLinkArm": "two torques",
    "MuscleArm": "six muscles",
}
PUSH = ForcePulse((3.0, 0.0), onset=1.0, duration=0.2)
TASKS: dict[str, tuple[str, dict]] = {
    "Reach": ("Reach (dotted: the target)", {}),
    "DelayedReach": ("DelayedReach: a go after a wait", {}),
    "Hold": ("Hold: a known push at 1 s", {"loads": (PUSH,)}),
    "Track": ("Track: a moving target", {}),
}


def draw_body(ax: plt.Axes, body: str) -> None:
    """One frame of a body at the start of a trial."""
    env = gymnasium.make(f"fbx_env:{body}Reach-v0", render_mode="rgb_array")
    env.reset(seed=3)
    ax.imshow(env.render())
    ax.set_title(f"{body}: {BODIES[body]}", fontsize=10)
    ax.axis("off")
    env.close()


def draw_task(ax: plt.Axes, task: str) -> None:
    """Effector and target over time, on the validation trials of a task."""
    env, params = fbx_env.make(f"PointMass{task}-v0", **TASKS[task][1])
    trials = params.task.validation_trials()
    for index in range(len(trials.start)):
        trial = tree_take(trials, index)
        policy = OptimalPolicy(params, trial=trial)
        reach = rollout(env, params, policy, trial, jax.random.key(0))
        color = plt.get_cmap("viridis")(index / len(trials.start))
        ax.plot(reach.time, 100 * (reach.pos - trial.start)[:, 0], color=color)
        ax.plot(
            reach.time[1:], 100 * (reach.target.pos - trial.start)[:, 0], ":", color="0.5", lw=1
        )
    ax.set_title(TASKS[task][0], fontsize=10)
    ax.set(xlabel="Time [s]", ylabel="x from the start [cm]")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw each body and each task.")
    parser.add_argument("--quick", action="store_true", help="the same")
    parser.parse_args()
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.2), layout="constrained")
    for ax, body in zip(axes[0], BODIES, strict=True):
        draw_body(ax, body)
    for ax, task in zip(axes[1], TASKS, strict=True):
        draw_task(ax, task)
    plot.save_figure(figure, "gallery.png", dpi=90)
    print("The picture is gallery.png.")


if __name__ == "__main__":
    main()
