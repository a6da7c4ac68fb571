"""The exact optimum against the known numbers and against brute force."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strangers.pendulum import Pendulum
from strangers.wall import Wall

from agents import OptimalPolicy, evaluate, expected_loss, optimal_loss
from fbx_env import (
    Channel,
    ConstantForce,
    CurlField,
    ElasticField,
    ForcePulse,
    LossTerm,
    SimpleReaches,
    Trial,
    VelocityField,
    make,
    rollout,
)
from fbx_env.parts.losses.reach import reach_loss

NOISY = {
    "motor noise": {"motor_noise": 0.1},
    "motor noise and delays": {"motor_noise": 0.1, "motor_delay": 1, "sensory_delay": 2},
    "sensory noise": {"sensory_noise": 0.02},
    "both, delays, a heavy damped mass": {
        "motor_noise": 0.2,
        "sensory_noise": 0.03,
        "mass": 1.5,
        "damping": 0.5,
        "motor_delay": 2,
        "sensory_delay": 3,
    },
}
SHORT = {"max_steps_in_episode": 20, "dt": 0.25}


def draw(params, key, n_trials, start=None):
    trials = jax.vmap(params.task.sample)(jax.random.split(key, n_trials))
    if start is None:
        return trials
    return trials.replace(start=jnp.broadcast_to(jnp.asarray(start), (n_trials, 2)))


@pytest.mark.parametrize(
    ("motor_delay", "total"), [(0, 1.374965e-4), (1, 1.498705e-4), (2, 1.636949e-4)]
)
def test_known_optima_to_six_digits(motor_delay, total):
    _, params = make(motor_delay=motor_delay)
    optimum = optimal_loss(params, params.task.validation_trials())
    assert f"{optimum.total:.6e}" == f"{total:.6e}"


def test_known_terms_and_force():
    _, params = make()
    optimum = optimal_loss(params, params.task.validation_trials())
    assert optimum.losses["position"] == pytest.approx(4.18e-5, rel=1e-3)
    assert optimum.losses["command"] == pytest.approx(9.57e-5, rel=1e-3)
    assert optimum.losses["final_velocity"] == pytest.approx(0, abs=1e-12)
    assert optimum.peak_command == pytest.approx(1.05, abs=0.005)
    diagonal = optimal_loss(params, Trial((-1, -1), (1, 1)))
    assert np.sqrt(2) * diagonal.peak_command == pytest.approx(5.9, abs=0.05)


def test_the_optimum_scales_with_the_squared_distance():
    _, params = make()
    # E|goal - start|^2 over the default workspace is 4/3, on validation trials it is 1/4.
    validation = optimal_loss(params, params.task.validation_trials()).total
    assert validation * (4 / 3) / 0.25 == pytest.approx(7.333146e-4, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_a_quadratic_programme_over_all_commands(seed):
    """The loss is a sum of squares of an affine function of the commands: solve that directly."""
    rng = np.random.default_rng(seed)
    n_steps, delay = int(rng.integers(6, 60)), int(rng.integers(0, 5))
    mass, damping, dt = rng.uniform(0.5, 3), rng.uniform(0, 2), rng.uniform(0.02, 0.2)
    exponent = rng.uniform(0, 8)
    weights = dict(
        zip(("position", "final_velocity", "command"), 10 ** rng.uniform(-3, 1, 3), strict=True)
    )
    _, params = make(
        mass=mass,
        damping=damping,
        dt=dt,
        motor_delay=delay,
        sensory_delay=int(rng.integers(0, 5)),
        loss_weights=weights,
        max_steps_in_episode=n_steps,
        max_force=1e6,
        time_exponent=exponent,
    )
    response, speed = np.zeros((n_steps + 1, n_steps)), np.zeros(n_steps)
    for step in range(n_steps):
        response[step + 1] = response[step] + dt * speed
        speed = speed * (1 - dt * damping / mass)
        if step >= delay:
            speed[step - delay] += dt / mass
    root = np.sqrt(weights["position"] * (np.arange(1, n_steps + 1) / n_steps) ** exponent)
    rows = np.vstack(
        [
            root[:, None] * response[1:],
            np.sqrt(weights["final_velocity"]) * speed[None],
            np.sqrt(weights["command"]) * np.eye(n_steps),
        ]
    )
    distance = rng.uniform(-1, 1, 2)
    offset = np.concatenate([-root, np.zeros(1 + n_steps)])[:, None] * distance
    solution = np.linalg.lstsq(rows, -offset, rcond=None)[0]
    best = np.sum((rows @ solution + offset) ** 2)
    optimum = optimal_loss(params, Trial((0, 0), distance))
    assert optimum.total == pytest.approx(best, rel=2e-6)
    assert optimum.peak_command == pytest.approx(np.abs(solution).max(), rel=1e-5)


@pytest.mark.parametrize("sensory_delay", [0, 3])
@pytest.mark.parametrize("motor_delay", [0, 1, 2])
def test_the_policy_reaches_the_optimum(motor_delay, sensory_delay, key):
    env, params = make(motor_delay=motor_delay, sensory_delay=sensory_delay, damping=0.3)
    trials = draw(params, key, 20)
    metrics, trajectory = evaluate(OptimalPolicy(params), env, params, trials, key=key)
    optimum = optimal_loss(params, trials)
    for term, loss in optimum.losses.items():
        assert metrics["losses"][term] == pytest.approx(loss, rel=1e-4, abs=1e-9)
    assert metrics["losses"]["hidden"] == 0
    assert metrics["ratio_to_optimum"] == pytest.approx(1, abs=1e-4)
    assert np.abs(trajectory.command).max() == pytest.approx(optimum.peak_command, rel=1e-4)


def test_time_in_the_observation_changes_nothing(key):
    env, params = make(time_in_observation=True, motor_delay=1)
    metrics, _ = evaluate(
        OptimalPolicy(params), env, params, params.task.validation_trials(), key=key
    )
    assert metrics["losses"]["environment"] == pytest.approx(1.498705e-4, rel=1e-5)


def test_no_trained_agent_is_below_it(reference, key):
    env, params = reference.params()
    trials = draw(params, key, 100)
    metrics, _ = evaluate(reference.policy(), env, params, trials, key=key)
    assert metrics["ratio_to_optimum"] > 1.5


def mean_losses(env, params, policy, trials, keys):
    """The mean of each term over trials that are all run with each key."""

    @jax.jit
    def of_one_key(key):
        losses = rollout(env, params, policy, trials, key).losses
        return {term: loss.sum(-1).mean() for term, loss in losses.items()}

    runs = [of_one_key(key) for key in keys]
    return {term: float(np.mean([run[term] for run in runs])) for term in params.loss.names}


@pytest.mark.parametrize("name", NOISY)
def test_with_noise_the_closed_form_is_the_mean_of_simulated_trials(name, key):
    start = (0.2, -0.1)
    env, params = make(**NOISY[name], **SHORT)
    policy = OptimalPolicy(params, start)
    trials = draw(params, key, 5000, start)
    expected = optimal_loss(params, trials)
    simulated = mean_losses(env, params, policy, trials, jax.random.split(key, 4))
    for term, loss in expected.losses.items():
        assert simulated[term] == pytest.approx(loss, rel=0.02), term
    assert sum(simulated.values()) == pytest.approx(expected.total, rel=0.01)


def test_a_start_that_is_only_sensed_costs_what_the_closed_form_says(key):
    workspace = ((-0.5, -0.1), (0.7, 0.3))
    env, params = make(sensory_noise=0.1, sensory_delay=1, workspace=workspace, **SHORT)
    policy = OptimalPolicy(params)
    trials = draw(params, key, 20_000)
    simulated = mean_losses(env, params, policy, trials, jax.random.split(key, 4))
    expected = expected_loss(params, trials).total
    assert sum(simulated.values()) == pytest.approx(expected, rel=0.01)
    assert expected > 1.1 * optimal_loss(params, trials).total


def test_noise_makes_reaching_more_costly_and_vanishing_noise_costs_nothing():
    _, quiet = make()
    trials = quiet.task.validation_trials()
    best = optimal_loss(quiet, trials).total
    totals = []
    for std in (1e-9, 0.01, 0.03):
        _, params = make(motor_noise=std, sensory_noise=std, sensory_delay=1)
        totals.append(optimal_loss(params, trials).total)
    assert totals[0] == pytest.approx(best, rel=1e-6)
    assert totals[0] < totals[1] < totals[2]
    _, params = make(motor_noise=jnp.array(0.0), signal_noise=jnp.array(0.0))
    assert optimal_loss(params, trials).total == best


@pytest.mark.parametrize("overrides", [{"damping": 1e30}, {"damping": 1e30, "motor_noise": 0.1}])
def test_an_optimum_that_overflows_is_refused(overrides):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match="numbers grow past all bounds"):
        optimal_loss(params, params.task.validation_trials())
    with pytest.raises(ValueError, match="numbers grow past all bounds"):
        OptimalPolicy(params)


def test_it_is_not_computed_while_jax_traces():
    _, params = make(max_steps_in_episode=3)
    trials = params.task.validation_trials()

    def total(mass):
        heavier = params.replace(plant=params.plant.replace(mass=mass))
        return optimal_loss(heavier, trials).total

    for transform in (jax.jit, jax.grad):
        with pytest.raises(TypeError, match="params must be known numbers; compute it outside"):
            transform(total)(2.0)
    with pytest.raises(TypeError, match="trials must be known numbers"):
        jax.jit(lambda trials: optimal_loss(params, trials).total)(trials)


def test_params_that_left_their_range_are_refused():
    _, params = make()
    negative = jax.tree.map(jnp.negative, params)
    with pytest.raises(ValueError, match="mass must be finite and greater than 0, got -1.0"):
        OptimalPolicy(negative)


def test_past_its_last_step_it_commands_nothing_that_could_be_taken_for_a_command(key):
    _, params = make(max_steps_in_episode=3)
    env, longer = make(max_steps_in_episode=5)
    trial = Trial((0.0, 0.0), (0.5, 0.0))
    command = rollout(env, longer, OptimalPolicy(params), trial, key).command
    assert np.isfinite(command[:3]).all()
    assert np.isnan(command[3:]).all()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ((0.0, 0.0, 0.0), "start must have shape (2,)"),
        (np.zeros((3, 2)), "start must be one point, of shape (2,), got shape (3, 2)"),
        ((0.0, np.nan), "start must be finite"),
    ],
)
def test_a_start_is_one_point(start, message):
    _, params = make(sensory_noise=0.1)
    with pytest.raises(ValueError, match=re.escape(message)):
        OptimalPolicy(params, start)


def test_no_commands_beat_it(key):
    """Gradient descent on open-loop commands comes from above, and close."""
    env, params = make(max_steps_in_episode=20, dt=0.2)
    trial = Trial((0.0, 0.0), (0.5, 0.0))

    def loss(commands):
        _, state = env.reset_trial(key, trial, params)
        _, rewards = jax.lax.scan(
            lambda state, command: env.step_env(key, state, command, params)[1:3], state, commands
        )
        return -rewards.sum()

    best = optimal_loss(params, trial).total
    hessian = jax.hessian(loss)(jnp.zeros((20, 2))).reshape(40, 40)
    newton = -jnp.linalg.solve(hessian, jax.grad(loss)(jnp.zeros((20, 2))).ravel())
    reached = float(loss(newton.reshape(20, 2)))
    assert reached == pytest.approx(best, rel=1e-3)
    assert reached >= best * (1 - 1e-5)


LQ_CASES = {
    0: {},
    1: {"motor_delay": 1},
    2: {"loads": (CurlField(0.5),)},
    3: {"loads": (CurlField(1.0),)},
    4: {"loads": (CurlField(-1.0),)},
    5: {"loads": (VelocityField(((-0.5, 0.0), (0.0, -0.5))),)},
    6: {"loads": (VelocityField(((-1.0, 0.0), (0.0, -1.0))),)},
    7: {"loads": (ElasticField(0.5),)},
    8: {"loads": (ElasticField(1.0),)},
    9: {"loads": (ConstantForce((0.2, -0.1)),)},
    10: {"loads": (ForcePulse((2.0, 0.0), 1.5, 0.5),)},
    11: {"loads": (ForcePulse((0.0, 2.0), 1.5, 0.5, True),)},
    12: {"loads": (CurlField(0.5),), "motor_delay": 1},
    13: {"loads": (CurlField(1.0),), "motor_delay": 1},
    14: {"loads": (CurlField(-1.0),), "motor_delay": 1},
}


@pytest.mark.parametrize("case", LQ_CASES)
def test_every_linear_field_to_seven_digits_for_who_knows_it_and_who_does_not(case):
    """Against least squares over all commands, solved elsewhere."""
    with np.load(Path(__file__).parent / "data" / "lq_point_mass.npz") as file:
        best, naive = file["loss_terms"][case].mean(0), file["naive_loss_terms"][case].mean(0)
    _, params = make(**LQ_CASES[case])
    trials = params.task.validation_trials()
    optimum = optimal_loss(params, trials)
    assert optimum.kind == "exact optimum"
    assert optimum.total == pytest.approx(best[3], rel=1e-7)
    unaware = optimal_loss(params, trials, naive=True)
    assert unaware.total == pytest.approx(naive[3], rel=1e-7)


class Halving(Channel):
    """A motor channel that lets half of the command through."""

    def init(self, signal):
        return ()

    def step(self, key, state, signal, clock):
        return 0.5 * signal, state


class Offset(Channel):
    """A sensory channel that adds 0.3 to everything."""

    def init(self, signal):
        return ()

    def step(self, key, state, signal, clock):
        return signal + 0.3, state


def test_channels_of_ones_own_count(key):
    _, params = make(motor=Halving())
    halved = optimal_loss(params, params.task.validation_trials())
    # Half of each command is lost: as if commands cost four times as much.
    _, costly = make(loss_weights={"command": 4e-5})
    best = optimal_loss(costly, costly.task.validation_trials())
    assert halved.total == pytest.approx(best.total, rel=1e-9)
    env, params = make(sensory=Offset())
    trials = params.task.validation_trials()
    metrics, _ = evaluate(OptimalPolicy(params), env, params, trials, key=key)
    assert metrics["ratio_to_optimum"] == pytest.approx(1, abs=1e-4)


class Quartic(LossTerm):
    """A term that is not quadratic."""

    name = "quartic"

    def cost(self, transition):
        return jnp.sum(transition.after.pos**4)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"plant": Pendulum()}, "Pendulum"),
        ({"loss": reach_loss() + Quartic()}, "quartic"),
        ({"loads": (Wall(),)}, "wall|Wall"),
        ({"max_force": 1.0}, "1.05"),
        ({"loss_weights": {"command": 0.0}}, "command"),
        ({"loss": reach_loss().without("command")}, "command"),
    ],
)
def test_a_refusal_names_the_part(overrides, reason):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match=reason):
        optimal_loss(params, SimpleReaches().validation_trials())


def test_the_policy_answers_what_it_senses(key):
    """Made for the defaults, and run where the mass is another or the motor noisy."""
    env, params = make()
    policy, trials = OptimalPolicy(params), params.task.validation_trials()
    for changed, most in ((make(mass=1.05)[1], 1.6e-4), (make(motor_noise=0.1)[1], 3e-4)):
        losses = [
            -float(rollout(env, changed, policy, trials, each).reward.sum(-1).mean())
            for each in jax.random.split(key, 8)
        ]
        assert np.mean(losses) < most
