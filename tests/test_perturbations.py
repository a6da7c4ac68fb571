"""Perturbations of what is seen and of commands, and channels in series."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    CursorJump,
    Gain,
    LowPassFilter,
    MotorChannel,
    SensoryChannel,
    Series,
    Trial,
    VisuomotorRotation,
    check_part,
    describe,
    make,
)


def clock(step, dt=0.05):
    return Clock(jnp.asarray(step), jnp.asarray(dt), 99)


CHANNELS = [
    VisuomotorRotation(0.5),
    CursorJump((0.1, 0.0), onset=0.5),
    Gain(1.5),
    LowPassFilter(0.1),
    Series((Gain(2.0), SensoryChannel(delay=2, noise_std=0.1))),
]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: type(channel).__name__)
def test_nothing_is_wrong_with(channel):
    check_part(channel)


def test_a_rotation_turns_the_seen_movement_about_the_start(key):
    channel = VisuomotorRotation(np.pi / 2)
    state = channel.init(jnp.array([1.0, 2.0, 0.0, 0.0]))
    seen, _ = channel.step(key, state, jnp.array([1.5, 2.0, 0.3, 0.0]), clock(3))
    np.testing.assert_allclose(seen, [1.0, 2.5, 0.0, 0.3], atol=1e-6)


def test_the_seen_position_jumps_at_its_time_and_the_body_does_not(key):
    env, params = make(sensory=CursorJump((0.1, -0.2), onset=0.25), max_steps_in_episode=10)
    at = env.observation_layout(params)["vision_position"]
    obs, state = env.reset_trial(key, Trial(start=(0, 0), goal=(1, 0)), params)
    seen = [obs[at]]
    for _ in range(10):
        obs, state, *_ = env.step_env(key, state, jnp.zeros(2), params)
        seen.append(obs[at])
    expected = np.where(np.arange(11)[:, None] >= 5, [[0.1, -0.2]], [[0.0, 0.0]])
    np.testing.assert_allclose(seen, expected, atol=1e-7)
    assert state.plant.pos.tolist() == [0, 0]


def test_a_gain_scales_commands_and_the_seen_movement_about_the_start(key):
    command, _ = Gain(0.5).step(key, jnp.zeros(2), jnp.array([2.0, -4.0]), clock(0))
    assert command.tolist() == [1, -2]
    start = jnp.array([1.0, 1.0, 0.0, 0.0])
    seen, _ = Gain(2.0).step(key, start, jnp.array([1.5, 1.0, 0.25, 0.0]), clock(0))
    assert seen.tolist() == [2, 1, 0.5, 0]


def test_a_filter_follows_a_step_exponentially(key):
    channel, dt, tau = LowPassFilter(0.2), 0.05, 0.2
    state, out = channel.init(jnp.zeros(2)), []
    for step in range(20):
        given, state = channel.step(key, state, jnp.ones(2), clock(step, dt))
        out.append(given)
    expected = 1 - (1 - dt / tau) ** np.arange(1, 21)
    np.testing.assert_allclose(np.array(out)[:, 0], expected, rtol=1e-5)


def test_channels_in_series_act_one_after_the_other(key):
    motor = Series((MotorChannel(delay=2), Gain(0.5)))
    state, out = motor.init(jnp.zeros(1)), []
    for step in range(5):
        given, state = motor.step(key, state, jnp.array([float(step + 1)]), clock(step))
        out.append(float(given[0]))
    assert out == [0, 0, 0.5, 1.0, 1.5]


def test_noise_in_series_is_drawn_with_keys_of_its_own():
    noisy = Series((MotorChannel(noise_std=1.0), MotorChannel(noise_std=1.0)))
    keys = jax.random.split(jax.random.key(0), 20_000)
    state = noisy.init(jnp.zeros(1))
    out = jax.vmap(lambda key: noisy.step(key, state, jnp.zeros(1), clock(0))[0])(keys)
    np.testing.assert_allclose(out.var(), 2.0, rtol=0.05)


def test_numbers_of_channels_in_series_keep_their_keywords():
    series = Series((VisuomotorRotation(), SensoryChannel()))
    _, params = make(sensory=series, rotation=0.4, sensory_delay=3)
    assert params.sensory.channels[0].angle == jnp.float32(0.4)
    assert params.sensory.channels[1].delay == 3
    assert "rotation" in [row["keyword"] for row in describe(sensory=series).rows()]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make(motor=LowPassFilter(0.01)), "dt must be at most tau of LowPassFilter"),
        (lambda: make(sensory=CursorJump((0, 0), 6.0)), "cursor jump must be within the trial"),
        (lambda: Series(()), "channels must be one or more"),
        (
            lambda: make()[0].reset(jax.random.key(0), make(motor=VisuomotorRotation(1.0))[1]),
            r"VisuomotorRotation must be a channel of vision, .* shape \(2,\)",
        ),
    ],
)
def test_nonsense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
    with pytest.raises(TypeError, match="each of channels must be a Channel, got 3"):
        Series((3,))
