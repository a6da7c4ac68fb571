"""The batched step: components of one's own, numbers of every kind, other params within trials."""

import os
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnasium.error import ResetNeeded

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import Plant, PointMass, ReachGymEnv, ReachVectorEnv, make
from fbx_env.losses import LossTerm
from fbx_env.plants import Effector


@struct.dataclass
class CountingState:
    body: Effector
    count: jax.Array
    bits: jax.Array
    heavy: jax.Array


class Counting(Plant):
    """Pushes only as long as each number of its state is what exact arithmetic makes of it."""

    stiffness: float = 0.25
    first: int = 2**24

    @property
    def action_size(self):
        return 2

    def at_rest(self, position):
        body = Effector(pos=position, vel=jnp.zeros(2))
        bits = jnp.array([2**32 - 1, 2**24 + 1], jnp.uint32)
        return CountingState(body, jnp.asarray(self.first, int), bits, jnp.array(True))

    def step(self, state, force, dt):
        exact = (state.bits == jnp.array([2**32 - 1, 2**24 + 1], jnp.uint32)).all() & state.heavy
        push = jnp.where(exact, force, 0) - self.stiffness * state.body.pos
        body = Effector(pos=state.body.pos + dt * state.body.vel, vel=state.body.vel + dt * push)
        return state.replace(body=body, count=state.count + 1)

    def effector(self, state):
        return state.body

    def feedback(self, state):
        counted = (state.count - self.first).astype(float)
        return jnp.concatenate([state.body.pos, state.body.vel, counted[None]])


class Effort(LossTerm):
    name = "effort"
    scale: float = 0.5

    def cost(self, transition):
        return self.scale * jnp.abs(transition.force).max()


def test_plain_and_whole_numbers_go_through_every_face_as_in_jax(key):
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
    for face_obs in (
        single.reset(options=points)[0],
        vector.reset(options=points)[0][1],
        sb3.reset()[1],
    ):
        np.testing.assert_array_equal(face_obs, obs)
    step_env = jax.jit(env.step_env)
    for step in range(5):
        action = np.array([1.0, 0.1 * step], np.float32)
        obs, state, reward, _, info = step_env(key, state, action, params)
        assert obs[8] == step + 1
        face_obs, face_reward, _, _, face_info = single.step(action)
        np.testing.assert_array_equal(face_obs, obs)
        assert (face_reward, face_info["losses"]["effort"]) == (reward, info["losses"]["effort"])
        for envs in (vector, sb3):
            many_obs, rewards, *_ = envs.step(np.stack([action, action]))
            np.testing.assert_array_equal(many_obs[1], obs)
            assert rewards[1] == reward


class Ghost(PointMass):
    """Mass and position get an imaginary part."""

    def at_rest(self, position):
        return Effector(pos=position + 0j, vel=jnp.zeros(2))


class Changing(PointMass):
    """What was whole becomes a fraction after a step."""

    def at_rest(self, position):
        return Effector(pos=position, vel=jnp.zeros(2, int))


def test_states_that_cannot_be_kept_are_named():
    with pytest.raises(TypeError, match=r"plant.pos must be real numbers.* got complex64"):
        ReachGymEnv(plant=Ghost())
    env = ReachGymEnv(plant=Changing())
    env.reset()
    with pytest.raises(TypeError, match="a step must leave the kinds of numbers in the state"):
        env.step(np.zeros(2))


FACES = [ReachGymEnv, lambda **keywords: ReachVectorEnv(1, **keywords)]


@pytest.mark.parametrize("face", FACES)
def test_params_that_change_the_state_are_refused_by_name(face):
    """Four commands under way and two sensations take the same space."""
    one, other = (
        face(motor_delay=4, mass=3.0),
        face(motor_delay=4, mass=3.0),
    )
    for env in (one, other):
        env.reset(seed=0)
    shape = one.action_space.shape
    with pytest.raises(ValueError, match="change state.motor, state.sensory: make a new env"):
        one.params = make(sensory_delay=2, mass=3.0)[1]
    with pytest.raises(ValueError, match="change size of the observation: make a new env"):
        one.params = make(motor_delay=4, time_in_observation=True)[1]
    with pytest.raises(ValueError, match="change names of the losses: make a new env"):
        one.params = make(motor_delay=4, loss=make()[1].loss.without("command"))[1]
    for _ in range(6):
        results = [env.step(np.full(shape, 2.0)) for env in (one, other)]
        np.testing.assert_array_equal(results[0][0], results[1][0])
    assert one.params.motor.delay == 4


@pytest.mark.parametrize("face", FACES)
def test_params_of_the_wrong_kind_are_refused(face):
    env = face()
    for wrong in (None, 5, env.params.plant):
        with pytest.raises(TypeError, match="params must be a ReachParams"):
            env.params = wrong
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(env.action_space.shape))


@pytest.mark.parametrize("face", FACES)
def test_only_one_experiment_is_taken(face):
    """Params with leading axes are for ``jax.vmap``; those after a gradient may be anything."""
    with pytest.raises(ValueError, match=r"mass must have shape \(\) in one experiment, got \(2,"):
        face(mass=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"max_force must have shape \(\) in one experiment"):
        face(max_force=[1.0, 2.0])
    env = face()
    with pytest.raises(ValueError, match="mass must be finite and greater than 0, got -1"):
        env.params = jax.tree.map(lambda number: number - 2, env.params)
    assert env.params.plant.mass == 1


def test_made_by_gymnasium_with_many_masses_is_refused():
    with pytest.raises(ValueError, match="mass must have shape"):
        gymnasium.make_vec("PointMassReach-v0", num_envs=2, mass=[1.0, 2.0])


@pytest.mark.parametrize("face", FACES)
def test_spaces_stay_unless_their_bounds_change(face):
    env = face(mass=1.0)
    observation_space, action_space = env.observation_space, env.action_space
    action_space.seed(3)
    expected = face().action_space
    expected.seed(3)
    env.params = env.params.replace(plant=PointMass(mass=2.0), dt=0.1)
    assert env.metadata["render_fps"] == 10
    assert env.observation_space is observation_space
    assert env.action_space is action_space
    np.testing.assert_array_equal(env.action_space.sample(), expected.sample())
    env.params = env.params.replace(motor=env.params.motor.replace(max_force=2.0))
    assert (env.action_space.high == 2).all()
    assert env.action_space.shape == action_space.shape


FORK = """
import os, sys, warnings
import gymnasium, numpy as np
from fbx_env import ReachGymEnv
warnings.simplefilter("ignore")
env = ReachGymEnv()
env.reset()
for use in (ReachGymEnv, env.reset):
    child = os.fork()
    if child == 0:
        try:
            use()
        except RuntimeError as error:
            print(error, flush=True)
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
def test_a_forked_process_is_told_so_instead_of_waiting_forever():
    shown = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.count('start processes by context="spawn"') == 2
