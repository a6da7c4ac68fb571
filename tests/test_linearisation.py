"""Deviations from a movement: eigenvalues of networks, and of closed loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import load_reference
from trajectories import controller

from agents import OptimalPolicy, RNNPolicy
from agents.analysis import Spectrum, linearise
from fbx_env import (
    Component,
    ForcePulse,
    SilenceUnits,
    UniformDraw,
    make,
    rollout,
    tree_take,
)


class Spring(Component):
    """Pulls to the goal without memory."""

    stiffness: float
    damping: float

    def __call__(self, obs, carry, *, key=None):
        goal, _, pos, vel = obs[:8].reshape(4, 2)
        return self.stiffness * (goal - pos) - self.damping * vel, carry

    def initial_carry(self):
        return jnp.zeros(0)

    def activity(self, carry):
        return carry


def among(values, wanted, within):
    """Whether each of the wanted values is among others, each of which serves once."""
    left = list(values)
    for value in wanted:
        nearest = min(range(len(left)), key=lambda at: abs(left[at] - value))
        if abs(left.pop(nearest) - value) > within:
            return False
    return True


def without_zeros(eigenvalues, below=1e-4):
    return eigenvalues[np.abs(eigenvalues) > below]


def test_a_spring_has_the_eigenvalues_of_its_matrix():
    dt, mass, stiffness, damping = 0.05, 2.0, 3.0, 1.5
    _, params = make(mass=mass, max_steps_in_episode=10)
    linear = linearise(Spring(stiffness, damping), params, params.task.validation_trials())
    matrix = [[1, dt], [-stiffness * dt / mass, 1 - damping * dt / mass]]
    # Twice: once for each axis; what is sensed and what acted last remember nothing of their own.
    wanted = np.repeat(np.linalg.eigvals(matrix), 2)
    for trial, step in ((0, 0), (6, 9)):
        found = linear.closed_loop.eigenvalues[trial, step]
        assert among(without_zeros(found), wanted, 1e-9)
        assert len(without_zeros(found)) == 4
    assert linear.network.eigenvalues.shape == (7, 10, 0)


def test_a_network_without_input_has_the_eigenvalues_of_its_weights(key):
    leak, weights = 0.3, jnp.array([0.9, -0.5, 1.2])
    policy = RNNPolicy(8, 2, 3, leak=leak, key=key)
    policy = eqx.tree_at(
        lambda policy: (policy.cell.weight_ih, policy.cell.weight_hh, policy.readout.weight),
        policy,
        (jnp.zeros((3, 8)), jnp.diag(weights), jnp.zeros((2, 3))),
    )
    _, params = make(max_steps_in_episode=5)
    linear = linearise(policy, params, params.task.validation_trials())
    wanted = 1 - leak + leak * np.sort(np.asarray(weights, float))[::-1]
    np.testing.assert_allclose(linear.network.eigenvalues[3, 2], wanted, atol=1e-7)
    constants = linear.network.time_constants[3, 2]
    np.testing.assert_allclose(constants, -0.05 / np.log(wanted), rtol=1e-6)
    assert constants[0] < 0 < constants[1]  # The first grows.


def test_time_constants_and_frequencies_are_those_of_the_motion_that_an_eigenvalue_makes():
    dt, constant, frequency = 0.01, 0.3, 2.0
    value = np.exp(-dt / constant + 2j * np.pi * frequency * dt)
    spectrum = Spectrum(np.array([1.0, value, np.conj(value), 0.0]), dt)
    np.testing.assert_allclose(spectrum.time_constants, [np.inf, constant, constant, 0])
    np.testing.assert_allclose(spectrum.frequencies, [0, frequency, frequency, 0], atol=1e-12)


def riccati(n_steps, dt):
    """Gains of the regulator of one axis of the point mass, by the textbook's recursion."""
    transition, driving = np.array([[1, dt], [0, 1]]), np.array([[0], [dt]])
    value, gains = np.diag([1.0, 1.0]), []  # Place and speed at the end.
    for step in reversed(range(n_steps)):
        inner = 1e-5 + driving.T @ value @ driving
        gains.append(np.linalg.solve(inner, driving.T @ value @ transition))
        place = np.diag([(step / n_steps) ** 6, 0])
        value = place + transition.T @ value @ (transition - driving @ gains[-1])
    return transition, driving, gains[::-1]


@pytest.mark.usefixtures("double_precision")
def test_the_closed_loop_of_the_optimal_controller_is_that_of_the_linear_quadratic_solution():
    _, params = make()
    policy = OptimalPolicy(params)
    linear = linearise(policy, params, tree_take(params.task.validation_trials(), 0))
    transition, driving, gains = riccati(99, 0.05)
    for step in (0, 40, 80, 97):
        found = without_zeros(linear.closed_loop.eigenvalues[0, step], 1e-3)
        regulated = np.linalg.eigvals(transition - driving @ gains[step])
        assert among(found, np.repeat(without_zeros(regulated, 1e-3), 2), 1e-8)
        # What remains are the estimates of the goal, which stay.
        assert sum(abs(found - 1) < 1e-8) >= 2


def test_a_step_hands_on_velocity_to_position_and_command_to_velocity():
    recording = load_reference("delay1_trained")
    _, params = recording.params()
    linear = linearise(recording.policy(), params, params.task.validation_trials())
    velocity = linear.parts.index("plant") + 2
    # A mass that nothing holds keeps a push: of the plant alone, a step's derivative is known.
    step = linear.jacobian[0, 10]
    np.testing.assert_allclose(step[0, [0, velocity]], [1, 0.05], atol=1e-9)
    # The control of the step is the command of the step before it, which is in the motor channel.
    motor = linear.parts.index("motor")
    np.testing.assert_allclose(step[velocity, motor], 0.05, atol=1e-9)
    assert linear.parts.count("carry") == 50


def test_noise_is_left_out(key):
    policy, noisy = controller(), make(motor_noise=0.5, sensory_noise=0.1, max_steps_in_episode=6)
    _, params = make(max_steps_in_episode=6)
    trials = params.task.validation_trials()
    quiet = linearise(policy, params, trials).jacobian
    np.testing.assert_array_equal(linearise(policy, noisy[1], trials).jacobian, quiet)


def test_trials_have_the_numbers_that_were_drawn_for_them():
    _, params = make(draws=(UniformDraw("plant.mass", 1.0, 3.0),), max_steps_in_episode=6)
    trials = params.task.validation_trials()
    with pytest.raises(ValueError, match=r"drawn must have.*plant.mass"):
        linearise(controller(), params, trials)
    masses = np.linspace(1, 3, 7)
    drawn = linearise(controller(), params, trials, {"plant.mass": masses})
    _, heavy = make(mass=3.0, max_steps_in_episode=6)
    last = linearise(controller(), heavy, tree_take(trials, 6))
    np.testing.assert_allclose(drawn.jacobian[6], last.jacobian[0], atol=1e-12)
    assert abs(drawn.jacobian[0] - last.jacobian[0]).max() > 0.01


def test_a_frame_has_a_row_for_each_eigenvalue():
    _, params = make(max_steps_in_episode=4)
    linear = linearise(controller(), params, tree_take(params.task.validation_trials(), 2))
    frame = linear.frame()
    assert len(frame) == 4 * (50 + linear.jacobian.shape[-1])
    row = frame[(frame.system == "closed loop") & (frame.time > 0.14) & (frame["mode"] == 0)]
    assert complex(row.real.item(), row.imaginary.item()) == linear.closed_loop.eigenvalues[0, 3, 0]


def test_jacobians_chain_to_the_derivative_of_the_movement():
    recording = load_reference("delay0_trained")
    (env, params), policy = recording.params(), recording.policy()
    trial = tree_take(params.task.validation_trials(), 2)
    linear = linearise(policy, params, trial)
    chain = np.linalg.multi_dot(linear.jacobian[0, 20:60][::-1])
    # A push in step 19 is felt and sensed in state 20.
    push = ForcePulse((1e-2, 0.0), onset=19 * 0.05, duration=0.05)
    pos = [
        np.asarray(rollout(env, each, policy, trial, jax.random.key(0)).pos, float)
        for each in (params, params.replace(loads=(push,)))
    ]
    moved = [linear.parts.index(part) + 2 for part in ("plant", "sensed")]
    predicted = chain[:2, moved].sum(axis=1) * 1e-2 * 0.05
    np.testing.assert_allclose((pos[1] - pos[0])[60], predicted, rtol=0.02, atol=1e-6)


def test_decay_rates_are_inverse_time_constants():
    spectrum = Spectrum(np.array([1.1, 1.0, 0.5, 0.0]), 0.1)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(spectrum.decay_rates[:3], 1 / spectrum.time_constants[:3])
    assert spectrum.decay_rates[0] < 0 == spectrum.decay_rates[1] < spectrum.decay_rates[2]
    assert spectrum.decay_rates[3] == np.inf


def test_what_cannot_be_linearised_is_refused():
    _, params = make(max_steps_in_episode=4)
    trials = params.task.validation_trials()
    with pytest.raises(TypeError, match="policy must have"):
        linearise(None, params, trials)
    with pytest.raises(ValueError, match="must be finite"):
        linearise(Spring(np.inf, 1.0), params, trials)
    silent = params.replace(interventions=(SilenceUnits((99,)),))
    policy = RNNPolicy(8, 2, 3, key=jax.random.key(0))
    with pytest.raises(ValueError, match="from 0 to 2.*got 99"):
        linearise(policy, silent, trials)
    with pytest.raises(TypeError, match="OptimalPolicy has not"):
        linearise(OptimalPolicy(params), silent, trials)
    with pytest.raises(ValueError, match="tree_take"):
        linearise(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), policy), params, trials)
