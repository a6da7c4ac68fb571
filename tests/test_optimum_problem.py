"""The linear-quadratic problem that is found, its regulator and its filter, against textbooks."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from agents import OptimalPolicy, best_known_loss, expected_loss, optimal_loss
from agents.optimum.estimation import propagate
from agents.optimum.experiment import Experiment
from agents.optimum.linear_quadratic import linear_quadratic, over_noise
from agents.optimum.losses import expected_losses, follow, start_noise
from agents.optimum.regulator import regulate
from fbx_env import (
    Channel,
    Control,
    CurlField,
    Effector,
    ForcePulse,
    Load,
    Plant,
    SensoryChannel,
    Trial,
    UniformDraw,
    make,
    rollout,
    tree_take,
)

DATA = Path(__file__).parent / "data"


def found(params, trials, **options):
    return linear_quadratic(Experiment(params, trials), **options)


def one(start=(0.1, 0.2), goal=(0.4, -0.3)):
    return Trial((start,), (goal,))


def reference_trials():
    """The seven reaches of the reference, whose goals float32 does not hold exactly."""
    with np.load(DATA / "lq_point_mass.npz") as file, jax.enable_x64(True):
        return Trial(np.zeros((7, 2)), file["goal"])


@pytest.mark.parametrize(
    "overrides",
    [
        {"motor_noise": 0.1, "motor_delay": 1, "sensory_delay": 2},
        {
            "motor_noise": 0.2,
            "sensory_noise": 0.03,
            "mass": 1.5,
            "damping": 0.5,
            "motor_delay": 2,
            "sensory_delay": 3,
            "max_steps_in_episode": 60,
        },
    ],
)
def test_with_noise_the_closed_form_is_the_textbooks(overrides):
    """Bertsekas, section 5.2: the cost of control, and that of estimation, from both recursions."""
    _, params = make(**overrides)
    problem = found(params, one(), sensing=True)
    regulator, n = regulate(problem), problem.n_states
    start, means = start_noise(problem), follow(problem, regulator)
    corrections = propagate(problem, regulator.gains, start, means).filter_gains[:, 0]
    (transition,), (h,) = problem.transition, problem.observing
    a, noise = transition[:, :n], problem.noise[0].T @ problem.noise[0]
    variances, covariance = [], start[0] @ start[0].T
    for correction in corrections:
        # The covariance after observing in its plain form.
        variances.append(covariance - correction @ h @ covariance)
        covariance = a @ variances[-1] @ a.T + noise
    used = problem.regulated
    value, constant = np.zeros((n, n)), 0.0
    for step in reversed(range(params.max_steps_in_episode)):
        constant += np.trace(value @ noise) / 2
        hessian = transition.T @ value @ transition
        hessian[np.ix_(used, used)] += problem.curvature[problem.costs[0, step]]
        gain, own = regulator.gains[step, 0], hessian[n:, n:]
        np.testing.assert_allclose(gain, np.linalg.solve(own, hessian[n:, :n]), rtol=1e-6)
        constant += np.trace(own @ gain @ variances[step] @ gain.T) / 2
        value = hessian[:n, :n] - gain.T @ own @ gain
    # What noise of a step costs in the step itself.
    experiment, rest = problem.experiment, problem.base
    for step in range(params.max_steps_in_episode):
        at = (np.zeros(1, int), np.full(1, step), rest)
        costs = [
            over_noise(
                lambda normals, at=at: experiment.step(*at, normals=normals).losses,
                experiment.n_normals,
                which,
            ).sum()
            for which in (problem.noisy, problem.noisy[:0])
        ]
        constant += costs[0] - costs[1]
    best = problem.loss[0] + regulator.value[0] + constant
    assert optimal_loss(params, one()).total == pytest.approx(best, rel=1e-6)


def test_the_filter_is_the_conditional_mean_of_the_state():
    """Estimates equal those of one regression on everything that was observed."""
    n_steps = 8
    _, params = make(
        motor_noise=0.3, sensory_noise=0.05, sensory_delay=2, max_steps_in_episode=n_steps
    )
    problem = found(params, one(), sensing=True)
    regulator, n = regulate(problem), problem.n_states
    # The start is uncertain along x by 0.5, and so is all that was sensed of it.
    belief = np.zeros((1, n, 1))
    belief[0, problem.base[0, problem.point[:n]] == np.float32(0.1), 0] = 0.5
    prior = np.concatenate([belief, start_noise(problem)], axis=2)
    means = follow(problem, regulator)
    gains = propagate(problem, regulator.gains, prior, means).filter_gains[:, 0]
    (transition,), (h,), (noise,) = problem.transition, problem.observing, problem.noise
    # Every random number: the start, what is sensed of it, then those of every step.
    state = np.zeros((n, prior.shape[2] + n_steps * len(noise)))
    state[:, : prior.shape[2]] = prior[0]
    estimate, observed = np.zeros_like(state), []
    for step, gain in enumerate(gains):
        observed.append(h @ state)
        estimate = estimate + gain @ (observed[-1] - h @ estimate)
        everything = np.concatenate(observed)
        regression = np.linalg.lstsq(everything.T, state.T, rcond=1e-12)[0].T
        np.testing.assert_allclose(estimate, regression @ everything, atol=1e-9)
        state, estimate = transition[:, :n] @ state, transition[:, :n] @ estimate
        begin = prior.shape[2] + step * len(noise)
        state[:, begin : begin + len(noise)] += noise.T


@pytest.mark.parametrize(
    ("noise", "curl", "total", "of_quiet_gains"),
    [
        (0.1, 0, 1.3769723e-4, 1.3769729e-4),
        (0.3, 0, 1.3933314e-4, 1.3933864e-4),
        (0.3, 1, None, None),
    ],
)
def test_noise_that_grows_with_the_command_to_seven_digits(noise, curl, total, of_quiet_gains):
    loads = (CurlField(1.0),) * curl
    _, params = make(signal_noise=noise, loads=loads)
    trials = reference_trials()
    problem = found(params, trials)
    with np.load(DATA / "lq_noise_gains.npz") as file:
        gains = file[f"noise_{'curl1' if curl else 'none'}_{noise}_gains"]
    ours = regulate(problem).gains[:, 0]
    np.testing.assert_allclose(ours, gains, rtol=1e-7, atol=1e-7 * np.abs(gains).max())
    if total is None:
        return
    optimum = optimal_loss(params, trials)
    assert optimum.kind == "exact expected optimum"
    assert f"{optimum.total:.7e}" == f"{total:.7e}"
    quiet = regulate(found(make(loads=loads)[1], trials))
    means = follow(problem, quiet)
    start = start_noise(problem)
    spread = propagate(problem, quiet.gains, start, means, state_is_known=True)
    with_quiet_gains = expected_losses(problem, means, spread.points).sum(axis=1).mean()
    assert f"{with_quiet_gains:.7e}" == f"{of_quiet_gains:.7e}"


@pytest.mark.parametrize(
    ("overrides", "kind", "start"),
    [
        ({"signal_noise": 0.3}, "exact expected optimum", None),
        ({"signal_noise": 0.5, "sensory_delay": 2, "sensory_noise": 0.02}, "bound", (0.0, 0.0)),
    ],
)
def test_noise_that_grows_with_the_command_is_what_20000_trials_cost(overrides, kind, start, key):
    env, params = make(**overrides, max_steps_in_episode=33, dt=0.15)
    trial = Trial((0.0, 0.0), (0.6, -0.4))
    trials = jax.tree.map(lambda leaf: jnp.tile(leaf, (20_000, 1)), trial)
    rewards = rollout(env, params, OptimalPolicy(params, start), trials, key).reward
    losses = -np.asarray(rewards.sum(-1), np.float64)
    expected, optimum = expected_loss(params, trial, start), optimal_loss(params, trial)
    error = losses.std() / np.sqrt(len(losses))
    assert losses.mean() == pytest.approx(expected.total, abs=4 * error)
    assert optimum.kind == kind
    assert optimum.total <= expected.total * (1 + 1e-6)
    if kind != "bound":
        assert expected.total == pytest.approx(optimum.total, rel=1e-6)


@struct.dataclass
class TwoMasses:
    pos: jax.Array
    vel: jax.Array
    other_pos: jax.Array
    other_vel: jax.Array


class MassesAndSpring(Plant):
    """Two masses that a spring joins, each pushed along x and y; the first is the effector."""

    @property
    def controls(self):
        return tuple(Control(f"force {name}", "N", -100.0, 100.0) for name in ("x", "y", "u", "v"))

    def init(self, position):
        still = jnp.zeros_like(position)
        return TwoMasses(position, still, position + jnp.array([0.3, 0.0]), still)

    def step(self, state, control, load, dt):
        pull = 3.0 * (state.other_pos - state.pos - jnp.array([0.3, 0.1]))
        force, other_force = control[:2] + pull + load(self.effector(state)), control[2:] - pull
        return TwoMasses(
            pos=state.pos + dt * state.vel,
            vel=state.vel + dt * force / 1.5,
            other_pos=state.other_pos + dt * state.other_vel,
            other_vel=state.other_vel + dt * (other_force - 0.2 * state.other_vel) / 0.7,
        )

    def effector(self, state):
        return Effector(pos=state.pos, vel=state.vel)

    def feedback(self, state):
        return {
            "vision": {"position": state.pos, "velocity": state.vel},
            "proprioception": {"position": state.other_pos},
        }


def masses_and_spring(commands, start, n_steps, dt):
    """Positions and velocities of the first mass, written anew."""
    pos, vel, other, other_vel = start, np.zeros(2), start + np.array([0.3, 0.0]), np.zeros(2)
    positions, velocities = [], []
    for command in commands:
        pull = 3.0 * (other - pos - [0.3, 0.1])
        change, other_change = (command[:2] + pull) / 1.5, (command[2:] - pull) / 0.7
        other_change = other_change - 0.2 * other_vel / 0.7
        pos, other = pos + dt * vel, other + dt * other_vel
        vel, other_vel = vel + dt * change, other_vel + dt * other_change
        positions.append(pos)
        velocities.append(vel)
    return np.array(positions), np.array(velocities)


def test_a_strangers_plant_with_four_commands_is_solved_as_by_least_squares(key):
    n_steps, dt, start, goal = 20, 0.05, np.array([0.1, -0.2]), np.array([0.4, 0.3])
    env, params = make(
        plant=MassesAndSpring(), proprioception=SensoryChannel(), max_steps_in_episode=n_steps
    )
    root = np.sqrt((np.arange(1, n_steps + 1) / n_steps) ** 6)[:, None]

    def residuals(vector):
        commands = vector.reshape(n_steps, 4)
        positions, velocities = masses_and_spring(commands, start, n_steps, dt)
        parts = root * (positions - goal), velocities[-1], np.sqrt(1e-5) * vector
        return np.concatenate([part.ravel() for part in parts])

    offset = residuals(np.zeros(4 * n_steps))
    rows = np.stack([residuals(unit) - offset for unit in np.eye(4 * n_steps)], axis=1)
    solution = np.linalg.lstsq(rows, -offset, rcond=None)[0]
    best = np.square(rows @ solution + offset).sum()
    trial = Trial(start, goal)
    optimum = optimal_loss(params, trial)
    assert optimum.total == pytest.approx(best, rel=1e-6)
    assert optimum.peak_command == pytest.approx(np.abs(solution).max(), rel=1e-5)
    # The velocity of the other mass is not sensed.
    reward = rollout(env, params, OptimalPolicy(params), trial, key).reward
    assert -float(reward.sum()) == pytest.approx(best, rel=1e-3)


class UniformNoise(Channel):
    """Noise that is not Gaussian."""

    def init(self, signal):
        return ()

    def step(self, key, state, signal, clock):
        return signal + jax.random.uniform(key, signal.shape, minval=-0.1, maxval=0.1), state


class Counter(Channel):
    """A channel that counts, and lets every other signal through."""

    def init(self, signal):
        return jnp.zeros((), jnp.int32)

    def step(self, key, state, signal, clock):
        return jnp.where(state % 2 == 0, signal, 0.0), state + 1


class Saturation(Channel):
    """A channel that bends what goes through."""

    def init(self, signal):
        return ()

    def step(self, key, state, signal, clock):
        return jnp.tanh(signal), state


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"motor": UniformNoise()}, "noise that is not drawn by jax.random.normal"),
        ({"motor": Counter()}, "not a float in the state of the motor channel"),
        ({"motor": Saturation()}, "the motor channel Saturation"),
        ({"sensory": Saturation()}, "the sensory channel Saturation"),
    ],
)
def test_channels_that_are_not_affine_are_named(overrides, reason):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match=reason):
        optimal_loss(params, one())


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"motor": UniformNoise()}, "params must have no noise"),
        ({"motor": Counter()}, "not a float in the state of the motor channel$"),
    ],
)
def test_the_best_known_loss_is_not_looked_for_where_it_would_be_wrong(overrides, reason):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match=reason):
        best_known_loss(params, one())


class LateSaturation(Load):
    """A load that is affine in all but the last steps of a trial."""

    name = "late_saturation"

    def force_on(self, effector, trial, clock):
        late = clock.progress > 0.9
        return -jnp.where(late, jnp.tanh(effector.pos), effector.pos)


@pytest.mark.parametrize("trial", [one(), make()[1].task.validation_trials()], ids=["one", "many"])
def test_a_part_that_is_not_affine_in_a_few_steps_is_named(trial):
    _, params = make(loads=(LateSaturation(),))
    with pytest.raises(ValueError, match="Gaussian; that rules out the load LateSaturation; "):
        optimal_loss(params, trial)


def test_a_controller_that_does_not_converge_is_refused(monkeypatch):
    _, params = make(signal_noise=0.2, max_steps_in_episode=5)
    trial = tree_take(params.task.validation_trials(), 0)
    # Noise along one direction is none along others, not even by rounding: two iterations do.
    monkeypatch.setattr("agents.optimum.policy.MAX_ITERATIONS", 3)
    assert np.isfinite(OptimalPolicy(params, trial=trial).regulator_gains).all()
    monkeypatch.setattr("agents.optimum.policy.MAX_ITERATIONS", 1)
    with pytest.raises(ValueError, match="did not converge in 1 iterations"):
        OptimalPolicy(params, trial=trial)


class CorrelatedNoise(Channel):
    """Noise of a stranger, drawn in a function of its own that is compiled, and remembered."""

    def init(self, signal):
        return jnp.zeros_like(signal)

    def step(self, key, state, signal, clock):
        @jax.jit
        def drift(state):
            return 0.9 * state + 0.05 * jax.random.normal(key, state.shape, state.dtype)

        return signal + drift(state), drift(state)


def test_coloured_noise_counts_through_its_state(key):
    env, params = make(motor=CorrelatedNoise())
    trials = params.task.validation_trials()
    repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, 700, 0), trials)
    rewards = rollout(env, params, OptimalPolicy(params), repeated, key).reward
    optimum = optimal_loss(params, trials)
    assert optimum.kind == "exact expected optimum"
    losses = -np.asarray(rewards.sum(-1))
    error = losses.std() / np.sqrt(len(losses))
    assert losses.mean() == pytest.approx(optimum.total, abs=4 * error)
    _, white = make(motor_noise=0.05 / (1 - 0.9**2) ** 0.5)
    assert optimum.total != pytest.approx(optimal_loss(white, trials).total, rel=0.05)


@pytest.mark.parametrize(
    ("id", "overrides", "kind"),
    [
        ("PointMassReach-v0", {}, "exact optimum"),
        ("PointMassReach-v0", {"motor_noise": 0.1}, "exact expected optimum"),
        ("PointMassReach-v0", {"sensory_noise": 0.1}, "bound"),
        ("PointMassReach-v0", {"signal_noise": 0.1, "sensory_delay": 1}, "bound"),
        ("PointMassDelayedReach-v0", {}, "bound"),
        ("PointMassTrack-v0", {"max_force": 100.0}, "bound"),
    ],
)
def test_the_word_optimum_is_used_where_an_agent_can_reach_it(id, overrides, kind):
    _, params = make(id, **overrides)
    assert optimal_loss(params, params.task.validation_trials()).kind == kind


@pytest.mark.parametrize(("told", "kind"), [(False, "bound"), (True, "exact optimum")])
def test_what_was_drawn_is_known_to_the_optimum(told, kind):
    _, params = make(draws=(UniformDraw("plant.mass", 0.5, 2.0, told=told),))
    trials = params.task.validation_trials()
    with pytest.raises(ValueError, match=r"drawn must have .* plant\.mass"):
        optimal_loss(params, trials)
    masses = np.linspace(0.5, 2, 7)
    optimum = optimal_loss(params, trials, drawn={"plant.mass": masses})
    assert optimum.kind == kind
    each = []
    for index in (0, 3, 6):
        trial = jax.tree.map(lambda leaf, index=index: leaf[index], trials)
        each.append(optimal_loss(make(mass=masses[index])[1], trial).total)
    some = {"plant.mass": masses[[0, 3, 6]]}
    few = jax.tree.map(lambda leaf: leaf[jnp.array([0, 3, 6])], trials)
    assert optimal_loss(params, few, drawn=some).total == pytest.approx(np.mean(each), rel=1e-7)


def test_the_naive_regulator_meets_pulses_that_are_drawn():
    """It is as good in all of them together as in each by itself."""
    forces, onsets = [(1.0, 0.0), (0.0, -2.0)], [0.5, 1.0]
    trials = Trial([(0.0, 0.0), (0.5, 0.5)], [(0.0, 0.0), (0.5, 0.5)])
    each = []
    for index, (force, onset) in enumerate(zip(forces, onsets, strict=True)):
        _, params = make("PointMassHold-v0", loads=(ForcePulse(force, onset),))
        trial = jax.tree.map(lambda leaf, index=index: leaf[index], trials)
        each.append(optimal_loss(params, trial, naive=True).total)
    draws = (UniformDraw("loads.pulse.force", -2, 2), UniformDraw("loads.pulse.onset", 0, 2))
    _, params = make("PointMassHold-v0", loads=(ForcePulse(),), draws=draws)
    drawn = {"loads.pulse.force": np.array(forces), "loads.pulse.onset": np.array(onsets)}
    together = optimal_loss(params, trials, naive=True, drawn=drawn).total
    assert together == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.parametrize("id", ["PointMassTrack-v0", "PointMassDelayedReach-v0"])
def test_a_policy_that_knows_its_trial_reaches_the_optimum(id, key):
    env, params = make(id, max_force=100.0)
    trial = jax.tree.map(lambda leaf: leaf[2], params.task.validation_trials())
    reward = rollout(env, params, OptimalPolicy(params, trial=trial), trial, key).reward
    assert -float(reward.sum()) == pytest.approx(optimal_loss(params, trial).total, rel=1e-4)
    with pytest.raises(ValueError, match=r"of its own: OptimalPolicy\(params, trial=trial\)$"):
        OptimalPolicy(params)


def test_a_policy_for_one_trial_is_advised_only_where_there_is_one():
    params = make("TwoLinkArmReach-v0")[1]
    trial = tree_take(params.task.validation_trials(), 0)
    for known in ({}, {"trial": trial}):
        with pytest.raises(ValueError, match="that rules out the plant TwoLinkArm; ") as refused:
            OptimalPolicy(params, **known)
        assert "trial" not in str(refused.value)


def test_a_plant_that_runs_away_is_kept(key):
    env, params = make(mass=1e-3, damping=0.05)
    trials = params.task.validation_trials()
    reward = rollout(env, params, OptimalPolicy(params), trials, key).reward
    best = optimal_loss(params, trials).total
    assert -float(reward.sum(-1).mean()) == pytest.approx(best, rel=1e-4)
