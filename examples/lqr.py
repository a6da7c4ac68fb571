"""Solve the linear-quadratic regulator by hand, from the matrices of the environment's own step.

Riccati's recursion in a dozen lines of NumPy finds the gains and the loss of ``OptimalPolicy``,
here of a reach in a force field whose commands arrive a step late.

python examples/lqr.py          # some seconds
python examples/lqr.py --quick  # accepted like in the other examples
"""

import argparse

import jax
import matplotlib.pyplot as plt
import numpy as np

import fbx_env
from agents import (
    LinearQuadraticMatrices,
    OptimalPolicy,
    linear_quadratic_matrices,
    optimal_loss,
)
from fbx_env import CurlField, plot


def riccati(problem: LinearQuadraticMatrices) -> tuple[np.ndarray, float]:
    """The gains at each step, for the state with a 1 after it, and the least loss.

    The 1 makes what is affine linear, and the linear costs quadratic.
    """
    n_steps, n_states, n_controls = problem.B.shape
    cost = np.zeros((n_states + 1, n_states + 1))
    gains = np.zeros((n_steps, n_controls, n_states + 1))
    for t in reversed(range(n_steps)):
        drift, q, r = problem.drift[t, :, None], problem.q[t, :, None], problem.r[t, None]
        A = np.block([[problem.A[t], drift], [np.zeros(n_states), 1.0]])
        B = np.vstack([problem.B[t], np.zeros(n_controls)])
        Q = np.block([[problem.Q[t], q / 2], [q.T / 2, problem.constant[t]]])
        N = np.vstack([problem.N[t], r / 2])
        gains[t] = np.linalg.solve(problem.R[t] + B.T @ cost @ B, B.T @ cost @ A + N.T)
        cost = Q + A.T @ cost @ A - (A.T @ cost @ B + N) @ gains[t]
    start = np.append(problem.initial_state, 1.0)
    return gains, start @ cost @ start


def main() -> None:
    parser = argparse.ArgumentParser(description="Solve a linear-quadratic regulator by hand.")
    parser.add_argument("--quick", action="store_true", help="accepted like in the other examples")
    parser.parse_args()

    env, params = fbx_env.make(motor_delay=1, loads=(CurlField(1.0),))
    trial = fbx_env.tree_take(params.task.validation_trials(), 0)
    problem = linear_quadratic_matrices(params, trial)
    gains, loss = riccati(problem)

    optimum = optimal_loss(params, trial).total
    policy = OptimalPolicy(params, trial=trial)
    difference = np.abs(gains[..., :-1] - np.asarray(policy.regulator_gains)).max()
    print(f"loss {loss:.12e}, of optimal_loss {optimum:.12e}")
    share = difference / np.abs(gains).max()
    print(f"gains as of OptimalPolicy, which is in float32, to {share:.0e} of the largest")
    reach = fbx_env.rollout(env, params, policy, trial, jax.random.key(0))
    print(f"OptimalPolicy reaches {-reach.reward.sum():.6e}")

    # The field couples the axes, so each velocity has a gain on both forces.
    figure, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    colors = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7")
    states = problem.states[: problem.n_regulated]  # What is only observed has no gain.
    for name, gain, color in zip(states, gains[:, 0, : len(states)].T, colors, strict=True):
        ax.plot(reach.time[:-1], gain, color=color, label=name)
    ax.set(xlabel="Time [s]", ylabel="Gain of force x [N per unit of state]")
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    plot.save_figure(figure, "lqr.png", dpi=130)
    print("The picture is lqr.png.")


if __name__ == "__main__":
    main()
