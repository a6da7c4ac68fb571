"""The single environment of Gymnasium, against Gymnasium's own checkers and against gymnax."""

import copy
import pickle
import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_reset_passive_checker, env_step_passive_checker

from fbx_env import PointMass, ReachEnv, ReachGymEnv, ReachParams, ReachVectorEnv, make

pytestmark = pytest.mark.optimised

NOISY = {
    "sensory_delay": 2,
    "motor_delay": 1,
    "sensory_noise": 0.1,
    "motor_noise": 0.2,
    "signal_noise": 0.3,
    "time_in_observation": True,
}


@pytest.fixture
def env():
    return ReachGymEnv(max_steps_in_episode=5)


def same(one, other):
    """Whether two results of ``step`` or ``reset`` are equal in every bit."""
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1:] == other[1:]


def test_gymnasiums_checker_warns_of_nothing_but_the_units(monkeypatch):
    """Observations have no bounds and forces are in newtons; there is nothing else to say."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make("PointMassReach-v0", **NOISY).unwrapped)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 3
    for text in ("minimum value is -infinity", "maximum value is infinity", "normalized space"):
        assert sum(text in message for message in messages) == 1


def test_passive_checker_finds_nothing(env):
    env_reset_passive_checker(env, seed=3)
    for _ in range(5):
        env_step_passive_checker(env, env.action_space.sample())


def test_types_are_those_gymnasium_asks_for(env):
    obs, info = env.reset(seed=0)
    assert (obs.dtype, obs.shape) == (np.float32, (8,))
    assert obs.flags.owndata
    assert obs.flags.writeable
    entries = {"losses", "distance", "speed", "is_success"}
    assert info.keys() == entries
    for step in range(5):
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert obs.flags.owndata
        assert obs in env.observation_space
        assert (type(reward), type(terminated)) == (float, bool)
        assert (terminated, truncated) == (step == 4, False)
        assert info.keys() == entries
        assert {type(loss) for loss in info["losses"].values()} == {np.float32}
        assert reward == pytest.approx(-sum(info["losses"].values()), rel=1e-6)
        kinds = [type(info[name]) for name in ("distance", "speed", "is_success")]
        assert kinds == [np.float32, np.float32, np.bool_]


def test_info_of_a_reset_says_that_nothing_has_happened(env):
    _, info = env.reset(seed=0, options={"start": (0, 0), "goal": (0, 0)})
    assert info["losses"] == {"position": 0, "final_velocity": 0, "command": 0}
    assert not info["is_success"]
    for step in range(5):
        *_, info = env.step(np.zeros(2))
        assert info["is_success"] == (step == 4)


@pytest.mark.parametrize("keywords", [{}, NOISY], ids=["plain", "everything"])
def test_every_bit_is_that_of_gymnax(keywords):
    """The same keys, trial and commands through ``ReachEnv`` itself."""
    face = ReachGymEnv(max_steps_in_episode=20, mass=1.7, damping=0.3, **keywords)
    env, params = make(max_steps_in_episode=20, mass=1.7, damping=0.3, **keywords)
    step_env = jax.jit(env.step_env)
    words = np.random.default_rng(12).integers(2**32, size=2, dtype=np.uint32)
    seed = jax.random.wrap_key_data(jnp.asarray(words))
    rng = np.random.default_rng(0)
    for count in range(2):
        key = jax.random.fold_in(seed, count)
        obs, state = env.reset(jax.random.fold_in(key, 0), params)
        face_obs, _ = face.reset(seed=12 if count == 0 else None)
        np.testing.assert_array_equal(obs, face_obs)
        for step in range(20):
            action = (4 * rng.standard_normal(2)).astype(np.float32)
            step_key = jax.random.fold_in(key, step + 1)
            obs, state, reward, ended, info = step_env(step_key, state, action, params)
            face_obs, *rest, face_info = face.step(action)
            np.testing.assert_array_equal(obs, face_obs)
            assert rest == [float(reward), bool(ended), False]
            assert face_info["losses"] == {k: float(v) for k, v in info["losses"].items()}


def test_distance_speed_and_success(env):
    env.reset(seed=0, options={"start": (0.0, 0.0), "goal": (0.3, 0.4)})
    _, _, _, _, info = env.step(np.array([2.0, 0.0]))
    assert info["distance"] == pytest.approx(0.5)
    assert info["speed"] == pytest.approx(0.1)

    for goal, force, success in [(0.0, 0.0, True), (0.049, 0.0, True), (0.051, 0.0, False)]:
        env.reset(options={"start": (0.0, 0.0), "goal": (goal, 0.0)})
        for _ in range(5):
            _, _, _, _, info = env.step(np.array([force, 0.0]))
        assert info["is_success"] == success
    env.reset(options={"start": (0.0, 0.0), "goal": (0.0, 0.0)})
    for step in range(5):
        *_, info = env.step(np.array([3.0 * (step == 4), 0.0]))
    assert (info["distance"], info["is_success"]) == (0.0, False)


def test_start_and_goal_are_as_asked_and_drawn_where_not(env):
    drawn, _ = env.reset(seed=1)
    obs, _ = env.reset(seed=1, options={"start": (0.25, -0.5)})
    np.testing.assert_array_equal(obs[4:6], [0.25, -0.5])
    np.testing.assert_array_equal(obs[:2], drawn[:2])
    obs, _ = env.reset(seed=1, options={"goal": [3, 4]})
    np.testing.assert_array_equal(obs[:2], [3, 4])
    np.testing.assert_array_equal(obs[4:6], drawn[4:6])
    obs, _ = env.reset(options={})
    assert not np.array_equal(obs[:2], [3, 4])


def test_parts_of_an_observation_have_names():
    env = gymnasium.make("PointMassReach-v0", time_in_observation=True)
    vector = ReachVectorEnv(2, time_in_observation=True)
    obs, _ = env.reset(seed=0, options={"start": (0.1, 0.2), "goal": (-0.3, 0.4)})
    layout = env.unwrapped.observation_layout
    np.testing.assert_array_equal(obs[layout["vision_position"]], np.float32([0.1, 0.2]))
    np.testing.assert_array_equal(obs[layout["goal_position"]], np.float32([-0.3, 0.4]))
    assert layout["time"] == slice(8, 9)
    assert vector.observation_layout == layout


def test_trials_cover_the_workspace():
    env = ReachGymEnv(workspace=((0.0, 0.0), (1.0, 3.0)))
    obs = np.array([env.reset(seed=7 if i == 0 else None)[0] for i in range(300)])
    for column, high in [(0, 1), (1, 3), (4, 1), (5, 3)]:
        assert 0 <= obs[:, column].min() < 0.05 * high
        assert 0.95 * high < obs[:, column].max() <= high


def test_seeds():
    one, other = ReachGymEnv(**NOISY), ReachGymEnv(**NOISY)
    action = np.ones(2)
    same(one.reset(seed=5), other.reset(seed=5))
    same(one.step(action), other.step(action))
    same(one.reset(), other.reset())
    assert not np.array_equal(one.reset()[0], one.reset()[0])
    assert not np.array_equal(one.reset(seed=6)[0], other.reset(seed=7)[0])
    assert not np.array_equal(ReachGymEnv().reset()[0], ReachGymEnv().reset()[0])
    same(one.reset(seed=np.int64(5)), other.reset(seed=5))
    huge = 2**100
    same(one.reset(seed=huge), other.reset(seed=huge))
    one.np_random, other.np_random = np.random.default_rng(1), np.random.default_rng(1)
    same(one.reset(), other.reset())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_by_itself(copied):
    original = gymnasium.make("PointMassReach-v0", **NOISY)
    original.reset(seed=3)
    original.step(np.ones(2))
    twin = copied(original)
    assert twin.spec == original.spec
    for _ in range(3):
        same(original.step(np.ones(2)), twin.step(np.ones(2)))
    original.step(np.ones(2))
    assert not np.array_equal(original.step(np.ones(2))[0], twin.step(np.ones(2))[0])
    same(original.reset(), twin.reset())


def test_equal_structures_compile_once():
    """With a horizon that no other test has, so that nothing is compiled before."""
    first, second = (ReachGymEnv(mass=mass, max_steps_in_episode=4321) for mass in (2.0, 3.0))
    programs = first._batch._programs
    assert second._batch._programs is programs
    sizes = []
    for env in (first, second):
        env.reset()
        env.step(np.ones(2))
        sizes.append((programs.step._cache_size(), programs.reset._cache_size()))
    assert sizes == [(1, 1)] * 2


def test_numbers_can_be_changed_within_a_trial(env):
    env.reset(seed=0, options={"start": (0, 0)})
    env.params = env.params.replace(plant=PointMass(mass=4.0))
    obs, *_ = env.step(np.array([4.0, 0.0]))
    assert obs[6] == pytest.approx(0.05)
    with pytest.raises(ValueError, match="these change size of the observation"):
        env.params = env.params.replace(time_in_observation=True)
    env.step(np.zeros(2))


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (1.0, ValueError, r"action must have shape \(2,\), got \(\)"),
        (np.zeros((1, 2)), ValueError, r"action must have shape \(2,\), got \(1, 2\)"),
        (np.array([np.nan, 0]), ValueError, "action must be finite, got .nan"),
        (np.array([np.inf, 0], np.float32), ValueError, "action must be finite, got .inf"),
        (np.array([1e300, 0]), ValueError, "action must be finite"),
        (np.array([True, False]), TypeError, "action must be an array of numbers"),
        ([[1.0], [1.0, 2.0]], TypeError, "action must be an array of numbers, got"),
        (np.zeros(2, complex), TypeError, "action must be an array of numbers"),
        ("up", TypeError, "action must be an array of numbers, got 'up'"),
        (None, TypeError, "action must be an array of numbers, got None"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(env, action, error, message):
    twin = copy.deepcopy(env)
    same(env.reset(seed=0), twin.reset(seed=0))
    with pytest.raises(error, match=message):
        env.step(action)
    same(env.step(np.ones(2)), twin.step(np.ones(2)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"goal": (np.nan, 0.0)}, ValueError, r"goal must be finite, got \(nan, 0.0\)"),
        ({"goal": (1.0, 0.0, 0.0)}, ValueError, r"goal must have shape \(2,\), got \(3,\)"),
        ({"start": 1.0}, ValueError, r"start must have shape \(2,\), got \(\)"),
        ({"start": ("a", "b")}, TypeError, "start must be an array of numbers"),
        ({"target": (0, 0)}, ValueError, "unknown option 'target'; allowed are start, goal"),
        ([], TypeError, "options must be a Mapping, got []"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(env, options, error, message):
    twin = copy.deepcopy(env)
    same(env.reset(seed=0), twin.reset(seed=0))
    with pytest.raises(error, match=message.replace("[]", r"\[\]")):
        env.reset(seed=1, options=options)
    same(env.step(np.ones(2)), twin.step(np.ones(2)))
    same(env.reset(), twin.reset())


def test_stepping_without_a_trial_is_refused(env):
    with pytest.raises(ResetNeeded, match="call reset\\(\\) before step"):
        env.step(np.zeros(2))
    env.reset()
    for _ in range(5):
        env.step(np.zeros(2))
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2))
    env.reset()
    env.step(np.zeros(2))


def test_bad_keywords_are_named():
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'mas'; did you mean"):
        gymnasium.make("PointMassReach-v0", mas=1.0)
    with pytest.raises(ValueError, match="no environment 'PointMassReach-v1'; did you mean Poin"):
        ReachGymEnv(env_id="PointMassReach-v1")
    with pytest.raises(ValueError, match="success_distance must be finite and greater than 0"):
        ReachGymEnv(success_distance=-1.0)
    with pytest.raises(ValueError, match=r"success_speed must have shape \(\) in one experiment"):
        ReachGymEnv(success_speed=[1.0, 2.0])
    with pytest.raises(ValueError, match="render_mode must be None or one of .*got 'ansi'"):
        ReachGymEnv(render_mode="ansi")
    with pytest.raises(gymnasium.error.Error, match="greater or equal to zero"):
        ReachGymEnv().reset(seed=-1)
    for seed in (1.5, np.array(3), {1: 2}, "a", True):
        with pytest.raises(TypeError, match="seed must be None or a whole number, got"):
            ReachGymEnv().reset(seed=seed)


def test_limits_of_success_are_numbers_of_the_params(env):
    env.params = env.params.replace(success_distance=0.2)
    with pytest.raises(ValueError, match="success_distance must be finite and greater than 0"):
        env.params.replace(success_distance=-1)
    env.reset(options={"start": (0, 0), "goal": (0.1, 0.1)})
    for _ in range(5):
        *_, info = env.step(jnp.zeros(2, jnp.bfloat16))
    assert info["is_success"]


def test_gymnasiums_wrappers_work():
    wrappers = gymnasium.wrappers
    env = gymnasium.make("PointMassReach-v0", max_steps_in_episode=10)
    env = wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    env = wrappers.RecordEpisodeStatistics(env)
    env = wrappers.NormalizeReward(wrappers.NormalizeObservation(env))
    env.action_space.seed(0)
    _, _ = env.reset(seed=0)
    for _ in range(10):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
    assert terminated
    assert not truncated
    assert info["episode"]["l"] == 10
    assert info["episode"]["r"] < 0

    limited = wrappers.TimeLimit(ReachGymEnv(), 4)
    made = gymnasium.make("PointMassReach-v0", max_episode_steps=4)
    for env in (limited, made):
        env.reset()
        ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(4)]
        assert ends == [(False, False)] * 3 + [(False, True)]


def test_params_reach_through_wrappers_as_the_readme_says():
    env = gymnasium.make("PointMassReach-v0", max_episode_steps=4)
    params = env.get_wrapper_attr("params")
    env.set_wrapper_attr("params", params.replace(plant=PointMass(mass=4.0)))
    assert env.unwrapped.params.plant.mass == 4
    env.reset(options={"start": (0, 0)})
    assert env.step(np.array([4.0, 0.0], np.float32))[0][6] == pytest.approx(0.05)


def test_params_and_components_of_ones_own_go_through_make():
    env = gymnasium.make("fbx_env:PointMassReach-v0", plant=PointMass(mass=2.0), dt=0.01)
    assert isinstance(env.unwrapped.params, ReachParams)
    assert env.unwrapped.params.plant.mass == 2
    assert env.metadata["render_fps"] == 100
    assert ReachGymEnv.metadata["render_fps"] == 20
    assert env.action_space == gymnasium.spaces.Box(-10, 10, (2,), np.float32)
    assert ReachEnv().observation_space(env.unwrapped.params).shape == env.observation_space.shape
