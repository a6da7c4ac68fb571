"""Trajectories as frames and as files of MATLAB, read back."""

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.io

from agents import make_policy
from fbx_env import UniformDraw, make, rollout, save_matlab, trajectory_frame

DRAWS = (UniformDraw("plant.mass", 0.5, 2.0),)


def acted(id="PointMassDelayedReach-v0", n_replicates=0, **settings):
    env, params = make(id, max_steps_in_episode=40, **settings)
    sizes = env.observation_space(params).shape[0], len(params.plant.controls)
    trials, key = params.task.validation_trials(), jax.random.key(0)

    def act(key):
        return rollout(env, params, make_policy("gru", *sizes, 3, key=key), trials, key)

    if n_replicates:
        return eqx.filter_vmap(act)(jax.random.split(key, n_replicates)), params
    return act(key), params


@pytest.fixture(scope="module")
def delayed():
    return acted(draws=DRAWS)


def test_a_frame_has_a_row_for_each_state(delayed):
    trajectory, params = delayed
    frame = trajectory_frame(trajectory, params)
    assert len(frame) == 7 * 41
    third = frame[frame.trial == 3]
    np.testing.assert_array_equal(third.pos_x, trajectory.pos[3, :, 0])
    np.testing.assert_array_equal(third.vel_y, trajectory.vel[3, :, 1])
    np.testing.assert_array_equal(third.time, trajectory.time[3])
    np.testing.assert_array_equal(third.activity_2[:-1], trajectory.activity[3, :, 2])
    np.testing.assert_array_equal(third.command_force_y[:-1], trajectory.command[3, :, 1])
    np.testing.assert_array_equal(third.loss_fixation[:-1], trajectory.losses["fixation"][3])
    np.testing.assert_array_equal(third.target_x[1:], trajectory.target.pos[3, :, 0])
    np.testing.assert_array_equal(
        third["plant.mass"], np.repeat(trajectory.drawn["plant.mass"][3], 41)
    )
    of_steps = [name for name in frame if name.startswith(("command", "activity", "loss", "obs"))]
    assert frame[frame.time == frame.time.max()][of_steps].isna().all(axis=None)
    assert not frame[frame.time < frame.time.max()].isna().any(axis=None)
    names = np.array(params.task.epoch_names)[np.asarray(trajectory.epoch[3])]
    np.testing.assert_array_equal(third.epoch.astype(str)[1:], names)


def test_a_frame_says_its_units(delayed):
    frame = trajectory_frame(*delayed)
    units = frame.attrs["units"]
    assert units.keys() <= set(frame.columns)
    expected = {"time": "s", "pos_x": "m", "vel_y": "m/s", "command_force_x": "N"}
    expected |= {"plant.mass": "kg", "direction": "rad"}
    assert {name: units[name] for name in expected} == expected
    assert "activity_0" not in units


def test_replicates_and_single_trials_are_rows_too(delayed):
    trajectory, params = acted(n_replicates=2)
    frame = trajectory_frame(trajectory, params)
    assert list(frame.columns[:2]) == ["replicate", "trial"]
    one = frame[(frame.replicate == 1) & (frame.trial == 4)]
    np.testing.assert_array_equal(one.pos_y, trajectory.pos[1, 4, :, 1])
    single = jax.tree.map(lambda leaf: leaf[2], delayed[0])
    frame = trajectory_frame(single, delayed[1])
    np.testing.assert_array_equal(frame.vel_x, single.vel[:, 0])
    assert set(frame.trial) == {0}


def read(path):
    return scipy.io.loadmat(path, simplify_cells=True)


def test_a_file_of_matlab_holds_arrays_names_and_units(delayed, tmp_path):
    trajectory, params = delayed
    save_matlab(tmp_path / "reaches.mat", trajectory, params)
    found = read(tmp_path / "reaches.mat")
    data, names, units = found["data"], found["names"], found["units"]
    assert data.keys() - units.keys() == {"epoch", "shape"}
    for name in ("pos", "vel", "command", "control", "load", "obs", "activity"):
        np.testing.assert_array_equal(data[name], getattr(trajectory, name))
    np.testing.assert_array_equal(data["plant_mass"], trajectory.drawn["plant.mass"])
    np.testing.assert_array_equal(data["epoch"][:, 1:], trajectory.epoch + 1)
    assert list(names["epoch"]) == list(params.task.epoch_names)
    assert list(names["command"]) == ["force_x", "force_y"]
    assert (list(units["command"]), units["plant_mass"], units["time"]) == (["N", "N"], "kg", "s")
    losses = dict(zip(names["loss"], np.moveaxis(data["loss"], -1, 0), strict=True))
    np.testing.assert_array_equal(losses["velocity"], trajectory.losses["velocity"])


def test_joints_and_muscles_have_names_and_units(tmp_path):
    trajectory, params = acted("MuscleArmReach-v0")
    frame = trajectory_frame(trajectory, params)
    elbow = np.rad2deg(np.asarray(trajectory.plant.angle)[..., 1]).ravel()
    np.testing.assert_allclose(frame.joint_angle_elbow, elbow, rtol=1e-5)
    assert frame.attrs["units"]["muscle_force_long_triceps"] == "N"
    save_matlab(str(tmp_path / "arm.mat"), trajectory, params)
    found = read(tmp_path / "arm.mat")
    assert found["data"]["muscle_activation"].shape == (8, 41, 6)
    assert list(found["names"]["joint_angle"]) == ["elbow", "shoulder"]


def test_replicates_are_flattened_in_a_file(tmp_path):
    trajectory, params = acted(n_replicates=2)
    save_matlab(tmp_path / "reaches.mat", trajectory, params)
    data = read(tmp_path / "reaches.mat")["data"]
    assert list(data["shape"]) == [2, 7]
    np.testing.assert_array_equal(data["pos"].reshape(2, 7, 41, 2), np.asarray(trajectory.pos))


def test_what_is_no_trajectory_of_the_experiment_is_refused(delayed, tmp_path):
    trajectory, params = delayed
    with pytest.raises(ValueError, match="other steps: 40, and not 30"):
        trajectory_frame(trajectory, make(max_steps_in_episode=30)[1])
    with pytest.raises(ValueError, match="those of the trajectory, which has other loss terms"):
        trajectory_frame(trajectory, make(max_steps_in_episode=40)[1])
    arm = make("TwoLinkArmDelayedReach-v0", max_steps_in_episode=40, dt=0.05)[1]
    with pytest.raises(ValueError, match="those of the trajectory, which has other controls"):
        save_matlab(tmp_path / "x.mat", trajectory, arm)
    with pytest.raises(TypeError, match="trajectory must be a Trajectory"):
        save_matlab(tmp_path / "x.mat", 3, params)
    with pytest.raises(TypeError, match="path must be a path, got 3"):
        save_matlab(3, trajectory, params)
