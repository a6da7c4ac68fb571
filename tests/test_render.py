"""Pictures: what they show, and that Gymnasium's tools take them."""

import builtins
import copy
import os
import subprocess
import sys

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from moviepy.video.io.VideoFileClip import VideoFileClip

from agents.sb3_vec_env import ReachVecEnv
from fbx_env import ConstantForce, PointMass, ReachGymEnv, ReachVectorEnv, whole
from fbx_env.gym.frame import CONTROL, EFFECTOR, GOAL, LOAD, TRACE, Scene, render_frame
from fbx_env.gym.render import grid, side_in_grid
from fbx_env.parts.plants.plant import Control

WORKSPACE = np.array([[-1.0, -1.0], [1.0, 1.0]])


def scene(**changes):
    given = {
        "workspace": WORKSPACE,
        "trace": np.array([[-0.5, -0.5], [0.0, -0.5]]),
        "target": np.array([0.5, 0.5]),
        "title": "a trial",
        "plant": PointMass(),
        "control": np.array([0.0, 0.0]),
        "load": None,
        "time": 0.05,
        "loss": 0.25,
    }
    return Scene(**{**given, **changes})


def centre(picture, colour):
    """The mean row and column of the pixels of a colour in the plane, not in the legend."""
    plane = picture[:-60]
    rows, columns = np.nonzero((plane == colour).all(-1))
    return (rows.mean(), columns.mean()) if len(rows) else None


def test_everything_is_where_it_should_be():
    picture = render_frame(scene())
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 512
    assert all(size % 2 == 0 for size in picture.shape[:2])
    pixels_per_metre = 512 / (1.16 * 2)
    middle = (42 + 256, 256)
    for colour, (x, y) in [(EFFECTOR, (0.0, -0.5)), (GOAL, (0.5, 0.5)), (TRACE, (-0.25, -0.5))]:
        row, column = centre(picture, colour)
        assert row == pytest.approx(middle[0] - y * pixels_per_metre, abs=3)
        assert column == pytest.approx(middle[1] + x * pixels_per_metre, abs=10)
    assert centre(picture, CONTROL) is None


@pytest.mark.parametrize("force", [(5.0, 0.0), (-5.0, 0.0), (0.0, 5.0), (0.0, -5.0)])
def test_the_arrow_points_along_the_force(force):
    picture = render_frame(scene(control=np.array(force)))
    row, column = centre(picture, CONTROL)
    mass_row, mass_column = centre(picture, EFFECTOR)
    away = np.array([column - mass_column, mass_row - row])
    assert away @ np.array(force) > 0.9 * np.linalg.norm(away) * 5


@pytest.mark.parametrize("side", [512, side_in_grid(10), side_in_grid(100)])
@pytest.mark.parametrize("size", [0.05, 0.1, 0.5, 1.0, 10.0])
def test_the_arrow_is_seen_beside_the_mass(size, side):
    """From its rim on, longer for stronger forces, and on no other side of it."""
    picture = render_frame(scene(control=np.array([size, 0.0])), side=side)
    mass, arrow = columns_of(picture, EFFECTOR), columns_of(picture, CONTROL)
    assert len(arrow) >= 3
    assert arrow.min() >= mass.max() - 1
    assert arrow.min() <= mass.max() + 3
    stronger = columns_of(
        render_frame(scene(control=np.array([2 * size, 0.0])), side=side), CONTROL
    )
    assert stronger.max() >= arrow.max()


def columns_of(picture, colour):
    """The columns in which the plane has something like the colour, which edges are blends of."""
    plane = picture[: picture.shape[1]].astype(int)
    near = np.abs(plane - colour).max(-1) < 60
    return np.unique(np.nonzero(near)[1])


def test_the_arrow_ends_in_sight():
    for x, y in [(0.98, 0.0), (0.0, 0.98), (-0.98, 0.98), (-0.5, -0.98)]:
        at = np.array([x, y])
        shown = scene(trace=np.stack([at, at]), control=10 * np.sign(at))
        picture = render_frame(shown)
        plane = picture[42:-62]
        border = np.concatenate([plane[:1].reshape(-1, 3), plane[:, 0], plane[:, -1]])
        assert not (border == CONTROL).all(-1).any()
        assert (plane == CONTROL).all(-1).sum() > 60


class Joints(PointMass):
    """A mass commanded by as many numbers as one likes, whose names and bounds are not forces."""

    n_joints: int = whole("of them", default=2)

    @property
    def controls(self):
        return tuple(Control(f"torque {i}", "N m", -2.0, 2.0) for i in range(self.n_joints))

    def step(self, state, control, load, dt):
        return PointMass().step(state, control.sum() * jnp.ones(2), load, dt)


@pytest.mark.parametrize("side", [512, side_in_grid(10), side_in_grid(100)])
@pytest.mark.parametrize("n_joints", [1, 2, 3, 6])
def test_a_command_that_is_no_force_is_shown_by_bars(n_joints, side):
    """Two torques are no arrow; a bar is as high as its number is, between its bounds."""
    plant = Joints(n_joints=n_joints)
    shown = scene(plant=plant, control=np.full(n_joints, 2.0))
    picture, half = (
        render_frame(scene(plant=plant, control=np.full(n_joints, size)), side=side)
        for size in (2.0, 1.0)
    )
    header = len(picture) - side if side < 300 else 42
    assert not (picture[header:] == CONTROL).all(-1).any()
    bars, lower = ((each[:header] == CONTROL).all(-1) for each in (picture, half))
    starts = np.diff(bars.any(0).astype(int)) == 1
    assert starts.sum() == n_joints
    assert 0.35 * bars.sum() < lower.sum() < 0.65 * bars.sum()
    assert centre(render_frame(shown), EFFECTOR) is not None


def test_bars_of_numbers_without_bounds_or_out_of_them_are_drawn():
    class Free(PointMass):
        @property
        def controls(self):
            return (Control("rate", "", -np.inf, np.inf), Control("gate", "", 0.0, 1.0))

    for control in ([1e9, 7.0], [np.nan, -1.0], [np.inf, 0.5]):
        assert render_frame(scene(plant=Free(), control=np.array(control))).shape[1] == 512


@pytest.mark.parametrize("plant", [PointMass(), Joints()])
@pytest.mark.parametrize("load", [(3.0, 0.0), (-3.0, 0.0), (0.0, 3.0)])
def test_a_load_is_an_arrow_of_its_own(plant, load):
    picture = render_frame(scene(plant=plant, load=np.array(load)))
    row, column = centre(picture, LOAD)
    mass_row, mass_column = centre(picture, EFFECTOR)
    away = np.array([column - mass_column, mass_row - row])
    assert away @ np.array(load) > 0.9 * np.linalg.norm(away) * 3
    without = render_frame(scene(plant=plant))
    assert not (without == LOAD).all(-1).any()


class Rail(PointMass):
    """A mass that one number pushes along x."""

    @property
    def controls(self):
        return (Control("push", "N", -10.0, 10.0),)

    def step(self, state, control, load, dt):
        return PointMass().step(state, jnp.concatenate([control, jnp.zeros(1)]), load, dt)


def test_a_plant_of_ones_own_is_drawn():
    env = ReachGymEnv(render_mode="rgb_array", plant=Rail(), loads=(ConstantForce((0.0, 2.0)),))
    env.reset(seed=0)
    env.step(np.ones(1))
    assert centre(env.render(), EFFECTOR) is not None
    assert centre(env.render(), LOAD) is not None
    with pytest.raises(NotImplementedError, match="Rail takes push: give keys_to_action"):
        env.get_keys_to_action()
    with pytest.raises(NotImplementedError, match="Joints takes torque 0, torque 1"):
        ReachGymEnv(plant=Joints()).get_keys_to_action()
    assert len(ReachGymEnv().get_keys_to_action()) == 8
    keys = ReachGymEnv(max_force=0.5).get_keys_to_action()
    np.testing.assert_array_equal(keys["wd"], [0.5, 0.5])


def test_the_title_of_a_window_says_what_is_shown(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    env = ReachGymEnv(render_mode="human", plant=Rail(), dt=0.01)
    env.reset(seed=0)
    assert pygame.display.get_caption()[0] == "SimpleReaches, Rail"
    env.close()


def test_frames_of_many_are_listed_as_gymnasium_lists_those_of_one():
    keywords = {"num_envs": 2, "render_mode": "rgb_array_list", "max_steps_in_episode": 3}
    ours = gymnasium.make_vec("PointMassReach-v0", **keywords)
    theirs = gymnasium.make_vec("PointMassReach-v0", vectorization_mode="sync", **keywords)
    for envs in (ours, theirs):
        envs.reset(seed=0)
        envs.step(np.ones((2, 2), np.float32))
    for n_frames in (2, 0, 1, 1):
        lists = [envs.render() for envs in (ours, theirs)]
        assert [[len(frames) for frames in each] for each in lists] == [[n_frames] * 2] * 2
        if n_frames == 0:
            for envs in (ours, theirs):
                envs.step(np.ones((2, 2), np.float32))
        elif n_frames == 1:
            for envs in (ours, theirs):
                for _ in range(2):
                    envs.step(np.ones((2, 2), np.float32))


def test_the_view_grows_to_keep_the_mass_in_sight():
    far = render_frame(scene(trace=np.array([[0.0, 0.0], [30.0, 5.0]])))
    assert centre(far, EFFECTOR) is not None
    assert centre(far, GOAL) is not None
    lost = render_frame(
        scene(trace=np.array([[0.0, 0.0], [np.inf, 5.0]]), control=np.array([np.nan, 0]))
    )
    assert centre(lost, EFFECTOR) is not None
    assert render_frame(scene(workspace=None)).shape == far.shape


def test_a_grid_is_about_square_and_fits_a_screen():
    frames = [render_frame(scene(), side=64)] * 5
    height, width, _ = frames[0].shape
    assert grid(frames).shape == (2 * height, 3 * width, 3)
    for n_frames in (1, 2, 9, 100):
        side = side_in_grid(n_frames)
        assert side % 2 == 0
        assert np.ceil(np.sqrt(n_frames)) * side <= 1024


def test_a_frame_shows_the_trial_so_far():
    env = gymnasium.make("PointMassReach-v0", render_mode="rgb_array")
    env.reset(seed=0, options={"start": (-0.5, -0.5), "goal": (0.5, 0.5)})
    first = env.render()
    total = 0.0
    for _ in range(20):
        _, reward, *_ = env.step(np.array([4.0, 0.0]))
        total -= reward
    last = env.render()
    assert centre(first, EFFECTOR)[1] < centre(last, EFFECTOR)[1]
    assert centre(first, TRACE) is None
    assert centre(last, CONTROL) is not None
    [shown] = env.unwrapped._scenes()
    assert shown.loss == pytest.approx(total)
    assert shown.time == pytest.approx(1.0)
    assert shown.trace.shape == (21, 2)
    env.reset(options={"start": (-0.5, -0.5), "goal": (0.5, 0.5)})
    np.testing.assert_array_equal(env.render(), first)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_traces_start_anew_with_their_trials(mode):
    envs = ReachVectorEnv(3, autoreset_mode=mode, render_mode="rgb_array", max_steps_in_episode=4)
    envs.reset(seed=0)
    steps = np.zeros((3, 2), np.float32)
    envs.step(steps)
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    envs.step(steps)

    def n_states():
        batch = envs._batch
        scenes = envs._recorder.scenes(batch.rows, batch.layout, envs.params, batch.states)
        return [len(scene.trace) for scene in scenes]

    assert n_states() == [3, 2, 3]
    envs.step(steps)
    envs.step(steps)
    assert n_states() == ([1, 4, 1] if mode == "SameStep" else [5, 4, 5])
    if mode == "NextStep":
        envs.step(steps)
        assert n_states() == [1, 5, 1]
    frames = envs.render()
    assert len(frames) == 3
    assert not np.array_equal(frames[0], frames[1])


def test_gymnasiums_render_check():
    env = gymnasium.make("PointMassReach-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (608, 512, 3)
    collected = gymnasium.wrappers.RenderCollection(ReachGymEnv(render_mode="rgb_array"))
    collected.reset(seed=0)
    collected.step(np.zeros(2))
    assert len(collected.render()) == 2


def test_a_video_is_recorded(tmp_path):
    env = gymnasium.make("PointMassReach-v0", render_mode="rgb_array", max_steps_in_episode=10)
    env = gymnasium.wrappers.RecordVideo(env, str(tmp_path / "videos"), name_prefix="reach")
    env.reset(seed=0)
    for _ in range(10):
        env.step(np.array([1.0, 1.0]))
    env.close()
    [path] = tmp_path.glob("videos/*.mp4")
    assert frames_in(path) == (20, 11)


def test_a_video_of_a_vector_is_recorded(tmp_path):
    envs = gymnasium.make_vec("PointMassReach-v0", num_envs=5, render_mode="rgb_array")
    envs = gymnasium.wrappers.vector.RecordVideo(envs, str(tmp_path / "videos"), video_length=5)
    envs.reset(seed=0)
    for _ in range(6):
        envs.step(np.zeros((5, 2), np.float32))
    envs.close()
    [path] = tmp_path.glob("videos/*.mp4")
    assert frames_in(path) == (20, 6)


def frames_in(path):
    """How many a second, and how many in all."""
    with VideoFileClip(str(path)) as video:
        return video.fps, len(list(video.iter_frames()))


def test_sb3_shows_images():
    envs = ReachVecEnv(3, render_mode="rgb_array")
    envs.reset()
    assert envs.get_attr("render_mode") == ["rgb_array"] * 3
    images = envs.get_images()
    assert len(images) == 3
    assert envs.render().shape == (2 * images[0].shape[0], 2 * images[0].shape[1], 3)


def test_a_window_opens_and_a_copy_has_its_own(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    for env, action in [
        (ReachGymEnv(render_mode="human", dt=0.01), np.zeros(2)),
        (ReachVectorEnv(2, render_mode="human", dt=0.01), np.zeros((2, 2))),
    ]:
        env.reset(seed=0)
        env.step(action)
        assert env.render() is None
        assert env._window._screen is not None
        assert copy.deepcopy(env)._window._screen is None
        env.close()
        assert env._window._screen is None


def test_two_environments_share_the_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    one, other = ReachGymEnv(render_mode="human", dt=0.01), ReachVectorEnv(5, render_mode="human")
    one.reset(seed=0)
    other.reset(seed=0)
    one.step(np.zeros(2))
    assert one._window._screen.get_size() == (512, 608)
    other.step(np.zeros((5, 2)))
    assert other._window._screen.get_size() == (1020, 808)
    other.close()
    one.step(np.zeros(2))
    assert one._window._screen.get_size() == (512, 608)
    third = ReachGymEnv(render_mode="human")
    third.reset()
    third.close()
    one.close()
    one.reset()
    one.close()


def test_without_a_display_the_window_says_what_to_do(tmp_path):
    code = (
        "from fbx_env import ReachGymEnv\n"
        "env = ReachGymEnv(render_mode='human')\n"
        "try: env.reset()\n"
        "except RuntimeError as error: print(error)"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "x11", "DISPLAY": ""}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert 'render_mode="rgb_array" needs no display' in shown.stdout


@pytest.mark.filterwarnings("ignore:.*matplotlib is not installed")  # There is no Tk here.
def test_play_moves_the_mass(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame
    from gymnasium.utils.play import play

    positions = []

    def watch(obs, next_obs, action, *_):
        if not positions:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=ord("d")))
        positions.append(next_obs[4])
        if len(positions) == 6:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    env = gymnasium.make("PointMassReach-v0", render_mode="rgb_array")
    play(env, callback=watch, noop=np.zeros(2, np.float32), fps=1000, seed=0)
    assert positions[-1] > positions[0]


def test_bad_use_is_answered(monkeypatch):
    with pytest.warns(UserWarning, match="render.. draws nothing without a render mode"):
        assert ReachGymEnv().render() is None
    with pytest.warns(UserWarning, match="render.. draws nothing without a render mode"):
        assert ReachVectorEnv(2).render() is None
    for env in (ReachGymEnv(render_mode="rgb_array"), ReachVectorEnv(render_mode="rgb_array")):
        with pytest.raises(ResetNeeded, match="nothing to draw yet"):
            env.render()

    real_import = builtins.__import__

    def without_pygame(name, *arguments, **keywords):
        if name == "pygame":
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_pygame)
    for make in (ReachGymEnv, ReachVectorEnv):
        # Some libraries ask for a render mode and never render.
        env = make(render_mode="rgb_array")
        env.reset(seed=0)
        env.step(np.zeros_like(env.action_space.sample()))
        with pytest.raises(DependencyNotInstalled, match=r'pip install "fbx-env\[render\]"'):
            env.render()
        env.close()
