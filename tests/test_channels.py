"""Delay as a shift, noise with the right spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import Clock, MotorChannel, SensoryChannel

CLOCK = Clock(jnp.zeros((), jnp.int32), jnp.asarray(0.05), 99)


def carried(channel, key, state, signals):
    """What comes out when signals go in one after the other."""
    out = []
    for signal in signals:
        given, state = channel.step(key, state, signal, CLOCK)
        out.append(given)
    return jnp.stack(out)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_sensory_delay_is_a_shift(key, delay):
    channel = SensoryChannel(delay=delay)
    signal = jax.random.normal(key, (10, 4))
    expected = jnp.concatenate([jnp.tile(signal[0], (delay, 1)), signal])[:10]
    sensed = carried(channel, key, channel.init(signal[0]), signal)
    np.testing.assert_array_equal(sensed, expected)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_motor_delay_is_a_shift_that_begins_with_zero(key, delay):
    channel = MotorChannel(delay=delay)
    commands = jax.random.normal(key, (10, 2))
    expected = jnp.concatenate([jnp.zeros((delay, 2)), commands])[:10]
    controls = carried(channel, key, channel.init(jnp.zeros(2)), commands)
    np.testing.assert_array_equal(controls, expected)


def many(channel, signal, key):
    """The signal through a channel without delay, with noise of its own each time."""
    state = channel.init(signal)
    keys = jax.random.split(key, 50_000)
    return jax.vmap(lambda key: channel.step(key, state, signal, CLOCK)[0])(keys)


def test_noise_has_the_spread_asked_for(key):
    control = many(MotorChannel(noise_std=0.5, signal_noise=0.2), jnp.array([0.0, 3.0]), key)
    np.testing.assert_allclose(control.mean(0), [0, 3], atol=0.015)
    np.testing.assert_allclose(control.std(0), [0.5, np.hypot(0.5, 0.6)], rtol=0.02)
    sensed = many(SensoryChannel(noise_std=0.3), jnp.ones(4), key)
    np.testing.assert_allclose(sensed.mean(0), 1, atol=0.01)
    np.testing.assert_allclose(sensed.std(0), 0.3, rtol=0.02)


def test_each_number_may_have_noise_of_its_own(key):
    sizes = (0.1, 0.1, 0.5, 2.0)
    sensed = many(SensoryChannel(noise_std=sizes), jnp.ones(4), key)
    np.testing.assert_allclose(sensed.std(0), sizes, rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(sensed.T), np.eye(4), atol=0.02)


def test_plain_zero_means_no_noise_and_an_array_stays_differentiable(key):
    assert SensoryChannel(noise_std=0.0).noise_std is None
    assert jax.tree.leaves(MotorChannel(noise_std=0, signal_noise=0.0)) == []

    def sensed(std):
        channel = SensoryChannel(noise_std=std)
        return channel.step(key, channel.init(jnp.ones(4)), jnp.ones(4), CLOCK)[0].sum()

    expected = jax.random.normal(key, (4,)).sum()
    np.testing.assert_allclose(jax.grad(sensed)(jnp.array(0.0)), expected, rtol=1e-6)


def test_a_buffer_of_another_delay_is_refused(key):
    buffer = SensoryChannel(delay=2).init(jnp.zeros(4))
    with pytest.raises(ValueError, match=r"delay of SensoryChannel is 1, .* delay of 2"):
        SensoryChannel(delay=1).step(key, buffer, jnp.zeros(4), CLOCK)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SensoryChannel(delay=-1), "delay must be at least 0, got -1"),
        (lambda: SensoryChannel(noise_std=-0.1), "noise_std must be finite and at least 0"),
        (lambda: MotorChannel(noise_std=[]), "noise_std must have numbers"),
        (lambda: MotorChannel(signal_noise=-1), "signal_noise must be finite and at least 0"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
