"""The exact optimum against the known numbers and against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import optimal_reaches
from fbx_env import Trial, make
from fbx_env.losses import reach_loss


@pytest.mark.parametrize(
    ("motor_delay", "total"), [(0, 1.374965e-4), (1, 1.498705e-4), (2, 1.636949e-4)]
)
def test_known_optima_to_six_digits(motor_delay, total):
    _, params = make(motor_delay=motor_delay)
    optimum = optimal_reaches(params, params.task.validation_trials())
    assert f"{optimum.total:.6e}" == f"{total:.6e}"


def test_known_terms_and_force():
    _, params = make()
    optimum = optimal_reaches(params, params.task.validation_trials())
    assert optimum.losses["position"] == pytest.approx(4.18e-5, rel=1e-3)
    assert optimum.losses["command"] == pytest.approx(9.57e-5, rel=1e-3)
    assert optimum.losses["final_velocity"] == pytest.approx(0, abs=1e-12)
    assert optimum.peak_force == pytest.approx(1.05, abs=0.005)
    diagonal = optimal_reaches(params, Trial((-1, -1), (1, 1)))
    assert np.sqrt(2) * diagonal.peak_force == pytest.approx(5.9, abs=0.05)


def test_the_optimum_scales_with_the_squared_distance():
    _, params = make()
    # E|goal - start|^2 over the default workspace is 4/3, on validation trials it is 1/4.
    validation = optimal_reaches(params, params.task.validation_trials()).total
    assert validation * (4 / 3) / 0.25 == pytest.approx(7.333146e-4, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_least_squares_over_all_commands(seed):
    """The loss is a sum of squares of an affine function of the commands: solve that directly."""
    rng = np.random.default_rng(seed)
    n_steps, delay = 12, int(rng.integers(0, 4))
    mass, damping, dt = rng.uniform(0.5, 3), rng.uniform(0, 2), rng.uniform(0.05, 0.2)
    weights = dict(
        zip(("position", "final_velocity", "command"), 10 ** rng.uniform(-3, 1, 3), strict=True)
    )
    _, params = make(
        mass=mass,
        damping=damping,
        dt=dt,
        motor_delay=delay,
        loss_weights=weights,
        max_steps_in_episode=n_steps,
        max_force=1e6,
        time_exponent=2.0,
    )
    error, velocity = np.zeros(n_steps + 1), 0.0
    response = np.zeros((n_steps + 1, n_steps))
    speed = np.zeros(n_steps)
    error[0] = -0.7
    for step in range(n_steps):
        error[step + 1] = error[step] + dt * velocity
        response[step + 1] = response[step] + dt * speed
        speed = speed * (1 - dt * damping / mass)
        if step >= delay:
            speed[step - delay] += dt / mass
    root = np.sqrt(weights["position"]) * (np.arange(1, n_steps + 1) / n_steps)
    rows = np.vstack(
        [
            root[:, None] * response[1:],
            np.sqrt(weights["final_velocity"]) * speed[None],
            np.sqrt(weights["command"]) * np.eye(n_steps),
        ]
    )
    offset = np.concatenate([root * error[1:], np.zeros(1 + n_steps)])
    solution = np.linalg.lstsq(rows, -offset, rcond=None)[0]
    best = np.sum((rows @ solution + offset) ** 2)
    assert optimal_reaches(params, Trial((0, 0), (0.7, 0))).total == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"motor_noise": 0.1}, "here there is motor noise"),
        ({"sensory_noise": jnp.array(0.1)}, "here there is sensory noise"),
        ({"max_force": 1.0}, "these trials want 1.05 N, max_force is 1 N"),
        ({"loss_weights": {"command": 0.0}}, "a loss without command cost"),
        ({"loss": reach_loss().without("command")}, "a loss without command cost"),
    ],
)
def test_where_it_is_not_exact_it_says_so(overrides, reason):
    _, params = make(**overrides)
    with pytest.raises(ValueError, match=reason):
        optimal_reaches(params, params.task.validation_trials())


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

    best = optimal_reaches(params, trial).total
    hessian = jax.hessian(loss)(jnp.zeros((20, 2))).reshape(40, 40)
    newton = -jnp.linalg.solve(hessian, jax.grad(loss)(jnp.zeros((20, 2))).ravel())
    reached = float(loss(newton.reshape(20, 2)))
    assert reached == pytest.approx(best, rel=1e-3)
    assert reached >= best * (1 - 1e-5)
