"""The exact optimum: a noise-free reach is a finite-horizon linear-quadratic problem."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fbx_env import (
    CommandCost,
    FinalVelocityCost,
    PointMass,
    PositionCost,
    ReachParams,
    SimpleReaches,
    Trial,
)


class OptimalReaches(NamedTuple):
    """What no agent can do better, without noise.

    Attributes:
        losses: mean over trials of the weighted loss, by term.
        total: their sum.
        peak_force: the largest force along an axis in any trial [N].
    """

    losses: dict[str, float]
    total: float
    peak_force: float


def optimal_reaches(params: ReachParams, trials: Trial) -> OptimalReaches:
    """The least loss any agent can reach on these trials, by term.

    Along each axis the error of position, the velocity and the commands under way obey a linear
    difference equation, and the loss is quadratic in them and the command. The backward Riccati
    recursion (Bertsekas, Dynamic Programming and Optimal Control, vol. 1, section 4.1) gives the
    best command at each step; playing it forward gives the losses. Computed in float64.

    Args:
        params: a noise-free point mass with the three terms of the original loss; any mass,
            damping, time step, horizon, weights and motor delay. The sensory delay does not matter:
            without noise everything follows from the start.
        trials: one trial or several along a leading axis.

    Raises:
        ValueError: if the optimum is not exactly known: with motor noise, another plant, task or
            term of the loss, or if the force limit would be reached.

    Example:
        >>> params = ReachParams()
        >>> optimum = optimal_reaches(params, params.task.validation_trials())
        >>> f"{optimum.total:.6e}"
        '1.374965e-04'
    """
    _check_is_linear_quadratic(params)
    n_steps, delay = params.max_steps_in_episode, params.motor.delay
    plant: Any = params.plant
    mass, damping, dt = exact(plant.mass), exact(plant.damping), exact(params.dt)
    weights = {term.name: exact(term.weight) for term in params.loss}
    # Missing terms cost nothing; without a command cost the recursion would be singular.
    position_term = next((term for term in params.loss if isinstance(term, PositionCost)), None)
    exponent = 0.0 if position_term is None else exact(position_term.exponent)

    # State along one axis: error of position, velocity, then the commands under way, oldest first.
    size = 2 + delay
    a, b = np.zeros((size, size)), np.zeros(size)
    a[0, :2] = 1.0, dt
    a[1, 1] = 1.0 - dt * damping / mass
    if delay:
        a[1, 2] = dt / mass
        a[2:-1, 3:] = np.eye(delay - 1)
        b[-1] = 1.0
    else:
        b[1] = dt / mass

    time_weights = weights.get("position", 0.0) * ((1 + np.arange(n_steps)) / n_steps) ** exponent
    final_weight = weights.get("final_velocity", 0.0)
    command_weight = weights["command"]
    gains = np.zeros((n_steps, size))
    cost_to_go = np.zeros((size, size))
    for step in reversed(range(n_steps)):
        after = cost_to_go.copy()
        after[0, 0] += time_weights[step]
        after[1, 1] += final_weight * (step == n_steps - 1)
        gains[step] = (b @ after @ a) / (command_weight + b @ after @ b)
        closed = a - np.outer(b, gains[step])
        cost_to_go = closed.T @ after @ closed + command_weight * np.outer(gains[step], gains[step])

    start = np.asarray(trials.start, np.float64).reshape(-1, 2)
    goal = np.asarray(trials.goal, np.float64).reshape(-1, 2)
    state = np.zeros((size, start.size))
    state[0] = (start - goal).ravel()
    losses = dict.fromkeys(params.loss.names, 0.0)
    commands = np.zeros((n_steps, start.size))
    for step in range(n_steps):
        commands[step] = -gains[step] @ state
        state = a @ state + np.outer(b, commands[step])
        if "position" in losses:
            losses["position"] += time_weights[step] * np.sum(state[0] ** 2)
        losses["command"] += command_weight * np.sum(commands[step] ** 2)
    if "final_velocity" in losses:
        losses["final_velocity"] = final_weight * np.sum(state[1] ** 2)

    peak_force = float(np.abs(commands).max())
    max_force = exact(params.motor.max_force)
    if peak_force > max_force:
        raise ValueError(
            "the optimum is known only while the force limit is not reached: these trials want "
            f"{peak_force:.3g} N, max_force is {max_force:.3g} N"
        )
    losses = {name: float(loss) / len(start) for name, loss in losses.items()}
    return OptimalReaches(losses, sum(losses.values()), peak_force)


def exact(number: object) -> float:
    """The decimal number that was meant by a float32: 0.05, and not 0.05000000074505806."""
    array = np.asarray(number)
    return float(str(array)) if array.dtype == np.float32 else float(array)


def _check_is_linear_quadratic(params: ReachParams) -> None:
    known_terms = (PositionCost, FinalVelocityCost, CommandCost)
    obstacles = {
        "motor noise": params.motor.noise_std is not None or params.motor.signal_noise is not None,
        "sensory noise": params.sensory.noise_std is not None,
        f"the plant {type(params.plant).__name__}": type(params.plant) is not PointMass,
        f"the task {type(params.task).__name__}": type(params.task) is not SimpleReaches,
        "a loss without command cost": "command" not in params.loss.names
        or exact(params.loss["command"].weight) == 0,
        **{f"the loss term {term.name}": type(term) not in known_terms for term in params.loss},
    }
    present = [name for name, is_present in obstacles.items() if is_present]
    if present:
        raise ValueError(
            "the optimum is known exactly for a noise-free point mass with position, final "
            f"velocity and command costs; here there is {', '.join(present)}"
        )
