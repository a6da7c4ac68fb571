"""Loads against recordings, and against loops in float64 that know nothing of them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    ConstantForce,
    CurlField,
    Effector,
    ElasticField,
    ForceChannel,
    ForcePulse,
    PointMass,
    ReachParams,
    Trial,
    VelocityField,
    check_part,
    describe,
    make,
)
from fbx_env.parts.loads.load import external_force

LOADS = [
    CurlField(13.0),
    VelocityField(),
    ElasticField(2.0),
    ElasticField(2.0, centre=(0.1, -0.2)),
    ConstantForce((0.2, -0.1)),
    ForcePulse((2.0, 0.0), onset=1.5, duration=0.5),
    ForcePulse((2.0, 1.0), onset=1.5, duration=0.5, relative=True),
    ForceChannel(),
]


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_nothing_is_wrong_with(load):
    check_part(load)


def recording(name):
    with np.load(Path(__file__).parent / "data" / f"{name}.npz") as file:
        return dict(file)


def moved(params, pos, vel, commands, trial=None):
    """Positions and velocities of a point mass from a given state on, under given forces."""
    trial = Trial(start=pos, goal=pos) if trial is None else trial

    def step(state, step_and_command):
        index, command = step_and_command
        clock = Clock(index, jnp.asarray(params.dt), params.max_steps_in_episode)
        load = external_force(params.loads, trial, clock)
        state = params.plant.step(state, command, load, jnp.asarray(params.dt))
        return state, state

    start = Effector(jnp.asarray(pos, float), jnp.asarray(vel, float))
    steps = (jnp.arange(len(commands)), jnp.asarray(commands, float))
    _, states = jax.lax.scan(step, start, steps)
    return np.concatenate([[pos], states.pos]), np.concatenate([[vel], states.vel])


@pytest.mark.parametrize("index", range(4))
def test_fields_replay_their_recording(index):
    """Curl, constant force, spring and damping together, by the contract's explicit Euler."""
    recorded = recording("point_mass_curl")
    of = {name: values[index] for name, values in recorded.items() if values.ndim}
    loads = (
        CurlField(of["field_curl"]),
        ConstantForce(of["field_constant"]),
        ElasticField(of["field_spring"], centre=of["field_spring_centre"]),
    )
    plant = PointMass(damping=of["param_damping"], max_force=1e3)
    params = ReachParams(plant=plant, loads=loads, max_steps_in_episode=100)
    pos, vel = moved(params, of["euler_pos"][0], of["euler_vel"][0], of["command"])
    np.testing.assert_allclose(pos, of["euler_pos"], atol=2e-6)
    np.testing.assert_allclose(vel, of["euler_vel"], atol=2e-6)


@pytest.mark.parametrize("index", range(4))
def test_a_curl_field_replays_the_recording_of_another_library(index):
    of = recording("feedbax_point_mass_curl")
    strength = float(of["param_curl_amplitude"])
    params = ReachParams(loads=(CurlField(strength),), max_steps_in_episode=100)
    pos, vel = moved(params, of["pos"][index, 0], of["vel"][index, 0], of["command"][index])
    np.testing.assert_allclose(pos, of["pos"][index], atol=5e-6)
    np.testing.assert_allclose(vel, of["vel"][index], atol=5e-6)


def test_a_pulse_and_a_channel_are_those_of_a_loop_in_double_precision(key):
    start, goal, dt, stiffness, damping = (0.1, 0.2), (0.4, -0.1), 0.01, 40.0, 3.0
    loads = (ForcePulse((0.3, -0.2), 0.12, 0.2), ForceChannel(stiffness, damping))
    env, params = make(loads=loads, dt=dt, max_steps_in_episode=60)
    commands = 2 * np.asarray(jax.random.normal(key, (60, 2)), np.float64)
    way = np.subtract(goal, start) / np.hypot(*np.subtract(goal, start))
    across = np.array([-way[1], way[0]])
    pos, vel, expected = np.array(start), np.zeros(2), []
    for step, command in enumerate(commands):
        force = command + np.array([0.3, -0.2]) * (12 <= step < 32)
        force -= (stiffness * (pos - start) @ across + damping * vel @ across) * across
        pos, vel = pos + dt * vel, vel + dt * force
        expected.append(pos)
    _, state = env.reset_trial(key, Trial(start=start, goal=goal), params)
    reached = []
    for command in commands:
        _, state, *_ = env.step_env(key, state, jnp.asarray(command, jnp.float32), params)
        reached.append(state.plant.pos)
    np.testing.assert_allclose(reached, expected, atol=2e-6)


@pytest.mark.parametrize(("dt", "n_steps"), [(0.05, 99), (0.01, 400), (1 / 3, 12), (0.1, 40)])
def test_a_pulse_acts_in_just_the_steps_that_begin_within_it(dt, n_steps):
    pulse = ForcePulse((1.0, 0.0), onset=10 * dt, duration=2 * dt)
    trial, rest = Trial(start=(0, 0), goal=(0, 1)), Effector(jnp.zeros(2), jnp.zeros(2))
    acts = [
        bool(pulse.force_on(rest, trial, Clock(jnp.asarray(step), jnp.asarray(dt), n_steps)).any())
        for step in range(n_steps)
    ]
    assert np.flatnonzero(acts).tolist() == [10, 11]


def test_a_relative_pulse_is_along_the_reach_and_to_its_left():
    pulse = ForcePulse((2.0, 3.0), onset=0.0, duration=1.0, relative=True)
    clock = Clock(jnp.asarray(0), jnp.asarray(0.05), 99)
    rest = Effector(jnp.zeros(2), jnp.zeros(2))
    upwards = pulse.force_on(rest, Trial(start=(1, 1), goal=(1, 5)), clock)
    np.testing.assert_allclose(upwards, [-3, 2], atol=1e-6)
    nowhere = pulse.force_on(rest, Trial(start=(1, 1), goal=(1, 1)), clock)
    assert nowhere.tolist() == [0, 0]


def test_a_channel_holds_by_position_and_not_by_velocity_alone():
    channel = ForceChannel(stiffness=100.0, damping=0.0)
    trial, clock = Trial(start=(0, 0), goal=(1, 0)), Clock(jnp.asarray(0), jnp.asarray(0.05), 99)
    still = Effector(jnp.array([0.5, 0.02]), jnp.zeros(2))
    np.testing.assert_allclose(channel.force_on(still, trial, clock), [0, -2], atol=1e-6)
    along = Effector(jnp.array([0.5, 0.0]), jnp.array([3.0, 0.0]))
    np.testing.assert_allclose(channel.force_on(along, trial, clock), [0, 0], atol=1e-6)


def test_a_positive_curl_pushes_to_the_left_of_the_motion():
    clock, trial = Clock(jnp.asarray(0), jnp.asarray(0.05), 99), Trial(start=(0, 0), goal=(1, 0))
    ahead = Effector(jnp.zeros(2), jnp.array([2.0, 0.0]))
    assert CurlField(3.0).force_on(ahead, trial, clock).tolist() == [0, 6]


def test_loads_add_up_and_are_in_the_transition(key):
    env, params = make(loads=(ConstantForce((1.0, 0.0)), ElasticField(2.0, centre=(0.0, 1.0))))
    _, state = env.reset_trial(key, Trial(start=(0, 0), goal=(1, 0)), params)
    _, transition = env.transition(key, state, jnp.zeros(2), params)
    assert transition.load.tolist() == [1, 2]
    np.testing.assert_allclose(transition.after.vel, [0.05, 0.1], rtol=1e-6)


def test_a_field_is_not_confused_with_a_command_in_the_cost(key):
    env, params = make(loads=(ConstantForce((5.0, 0.0)),))
    _, state = env.reset(key, params)
    *_, info = env.step(key, state, jnp.zeros(2), params)
    assert info["losses"]["command"] == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make(loads=(ForcePulse((1, 0), 4.9, 0.1),)), "the pulse must be within the trial"),
        (lambda: ForcePulse((1, 0), -0.1, 0.1), "onset must be finite and at least 0"),
        (lambda: ForceChannel(stiffness=0.0), "stiffness must be finite and greater than 0"),
        (lambda: VelocityField(((1, 2), (3, 4), (5, 6))), r"matrix must have shape \(2, 2\)"),
        (lambda: ConstantForce((1, 2, 3)), r"force must have shape \(2,\)"),
        (lambda: make(loads=(CurlField(), CurlField())), "each of loads must have another name"),
    ],
)
def test_nonsense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_every_number_of_a_load_is_described():
    rows = describe(loads=(CurlField(), ForcePulse(), ForceChannel())).rows()
    by_keyword = {row["keyword"]: row for row in rows}
    assert by_keyword["strength"]["unit"] == "N s/m"
    assert by_keyword["pulse_onset"]["name"] == "loads.pulse.onset"
    assert by_keyword["channel_stiffness"]["default"] == "2000"
