"""Delay as a shift, limit as a clip, noise with the right spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import MotorChannel, SensoryChannel


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_sensory_delay_is_a_shift(key, delay):
    channel = SensoryChannel(delay=delay)
    signal = jax.random.normal(key, (10, 4))
    buffer, sensed = channel.start(signal[0]), []
    for now in signal:
        sensed.append(channel.sense(key, buffer, now))
        buffer = channel.push(buffer, now)
    expected = jnp.concatenate([jnp.tile(signal[0], (delay, 1)), signal])[:10]
    np.testing.assert_array_equal(jnp.stack(sensed), expected)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_motor_delay_is_a_shift_that_begins_with_zero(key, delay):
    channel = MotorChannel(delay=delay)
    commands = jax.random.normal(key, (10, 2))
    buffer, forces = channel.start(2), []
    for command in commands:
        forces.append(channel.force(key, buffer, command))
        buffer = channel.push(buffer, command)
    expected = jnp.concatenate([jnp.zeros((delay, 2)), commands])[:10]
    np.testing.assert_array_equal(jnp.stack(forces), expected)


def test_force_is_limited_along_each_axis(key):
    channel = MotorChannel(max_force=2.0)
    force = channel.force(key, channel.start(2), jnp.array([-30.0, 1.0]))
    assert force.tolist() == [-2.0, 1.0]


def test_noise_has_the_spread_asked_for(key):
    motor = MotorChannel(noise_std=0.5, signal_noise=0.2, max_force=3.0)
    command = jnp.array([0.0, 9.0])
    force = jax.vmap(lambda key: motor.force(key, motor.start(2), command))(
        jax.random.split(key, 50_000)
    )
    # The limit comes before the noise: 9 N are 3 N, with 0.2 of that as spread.
    np.testing.assert_allclose(force.mean(0), [0, 3], atol=0.015)
    np.testing.assert_allclose(force.std(0), [0.5, np.hypot(0.5, 0.6)], rtol=0.02)

    sensory = SensoryChannel(noise_std=0.3)
    sensed = jax.vmap(lambda key: sensory.sense(key, sensory.start(jnp.ones(4)), jnp.ones(4)))(
        jax.random.split(key, 50_000)
    )
    np.testing.assert_allclose(sensed.mean(0), 1, atol=0.01)
    np.testing.assert_allclose(sensed.std(0), 0.3, rtol=0.02)


def test_plain_zero_means_no_noise_and_an_array_stays_differentiable(key):
    assert SensoryChannel(noise_std=0.0).noise_std is None
    assert jax.tree.leaves(MotorChannel(noise_std=0, signal_noise=0.0, max_force=1.0)) == [1.0]

    def sensed(std):
        channel = SensoryChannel(noise_std=std)
        return channel.sense(key, channel.start(jnp.ones(4)), jnp.ones(4)).sum()

    expected = jax.random.normal(key, (4,)).sum()
    np.testing.assert_allclose(jax.grad(sensed)(jnp.array(0.0)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SensoryChannel(delay=-1), "sensory delay must be at least 0, got -1"),
        (lambda: SensoryChannel(noise_std=-0.1), "sensory noise_std must be finite and at least 0"),
        (lambda: MotorChannel(max_force=0), "max_force must be finite and greater than 0, got 0"),
        (lambda: MotorChannel(signal_noise=-1), "signal_noise must be finite and at least 0"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
