"""The batched step: components of one's own, numbers of every kind, other params within trials."""

import os
import subprocess
import sys
from dataclasses import fields as fields_of

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import SyncVectorEnv
from ids import EACH_PART

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import (
    Component,
    CurlField,
    Effector,
    LossTerm,
    Plant,
    PointMass,
    ReachGymEnv,
    ReachVectorEnv,
    UniformDraw,
    make,
    number,
    whole,
)
from fbx_env.parts.plants.plant import Control

pytestmark = pytest.mark.optimised


class CountingState(Component):
    body: Effector
    count: jax.Array
    bits: jax.Array
    heavy: jax.Array


class Counting(Plant):
    """Pushes only as long as each number of its state is what exact arithmetic makes of it."""

    stiffness: float = number("of a spring to the origin", default=0.25)
    first: int = whole("at which it begins to count", default=2**24)

    @property
    def controls(self):
        return tuple(Control(f"push {axis}", "N", -10.0, 10.0) for axis in "xy")

    def init(self, position):
        body = Effector(pos=position, vel=jnp.zeros(2))
        bits = jnp.array([2**32 - 1, 2**24 + 1], jnp.uint32)
        return CountingState(body, jnp.asarray(self.first, int), bits, jnp.array(True))

    def step(self, state, control, load, dt):
        exact = (state.bits == jnp.array([2**32 - 1, 2**24 + 1], jnp.uint32)).all() & state.heavy
        push = jnp.where(exact, control, 0) - self.stiffness * state.body.pos
        body = Effector(pos=state.body.pos + dt * state.body.vel, vel=state.body.vel + dt * push)
        return state.replace(body=body, count=state.count + 1)

    def effector(self, state):
        return state.body

    def feedback(self, state):
        counted = (state.count - self.first).astype(float)
        vision = {"position": state.body.pos, "velocity": state.body.vel, "count": counted[None]}
        return {"vision": vision}


class Effort(LossTerm):
    name = "strain"
    scale: float = number("of it", default=0.5)

    def cost(self, transition):
        return self.scale * jnp.abs(transition.control).max()


def test_plain_and_whole_numbers_go_through_every_interface_as_in_jax(key):
    keywords = {"plant": Counting(), "loss": make()[1].loss + Effort(), "max_steps_in_episode": 6}
    env, params = make(**keywords)
    single, vector, sb3 = (
        ReachGymEnv(**keywords),
        ReachVectorEnv(2, **keywords),
        ReachVecEnv(2, **keywords),
    )
    start, goal = np.array([0.5, -0.25]), np.array([0.3, 0.4])
    points = {"start": start, "goal": goal}
    trial = params.task.sample(key).replace(
        start=jnp.asarray(start, float), goal=jnp.asarray(goal, float)
    )
    obs, state = env.reset_trial(key, trial, params)
    sb3.set_options(points)
    for its_obs in (
        single.reset(options=points)[0],
        vector.reset(options=points)[0][1],
        sb3.reset()[1],
    ):
        np.testing.assert_array_equal(its_obs, obs)
    step_env = jax.jit(env.step_env)
    for step in range(5):
        action = np.array([1.0, 0.1 * step], np.float32)
        obs, state, reward, _, info = step_env(key, state, action, params)
        assert obs[8] == step + 1
        its_obs, its_reward, _, _, its_info = single.step(action)
        np.testing.assert_array_equal(its_obs, obs)
        assert (its_reward, its_info["losses"]["strain"]) == (reward, info["losses"]["strain"])
        for envs in (vector, sb3):
            many_obs, rewards, *_ = envs.step(np.stack([action, action]))
            np.testing.assert_array_equal(many_obs[1], obs)
            assert rewards[1] == reward


class Ghost(PointMass):
    """Mass and position get an imaginary part."""

    def init(self, position):
        return Effector(pos=position + 0j, vel=jnp.zeros(2))


class Changing(PointMass):
    """What was whole becomes a fraction after a step."""

    def init(self, position):
        return Effector(pos=position, vel=jnp.zeros(2, int))


def test_states_that_cannot_be_kept_are_named():
    with pytest.raises(TypeError, match=r"plant.pos must be real numbers.* got complex64"):
        ReachGymEnv(plant=Ghost())


def test_a_state_that_a_step_changes_in_kind_is_refused(unchecked):
    env = ReachGymEnv(plant=Changing())
    env.reset()
    with pytest.raises(TypeError, match="a step must leave the kinds of numbers in the state"):
        env.step(np.zeros(2))


INTERFACES = [ReachGymEnv, lambda **keywords: ReachVectorEnv(1, **keywords)]


@pytest.mark.parametrize("interface", INTERFACES)
def test_params_that_change_the_state_are_refused_by_name(interface):
    """Four commands under way and two sensations take the same space."""
    one, other = (
        interface(motor_delay=4, mass=3.0),
        interface(motor_delay=4, mass=3.0),
    )
    for env in (one, other):
        env.reset(seed=0)
    shape = one.action_space.shape
    with pytest.raises(
        ValueError, match="change state.motor, state.senses.*vision.*: make a new env"
    ):
        one.params = make(sensory_delay=2, mass=3.0)[1]
    with pytest.raises(ValueError, match="change size of the observation: make a new env"):
        one.params = make(motor_delay=4, time_in_observation=True)[1]
    with pytest.raises(ValueError, match="change names of the losses: make a new env"):
        one.params = make(motor_delay=4, loss=make()[1].loss.without("command"))[1]
    for _ in range(6):
        results = [env.step(np.full(shape, 2.0)) for env in (one, other)]
        np.testing.assert_array_equal(results[0][0], results[1][0])
    assert one.params.motor.delay == 4


@pytest.mark.parametrize("interface", INTERFACES)
def test_params_of_the_wrong_kind_are_refused(interface):
    env = interface()
    for wrong in (None, 5, env.params.plant):
        with pytest.raises(TypeError, match="params must be a ReachParams"):
            env.params = wrong
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(env.action_space.shape))


@pytest.mark.parametrize("interface", INTERFACES)
def test_only_one_experiment_is_taken(interface):
    """Params with leading axes are for ``jax.vmap``; those after a gradient may be anything."""
    with pytest.raises(ValueError, match=r"mass must have shape \(\) in one experiment, got \(2,"):
        interface(mass=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"max_force must have shape \(\) in one experiment"):
        interface(max_force=[1.0, 2.0])
    env = interface()
    with pytest.raises(ValueError, match="mass must be finite and greater than 0, got -1"):
        env.params = jax.tree.map(lambda number: number - 2, env.params)
    assert env.params.plant.mass == 1


def test_made_by_gymnasium_with_many_masses_is_refused():
    with pytest.raises(ValueError, match="mass must have shape"):
        gymnasium.make_vec("PointMassReach-v0", num_envs=2, mass=[1.0, 2.0])


@pytest.mark.parametrize("interface", INTERFACES)
def test_spaces_stay_unless_their_bounds_change(interface):
    env = interface(mass=1.0)
    observation_space, action_space = env.observation_space, env.action_space
    action_space.seed(3)
    expected = interface().action_space
    expected.seed(3)
    env.params = env.params.replace(plant=PointMass(mass=2.0), dt=0.1)
    assert env.metadata["render_fps"] == 10
    assert env.observation_space is observation_space
    assert env.action_space is action_space
    np.testing.assert_array_equal(env.action_space.sample(), expected.sample())
    env.params = env.params.replace(plant=env.params.plant.replace(max_force=2.0))
    assert (env.action_space.high == 2).all()
    assert env.action_space.shape == action_space.shape


FORK = """
import os, sys, warnings, multiprocessing
from concurrent.futures import ProcessPoolExecutor
import gymnasium, numpy as np
import fbx_env
warnings.simplefilter("ignore")

def make_single():
    return gymnasium.make("PointMassReach-v0")

def refused(use):
    child = os.fork()
    if child == 0:
        try:
            use()
        except RuntimeError as error:
            print(error, flush=True)
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

refused(make_single)  # Nothing but the import has happened before.
refused(fbx_env.make)
env = fbx_env.ReachGymEnv()
env.reset()
for use in (fbx_env.ReachGymEnv, env.reset, lambda: env.step(np.zeros(2))):
    refused(use)

fork = multiprocessing.get_context("fork")
with ProcessPoolExecutor(1, mp_context=fork) as pool:
    print(pool.submit(fbx_env.make).exception(), flush=True)
for vector in (
    lambda: gymnasium.vector.AsyncVectorEnv([make_single], context="fork"),
    lambda: __import__("stable_baselines3").common.vec_env.SubprocVecEnv([make_single], "fork"),
):
    try:
        vector().reset()
    except (BrokenPipeError, EOFError, ConnectionResetError) as error:
        print("refused in the parent", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
def test_a_forked_process_is_refused_at_once_whoever_forks_it():
    """The children of vector environments print the reason; their parents see a broken pipe."""
    shown = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=120
    )
    assert shown.stdout.count('start processes by context="spawn"') == 6
    assert shown.stdout.count("refused in the parent") == 2
    assert shown.stderr.count("RuntimeError: this process was forked") == 2


@pytest.mark.parametrize("id", EACH_PART)
def test_every_id_is_the_same_in_every_interface(id):
    """Its reset options are the fields of its trial.

    Sensed positions are equal to the bit; lengths of muscles to the rounding of their polynomials.
    """
    short = {"max_steps_in_episode": 99} if "Delayed" not in id else {}
    env, params = make(id, **short)
    single, vector = gymnasium.make(id, **short), gymnasium.make_vec(id, num_envs=2, **short)
    sb3 = ReachVecEnv(2, env_id=id, **short)
    rounding = 3e-7 if id.startswith("MuscleArm") else 0
    first, info = single.reset(seed=3)
    words = np.random.default_rng(3).integers(2**32, size=2, dtype=np.uint32)
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(words)), 0)
    obs, state = env.reset(jax.random.fold_in(key, 0), params)
    sb3.seed(3)
    many, sb3_many = vector.reset(seed=3)[0], sb3.reset()
    for its_obs in (first, many[0], sb3_many[0]):
        np.testing.assert_allclose(its_obs, obs, rtol=rounding, atol=0)
    fields = {field.name: getattr(state.trial, field.name) for field in fields_of(state.trial)}
    again, _ = single.reset(seed=8, options={name: np.asarray(v) for name, v in fields.items()})
    layout = env.observation_layout(params)
    for name, where in layout.items():
        if "noise" not in name:
            np.testing.assert_array_equal(again[where], first[where])
    rng = np.random.default_rng(0)
    for _ in range(3):
        low, high = single.action_space.low, single.action_space.high
        action = rng.uniform(low, high).astype(np.float32)
        single.step(action)
        vector.step(np.stack([action] * 2))
    assert info["losses"].keys() == {term.name for term in params.loss}


DRAWN = {
    "draws": (
        UniformDraw("plant.mass", 1.0, 3.0, told=True),
        UniformDraw("plant.damping", 0.0, 1.0),
    ),
    "loads": (CurlField(2.0),),
    "max_steps_in_episode": 6,
}


def test_draws_and_loads_are_the_same_in_every_interface(key):
    env, params = make(**DRAWN)
    single, vector = ReachGymEnv(**DRAWN), ReachVectorEnv(3, **DRAWN)
    sb3 = ReachVecEnv(3, **DRAWN)
    obs, info = single.reset(seed=4)
    many, infos = vector.reset(seed=4)
    sb3.seed(4)
    np.testing.assert_array_equal(sb3.reset(), many)
    np.testing.assert_array_equal(many[0], obs)
    words = np.random.default_rng(4).integers(2**32, size=2, dtype=np.uint32)
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(words)), 0)
    jax_obs, state = env.reset(jax.random.fold_in(key, 0), params)
    np.testing.assert_array_equal(jax_obs, obs)
    where = env.observation_layout(params)["plant.mass"]
    drawn = dict(zip(("plant.mass", "plant.damping"), state.drawn, strict=True))
    assert info["drawn"] == drawn
    assert {name: infos["drawn"][name][0] for name in drawn} == drawn
    assert obs[where] == info["drawn"]["plant.mass"]
    assert len(set(infos["drawn"]["plant.mass"])) == 3
    step_env = jax.jit(env.step_env)
    for step in range(6):
        action = np.array([2.0, -1.0], np.float32)
        step_key = jax.random.fold_in(key, step + 1)
        jax_obs, state, reward, *_ = step_env(step_key, state, action, params)
        obs, its_reward, _, _, info = single.step(action)
        # To rounding: with a mass for each trial, its division is compiled in other ways.
        np.testing.assert_allclose(obs, jax_obs, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(its_reward, reward, rtol=1e-4)
        assert info["drawn"] == drawn
        many, *_ = vector.step(np.stack([action] * 3))
        np.testing.assert_allclose(many[0], jax_obs, rtol=1e-5, atol=1e-7)
        *_, sb3_infos = sb3.step(np.stack([action] * 3))
    assert sb3_infos[0]["drawn"] == drawn


def test_numbers_of_a_draw_and_of_a_load_can_change_within_a_trial():
    env = ReachGymEnv(**DRAWN)
    env.reset(seed=0)
    env.params = env.params.replace(loads=(CurlField(4.0),))
    env.step(np.ones(2))
    with pytest.raises(ValueError, match="these change .*: make a new environment"):
        env.params = env.params.replace(draws=())
    with pytest.raises(ValueError, match="these change whether there are loads"):
        env.params = env.params.replace(loads=())


def test_a_vector_has_the_attributes_of_gymnasiums_own():
    """As skrl's runner and others ask for them."""
    ours = ReachVectorEnv(3, mass=2.0)
    theirs = SyncVectorEnv([lambda: ReachGymEnv(mass=2.0)] * 3)
    for name in ("render_mode", "observation_space", "action_space", "spec"):
        assert ours.get_attr(name) == ours.call(name) == tuple(theirs.get_attr(name))
    heavier = make(mass=3.0)[1]
    for envs in (ours, theirs):
        assert [float(params.plant.mass) for params in envs.get_attr("params")] == [2, 2, 2]
        envs.set_attr("params", heavier)
        envs.reset(seed=5)
    actions = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(ours.step(actions)[0], theirs.step(actions)[0])
    with pytest.raises(AttributeError, match="difficulty cannot be set"):
        ours.set_attr("difficulty", 2)
    with pytest.raises(ValueError, match="params belongs to all trials together.* each of 3"):
        ours.set_attr("params", [heavier] * 2)
    with pytest.raises(ValueError, match="name must not be 'reset'"):
        ours.call("reset")
