"""The exact optimum: reaching with a point mass is a finite-horizon linear-quadratic problem.

Along each axis a state of position, velocity, commands under way and feedback under way obeys a
linear difference equation, the loss is quadratic, and the noise, if any, is additive and Gaussian.
The best controller is then a regulator that acts on the estimate of a Kalman filter, each with
gains that are known in advance (Bertsekas, Dynamic Programming and Optimal Control, vol. 1,
sections 4.1 and 5.2). All of it is computed in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fbx_env import (
    CommandCost,
    FinalVelocityCost,
    PointMass,
    PositionCost,
    ReachParams,
    SimpleReaches,
    Trial,
    checks,
)

LIMIT_IN_STDS = 6.0
"""A force limit counts as out of reach if it is this many standard deviations of the command away
from its mean at every step: noise then takes a command past it less than once in 10^8 times."""

TOO_LARGE = (
    "the optimum cannot be computed in float64: numbers grow past all bounds; dt * damping / mass, "
    "or the distances, are far too large"
)

Carry = tuple[Int[Array, ""], Float[Array, "state 2"]]


class OptimalLoss(NamedTuple):
    """What no agent can do better.

    Attributes:
        losses: mean over trials of the expected weighted loss, by term.
        total: their sum.
        peak_force: the largest force along an axis that is commanded in any trial, without what
            the controller adds in answer to noise [N].
    """

    losses: dict[str, float]
    total: float
    peak_force: float


class LinearQuadratic(NamedTuple):
    """A reaching experiment along one axis, in numbers.

    The state is position, velocity, the commands under way (the oldest first), then position and
    velocity at each step that is still to be sensed (the newest first):

        state' = transition @ state + command_input * command + noise_input * motor noise
        sensed = sensing @ state + sensory noise

    The cost of step t is ``position_weights[t]`` times the squared error of position after it,
    ``command_weight`` times the squared command and, after the last step,
    ``final_velocity_weight`` times the squared velocity.
    """

    transition: Float[np.ndarray, "state state"]
    command_input: Float[np.ndarray, " state"]
    noise_input: Float[np.ndarray, " state"]
    sensing: Float[np.ndarray, "2 state"]
    start: Float[np.ndarray, " state"]
    """The initial state of a trial that starts at 1."""
    position_weights: Float[np.ndarray, " steps"]
    final_velocity_weight: float
    command_weight: float
    motor_std: float
    sensory_std: float

    @property
    def n_steps(self) -> int:
        """Control steps of a trial."""
        return len(self.position_weights)

    @property
    def size(self) -> int:
        """How many numbers the state has."""
        return len(self.start)


class Outcome(NamedTuple):
    """What the optimal controller does along one axis.

    Attributes:
        position, final_velocity, command: expected weighted loss of each trial.
        peak: the largest mean command in any trial [N].
        likely_peak: the same, ``LIMIT_IN_STDS`` standard deviations further from zero [N].
    """

    position: Float[np.ndarray, " trials"]
    final_velocity: Float[np.ndarray, " trials"]
    command: Float[np.ndarray, " trials"]
    peak: float
    likely_peak: float


def optimal_loss(params: ReachParams, trials: Trial) -> OptimalLoss:
    """The least loss that any agent can reach on these trials, by term.

    Without sensory noise the first observation shows where a trial starts, and this is what the
    best agent gets. With it, this is what the best controller gets that is told where each trial
    starts; an agent that has to find out by its noisy senses cannot do better, and may be far from
    it: ``expected_loss`` is what ``OptimalPolicy`` gets then. With noise of either kind it is the
    expectation over the noise, in closed form.

    Args:
        params: a point mass with the three terms of the original loss; any mass, damping, time
            step, horizon, weights, delays, and noise of constant size.
        trials: one trial, or several along a leading axis.

    Raises:
        ValueError: if the optimum is not exactly known: with signal-dependent noise, another
            plant, task or term of the loss, or if the force limit would be reached.

    Example:
        >>> params = ReachParams()
        >>> optimum = optimal_loss(params, params.task.validation_trials())
        >>> f"{optimum.total:.6e}"
        '1.374965e-04'
    """
    start, _ = _points(trials)
    return _loss(params, trials, start, np.zeros(2))


def expected_loss(
    params: ReachParams, trials: Trial, start: Float[Array, "2"] | None = None
) -> OptimalLoss:
    """The loss to expect of ``OptimalPolicy(params, start)`` on these trials, by term.

    It differs from ``optimal_loss`` only where there is sensory noise and the policy's belief about
    the start is not certain and right. Arguments and errors as of these two.
    """
    return _loss(params, trials, *_belief(params, start))


class OptimalPolicy(eqx.Module):
    """The optimal controller: a regulator that acts on the estimate of a Kalman filter.

    It observes what every policy does. What it remembers are the step and its estimate of the whole
    state, commands under way included; with each command it predicts the next state by its own
    model of the experiment, and corrects the prediction by what it senses, which is what was true
    ``sensory.delay`` steps before. Where nothing is noisy, the first observation tells all, and no
    correction follows.

    Sensory noise hides where a trial starts. If all trials start at one place, say so by ``start``:
    then the policy is optimal among all controllers, and reaches ``optimal_loss``. If not, it
    believes in a start with the mean and variance of the task's. This belief is Gaussian and the
    task's distribution is uniform, so that the policy is then optimal, over trials drawn from the
    task, among those whose commands are linear in what was sensed; ``expected_loss`` is what it
    gets. It knows nothing of the force limit, which only trials that ask for little force respect.
    In trials of more steps than its own it commands NaN past them.

    Args:
        params: the experiment, as for ``optimal_loss``.
        start: where every trial starts [m], if the controller is to know it.

    Raises:
        ValueError: if the optimum is not exactly known, as for ``optimal_loss``.

    Example:
        >>> env, params = fbx_env.make(motor_delay=2)
        >>> trials = params.task.validation_trials()
        >>> trajectory = rollout(env, params, OptimalPolicy(params), trials, jax.random.key(0))
    """

    regulator_gains: Float[Array, "steps state"]
    filter_gains: Float[Array, "steps 2 state 2"]
    transition: Float[Array, "state state"]
    command_input: Float[Array, " state"]
    sensing: Float[Array, "2 state"]
    prior: Float[Array, "state 2"]

    def __init__(self, params: ReachParams, start: Float[Array, "2"] | None = None) -> None:
        problem = linear_quadratic(params)
        mean, variance = _belief(params, start)
        with np.errstate(over="ignore", invalid="ignore"):
            regulator = regulator_gains(problem)
            kalman = np.stack([filter_gains(problem, each) for each in variance], axis=1)
        _check_is_finite(regulator, kalman)
        self.regulator_gains = jnp.asarray(regulator, float)
        self.filter_gains = jnp.asarray(kalman, float)
        self.transition = jnp.asarray(problem.transition, float)
        self.command_input = jnp.asarray(problem.command_input, float)
        self.sensing = jnp.asarray(problem.sensing, float)
        self.prior = jnp.asarray(np.outer(problem.start, mean), float)

    def __call__(
        self, obs: Float[Array, " observation"], carry: Carry, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "2"], Carry]:
        """Return the command [N] for an observation, and what to remember."""
        step, predicted = carry
        goal, sensed = obs[:2], obs[4:8].reshape(2, 2)
        surprise = sensed - self.sensing @ predicted
        # Past the last step there are no gains, and the command is not a number.
        gains = self.filter_gains.at[step].get(mode="fill")
        estimate = predicted + jnp.einsum("asi,ia->sa", gains, surprise)
        regulator = self.regulator_gains.at[step].get(mode="fill")
        command = -regulator @ estimate.at[0].add(-goal)
        predicted = self.transition @ estimate + jnp.outer(self.command_input, command)
        return command, (step + 1, predicted)

    def initial_carry(self) -> Carry:
        """Step 0, and what is believed before anything was sensed."""
        return jnp.zeros((), jnp.int32), self.prior

    def activity(self, carry: Carry) -> Float[Array, "0"]:
        """Nothing: it has no units."""
        return jnp.zeros(0)


def linear_quadratic(params: ReachParams) -> LinearQuadratic:
    """The matrices and weights of an experiment along one axis.

    Raises:
        ValueError: if the experiment is not linear-quadratic, or is several experiments.
    """
    _check_is_linear_quadratic(params)
    plant: Any = params.plant
    mass, damping, dt = exact(plant.mass), exact(plant.damping), exact(params.dt)
    motor_delay, sensory_delay = params.motor.delay, params.sensory.delay
    n_steps = params.max_steps_in_episode

    sensed_from = 2 + motor_delay
    size = sensed_from + 2 * sensory_delay
    transition, command_input, noise_input = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    transition[0, :2] = 1.0, dt
    transition[1, 1] = 1.0 - dt * damping / mass
    noise_input[1] = dt / mass
    if motor_delay:
        transition[1, 2] = dt / mass
        transition[2 : sensed_from - 1, 3:sensed_from] = np.eye(motor_delay - 1)
        command_input[sensed_from - 1] = 1.0
    else:
        command_input[1] = dt / mass
    sensing, start = np.zeros((2, size)), np.zeros(size)
    start[0] = 1.0
    if sensory_delay:
        transition[sensed_from : sensed_from + 2, :2] = np.eye(2)
        transition[sensed_from + 2 :, sensed_from:-2] = np.eye(2 * (sensory_delay - 1))
        sensing[:, -2:] = np.eye(2)
        start[sensed_from::2] = 1.0
    else:
        sensing[:, :2] = np.eye(2)

    weights = {term.name: exact(term.weight) for term in params.loss}
    # Terms that are missing cost nothing.
    exponent = exact(params.loss["position"].exponent) if "position" in weights else 0.0  # type: ignore[attr-defined]
    fractions = (1 + np.arange(n_steps)) / n_steps
    return LinearQuadratic(
        transition=transition,
        command_input=command_input,
        noise_input=noise_input,
        sensing=sensing,
        start=start,
        position_weights=weights.get("position", 0.0) * fractions**exponent,
        final_velocity_weight=weights.get("final_velocity", 0.0),
        command_weight=weights["command"],
        motor_std=exact(params.motor.noise_std or 0.0),
        sensory_std=exact(params.sensory.noise_std or 0.0),
    )


def regulator_gains(problem: LinearQuadratic) -> Float[np.ndarray, "steps state"]:
    """The best command is minus these gains times the state, with position as error.

    The backward Riccati recursion; noise does not change it.
    """
    a, b = problem.transition, problem.command_input
    gains = np.zeros((problem.n_steps, problem.size))
    cost_to_go = np.zeros((problem.size, problem.size))
    cost_to_go[1, 1] = problem.final_velocity_weight
    for step in reversed(range(problem.n_steps)):
        cost_to_go[0, 0] += problem.position_weights[step]
        gain = (b @ cost_to_go @ a) / (problem.command_weight + b @ cost_to_go @ b)
        closed_loop = a - np.outer(b, gain)
        cost_to_go = closed_loop.T @ cost_to_go @ closed_loop
        cost_to_go += problem.command_weight * np.outer(gain, gain)
        gains[step] = gain
    return gains


def filter_gains(
    problem: LinearQuadratic, start_variance: float
) -> Float[np.ndarray, "steps state 2"]:
    """How the estimate of the state is corrected by the difference of sensed and predicted.

    Kalman's filter, its covariance in the form of Joseph, which stays positive.

    Args:
        problem: the experiment.
        start_variance: of the initial position, before anything was sensed [m^2].
    """
    a, h, size = problem.transition, problem.sensing, problem.size
    motor_noise = problem.motor_std**2 * np.outer(problem.noise_input, problem.noise_input)
    sensory_noise = problem.sensory_std**2 * np.eye(2)
    gains = np.zeros((problem.n_steps, size, 2))
    covariance = start_variance * np.outer(problem.start, problem.start)
    for step in range(problem.n_steps):
        if problem.sensory_std > 0:
            surprise = h @ covariance @ h.T + sensory_noise
            gains[step] = np.linalg.solve(surprise, h @ covariance).T
        elif step == 0:
            # Noise-free senses show the start, whatever was believed before.
            gains[step, :, 0] = problem.start
            covariance = np.zeros_like(covariance)
        else:
            # What could be predicted with certainty has no variance, and needs no correction.
            surprise = h @ covariance @ h.T
            inverse = np.linalg.pinv(surprise, rcond=1e-10, hermitian=True)
            gains[step] = covariance @ h.T @ inverse
        kept = np.eye(size) - gains[step] @ h
        covariance = kept @ covariance @ kept.T + gains[step] @ sensory_noise @ gains[step].T
        covariance = a @ covariance @ a.T + motor_noise
    return gains


def _outcome(
    problem: LinearQuadratic,
    start_variance: float,
    start: Float[np.ndarray, " trials"],
    believed_start: Float[np.ndarray, " trials"],
    goal: Float[np.ndarray, " trials"],
) -> Outcome:
    """Propagate mean and covariance of state and estimation error through a trial.

    The state has the error of position as position. Its estimation error e is what the state is
    more than predicted, before sensing; after sensing it is (1 - K h) e - K (sensory noise).
    """
    a, b, h, size = problem.transition, problem.command_input, problem.sensing, problem.size
    regulator, kalman = regulator_gains(problem), filter_gains(problem, start_variance)
    sensory_noise = problem.sensory_std**2 * np.eye(2)
    from_motor = problem.motor_std * np.concatenate([problem.noise_input, problem.noise_input])
    mean = np.concatenate(
        [np.outer(problem.start, start - goal), np.outer(problem.start, start - believed_start)]
    )
    covariance = np.zeros((2 * size, 2 * size))
    position, command = np.zeros_like(goal), np.zeros_like(goal)
    peak = likely_peak = 0.0
    for gain, correction, weight in zip(regulator, kalman, problem.position_weights, strict=True):
        kept = np.eye(size) - correction @ h
        to_command = np.concatenate([-gain, gain @ kept])
        noise_to_command = -gain @ correction
        mean_command = to_command @ mean
        variance = to_command @ covariance @ to_command
        variance += noise_to_command @ sensory_noise @ noise_to_command
        command += problem.command_weight * (mean_command**2 + variance)
        step_peak = float(np.abs(mean_command).max(initial=0.0))
        peak = max(peak, step_peak)
        likely_peak = max(likely_peak, step_peak + LIMIT_IN_STDS * float(np.sqrt(variance)))

        advance = np.block([[a, np.zeros_like(a)], [np.zeros_like(a), a @ kept]])
        advance[:size] += np.outer(b, to_command)
        from_senses = np.concatenate([np.outer(b, noise_to_command), -a @ correction])
        mean = advance @ mean
        covariance = advance @ covariance @ advance.T + np.outer(from_motor, from_motor)
        covariance += from_senses @ sensory_noise @ from_senses.T
        position += weight * (mean[0] ** 2 + covariance[0, 0])
    final_velocity = problem.final_velocity_weight * (mean[1] ** 2 + covariance[1, 1])
    return Outcome(position, final_velocity, command, peak, likely_peak)


def _loss(
    params: ReachParams,
    trials: Trial,
    believed_start: Float[np.ndarray, "*trials 2"],
    start_variance: Float[np.ndarray, "2"],
) -> OptimalLoss:
    problem = linear_quadratic(params)
    start, goal = _points(trials)
    believed_start = np.broadcast_to(believed_start, start.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        outcomes = [
            _outcome(
                problem,
                start_variance[axis],
                start[:, axis],
                believed_start[:, axis],
                goal[:, axis],
            )
            for axis in range(2)
        ]
    likely_peak = max(outcome.likely_peak for outcome in outcomes)
    losses = {
        name: float(sum(getattr(outcome, name).mean() for outcome in outcomes))
        for name in params.loss.names
    }
    _check_is_finite(likely_peak, *losses.values())
    max_force = exact(params.motor.max_force)
    if likely_peak > max_force:
        noisy = problem.motor_std > 0 or problem.sensory_std > 0
        margin = f" (mean and {LIMIT_IN_STDS:g} standard deviations)" if noisy else ""
        raise ValueError(
            "the optimum is known only while the force limit is not reached: these trials want "
            f"{likely_peak:.3g} N{margin}, max_force is {max_force:.3g} N"
        )
    peak_force = max(outcome.peak for outcome in outcomes)
    return OptimalLoss(losses, sum(losses.values()), peak_force)


def _belief(
    params: ReachParams, start: Float[Array, "2"] | None
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Mean [m] and variance [m^2] of the initial position along each axis."""
    _check_is_linear_quadratic(params)
    if start is not None:
        point = np.asarray(checks.real("start", start, shape=(2,)), np.float64)
        if point.ndim > 1:
            raise ValueError(f"start must be one point, of shape (2,), got shape {point.shape}")
        return point, np.zeros(2)
    task: Any = params.task
    low, high = np.asarray(task.workspace, np.float64)
    return (low + high) / 2, (high - low) ** 2 / 12


def _points(
    trials: Trial,
) -> tuple[Float[np.ndarray, "trials 2"], Float[np.ndarray, "trials 2"]]:
    checks.instance("trials", trials, Trial)
    _check_is_known("trials", trials)
    start, goal = np.asarray(trials.start, np.float64), np.asarray(trials.goal, np.float64)
    return start.reshape(-1, 2), goal.reshape(-1, 2)


def exact(number: object) -> float:
    """The decimal number that was meant by a float32: 0.05, and not 0.05000000074505806."""
    array = np.asarray(number)
    return float(str(array)) if array.dtype == np.float32 else float(array)


def _check_is_linear_quadratic(params: ReachParams) -> None:
    checks.instance("params", params, ReachParams)
    _check_is_known("params", params)
    params.checked()
    known_terms = (PositionCost, FinalVelocityCost, CommandCost)
    names, signal_noise = params.loss.names, params.motor.signal_noise
    obstacles = {
        f"the plant {type(params.plant).__name__}": type(params.plant) is not PointMass,
        f"the task {type(params.task).__name__}": type(params.task) is not SimpleReaches,
        **{f"the loss term {term.name}": type(term) not in known_terms for term in params.loss},
        "signal-dependent noise": signal_noise is not None and np.any(np.asarray(signal_noise)),
        "a loss without command cost": "command" not in names
        or not np.all(np.asarray(params.loss["command"].weight)),
    }
    present = [name for name, is_present in obstacles.items() if is_present]
    if present:
        raise ValueError(
            "the optimum is known exactly for a point mass with position, final velocity and "
            f"command costs and noise of constant size; here there is {', '.join(present)}"
        )


def _check_is_known(name: str, tree: Any) -> None:
    """Raise ``TypeError`` inside ``jax.jit``, ``jax.vmap`` and ``jax.grad``."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree)):
        raise TypeError(
            f"the optimum is computed by NumPy, and {name} must be known numbers; compute it "
            "outside jax.jit, jax.vmap and jax.grad"
        )


def _check_is_finite(*numbers: Any) -> None:
    if not all(np.isfinite(number).all() for number in numbers):
        raise ValueError(TOO_LARGE)
