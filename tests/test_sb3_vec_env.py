"""The environment of Stable-Baselines3, against its own vector of single environments."""

import subprocess
import sys

import numpy as np
import pytest
from gymnasium.error import Error as GymnasiumError
from gymnasium.error import NoAsyncCallError, ResetNeeded
from moviepy.video.io.VideoFileClip import VideoFileClip
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize, VecVideoRecorder

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import PointMass, ReachGymEnv

pytestmark = pytest.mark.optimised

NOISY = {
    "max_steps_in_episode": 7,
    "sensory_delay": 2,
    "motor_delay": 1,
    "sensory_noise": 0.1,
    "signal_noise": 0.3,
    "time_in_observation": True,
}


@pytest.fixture
def envs():
    return ReachVecEnv(3, **NOISY)


def test_sb3s_checker_finds_nothing_in_the_single_environment():
    with pytest.warns(UserWarning, match="symmetric and normalized") as caught:
        check_env(ReachGymEnv(**NOISY))
    assert len(caught) == 1


def test_the_same_as_sb3s_own_vector_of_singles(envs):
    theirs = DummyVecEnv([lambda: ReachGymEnv(**NOISY)] * 3)
    assert envs.seed(5) == theirs.seed(5)
    options = [{"goal": (0.5, 0.5)}, {}, {"start": (0, 0), "goal": (0.1, 0.2)}]
    envs.set_options(options)
    theirs.set_options(options)
    rng = np.random.default_rng(0)
    for _ in range(3):
        np.testing.assert_array_equal(envs.reset(), theirs.reset())
        assert envs.reset_infos == theirs.reset_infos
        for step in range(20):
            actions = rng.normal(scale=3, size=(3, 2)).astype(np.float32)
            obs, rewards, dones, infos = envs.step(actions)
            expected = theirs.step(actions)
            np.testing.assert_array_equal(obs, expected[0])
            np.testing.assert_array_equal(rewards, expected[1])
            np.testing.assert_array_equal(dones, expected[2])
            assert dones.all() == ((step + 1) % 7 == 0)
            assert envs.reset_infos == theirs.reset_infos
            for done, info, plain in zip(dones, infos, expected[3], strict=True):
                assert done or info == {}
                if done:
                    last, plain_last = (
                        info.pop("terminal_observation"),
                        plain.pop("terminal_observation"),
                    )
                    np.testing.assert_array_equal(last, plain_last)
                    assert info == plain
                    assert type(info["is_success"]) is np.bool_


def test_types_are_those_sb3_asks_for(envs):
    assert envs.observation_space.shape == (9,)
    assert envs.action_space.shape == (2,)
    results = [envs.reset(), *envs.step(np.zeros((3, 2)))[:3]]
    for array, dtype in zip(results, (np.float32, np.float32, np.float32, bool), strict=True):
        assert array.dtype == dtype
        array[...] = 0
    _, _, _, infos = envs.step(np.zeros((3, 2)))
    infos[0]["mine"] = 1
    assert infos[1] == {}
    assert envs.step(np.zeros((3, 2)))[3][0] == {}


def test_seeds_are_used_once(envs):
    envs.seed(3)
    first, second = envs.reset(), envs.reset()
    assert not np.array_equal(first, second)
    envs.seed(3)
    np.testing.assert_array_equal(envs.reset(), first)
    np.testing.assert_array_equal(envs.reset(), second)


def test_attributes(envs):
    assert envs.get_attr("render_mode") == [None] * 3
    assert "goal_position" in envs.get_attr("observation_layout")[0]
    assert envs.has_attr("params")
    assert not envs.has_attr("action_masks")
    assert envs.get_attr("action_space", 0) == [envs.action_space]
    with pytest.raises(AttributeError, match="action_masks"):
        envs.get_attr("action_masks")
    envs.set_attr("difficulty", 2, indices=[1])
    assert envs.get_attr("difficulty", indices=[1]) == [2]
    assert not envs.has_attr("difficulty")

    params = envs.get_attr("params")[0]
    heavier = params.replace(plant=PointMass(mass=4.0))
    with pytest.raises(ValueError, match="params belongs to all trials together"):
        envs.set_attr("params", heavier, indices=0)
    envs.set_attr("params", heavier)
    assert [params.plant.mass for params in envs.get_attr("params", [0, 2])] == [4, 4]

    assert envs.env_is_wrapped(Monitor) == [False] * 3
    assert envs.env_is_wrapped(Monitor, indices=0) == [False]
    assert envs.env_method("close") == [None] * 3
    assert envs.env_method("close", indices=[-1, 0, 1]) == [None] * 3
    with pytest.raises(AttributeError):
        envs.env_method("compute_reward")
    with pytest.raises(ValueError, match="close belongs to all trials together"):
        envs.env_method("close", indices=[0])


def test_what_all_trials_share_is_set_with_care(envs):
    for name in ("observation_space", "action_space", "num_envs", "render_mode", "step"):
        with pytest.raises(AttributeError, match=f"{name} cannot be set; .* params can"):
            envs.set_attr(name, 1)
    with pytest.raises(TypeError, match="params must be a ReachParams, got -1"):
        envs.set_attr("params", -1)
    envs.set_attr("mine", 3, indices=-1)
    assert envs.get_attr("mine", indices=[2]) == [3]
    for call in (envs.get_attr, lambda name, which: envs.set_attr(name, 0, which)):
        with pytest.raises(IndexError, match="there are trials 0 to 2, got indices 7"):
            call("mine", 7)


def test_goes_on_after_a_shared_number_changes():
    envs = ReachVecEnv(3, mass=2.0)
    envs.set_options({"start": (0.0, 0.5)})
    envs.reset()
    params = envs.get_attr("params")[0]
    plant = params.plant.replace(max_force=4.0)
    envs.set_attr("params", params.replace(dt=0.1, plant=plant))
    assert (envs.action_space.high == 4).all()
    assert envs.metadata["render_fps"] == 10
    envs.step(np.array([[1.0, 9.0]] * 3))
    obs, *_ = envs.step(np.zeros((3, 2)))
    # The velocity grows by 0.1 s * force / 2 kg; the position moves with it one step later.
    np.testing.assert_allclose(obs[:, 6:8], [[0.05, 0.2]] * 3, rtol=1e-6)
    np.testing.assert_allclose(obs[:, 4:6], [[0.005, 0.52]] * 3, rtol=1e-6)


def test_a_video_has_as_many_frames_as_there_were_steps_and_their_pace(tmp_path):
    envs = ReachVecEnv(2, render_mode="rgb_array", dt=0.1)
    envs = VecVideoRecorder(envs, str(tmp_path), lambda step: step == 0, video_length=6)
    assert envs.frames_per_sec == 10
    envs.reset()
    for _ in range(8):
        envs.step(np.ones((2, 2)))
    envs.close()
    [path] = tmp_path.glob("*.mp4")
    with VideoFileClip(str(path)) as video:
        assert (video.fps, len(list(video.iter_frames()))) == (10, 7)


def test_seeds_and_options_are_checked_when_given(envs):
    twin = ReachVecEnv(3, **NOISY)
    for each in (envs, twin):
        each.seed(np.int64(1))
        each.set_options({"goal": (0.1, 0.2)})
    for seed, error in [(-3, GymnasiumError), (1.5, TypeError), ("a", TypeError)]:
        with pytest.raises(error, match="seed must be"):
            envs.seed(seed)
    with pytest.raises(ValueError, match="unknown option 'gaol'; allowed are start, goal"):
        envs.set_options({"gaol": (0, 0)})
    with pytest.raises(ValueError, match="goal must be finite"):
        envs.set_options([{}, {"goal": (np.nan, 0)}, {}])
    with pytest.raises(ValueError, match="one dict or one for each of 3 trials, got 1"):
        envs.set_options([{}])
    np.testing.assert_array_equal(envs.reset(), twin.reset())
    np.testing.assert_array_equal(envs.reset(), twin.reset())


def test_sb3s_wrappers_count_and_normalise():
    envs = VecNormalize(VecMonitor(ReachVecEnv(4, max_steps_in_episode=5)))
    envs.reset()
    for _ in range(5):
        _, _, dones, infos = envs.step(np.zeros((4, 2), np.float32))
    assert dones.all()
    assert [info["episode"]["l"] for info in infos] == [5] * 4


def test_bad_input_is_refused_and_changes_nothing(envs):
    twin = ReachVecEnv(3, **NOISY)
    with pytest.raises(ResetNeeded, match="no trial is under way"):
        envs.step(np.zeros((3, 2)))
    envs.seed(1)
    twin.seed(1)
    np.testing.assert_array_equal(envs.reset(), twin.reset())
    with pytest.raises(NoAsyncCallError, match="call step_async"):
        envs.step_wait()
    with pytest.raises(ValueError, match="actions must be finite"):
        envs.step(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"actions must have shape \(3, 2\), got \(2, 2\)"):
        envs.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(envs.step(np.ones((3, 2)))[0], twin.step(np.ones((3, 2)))[0])
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        ReachVecEnv(0)


def test_neither_package_imports_torch():
    code = "import sys, fbx_env, agents; assert not {'torch', 'stable_baselines3'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
