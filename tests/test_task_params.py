"""From the reaches of a body to its other tasks, and these through Gymnasium."""

import gymnasium
import numpy as np
import pytest

from agents import optimal_loss
from fbx_env import (
    CommandCost,
    DelayedReachTrial,
    FixationCost,
    ReachParams,
    SensoryChannel,
    SimpleReaches,
    Trial,
    TwoLinkArm,
    check_part,
    make,
)
from fbx_env.reach import check_task
from fbx_env.registration import TASKS

IDS = ("PointMassDelayedReach-v0", "PointMassHold-v0", "PointMassTrack-v0")


def arm_reaches():
    """Reaches of an arm in steps of 10 ms, of a body whose weight of commands is its own."""
    plant = TwoLinkArm()
    centre = np.asarray(plant.effector(plant.state_at(angle=(np.pi / 4, np.pi / 2))).pos)
    task = SimpleReaches(workspace=np.stack([centre - 0.12, centre + 0.12]), eval_distance=0.1)
    return ReachParams(
        plant=plant, task=task, dt=0.01, max_steps_in_episode=60, proprioception=SensoryChannel()
    ).replace(loss=make(loss_weights={"command": 1e-3})[1].loss)


@pytest.mark.parametrize(("task", "n_steps"), [("DelayedReach", 235), ("Hold", 60), ("Track", 200)])
def test_the_tasks_of_an_arm_lie_where_its_reaches_do(task, n_steps):
    reaches = arm_reaches()
    params = TASKS[task](reaches)
    check_task(params)
    check_part(params.task, params)
    assert params.max_steps_in_episode == n_steps
    assert params.loss.weights["command"] == 1e-3
    low, high = np.asarray(reaches.task.workspace)
    starts = np.asarray(params.task.validation_trials().start)
    assert (starts >= low - 1e-6).all()
    assert (starts <= high + 1e-6).all()


def test_knowing_when_the_go_comes_gains_little():
    """Until then the effector is to be still, so that it cannot be under way when the go comes."""
    _, params = make("PointMassDelayedReach-v0")
    trial = DelayedReachTrial((0.0, 0.0), (0.5, 0.0), (0.5, 0.7))
    told = optimal_loss(params, trial).total
    # Who is not told waits at the start, and has the rest of the trial for the reach.
    _, reach = make("PointMassReach-v0", max_steps_in_episode=99 - 24)
    waited = optimal_loss(reach, Trial(trial.start, trial.goal)).total
    assert 1.05 < waited / told < 1.12


@pytest.mark.parametrize("id", IDS)
def test_in_gymnasium_for_a_whole_trial(id):
    env = gymnasium.make(id)
    envs = gymnasium.make_vec(id, num_envs=2)
    obs, _ = env.reset(seed=3)
    many, _ = envs.reset(seed=3)
    np.testing.assert_array_equal(obs, many[0])
    action, ended, n_steps = np.zeros(2, np.float32), False, 0
    while not ended:
        obs, reward, ended, truncated, info = env.step(action)
        assert env.observation_space.contains(obs)
        assert not truncated
        np.testing.assert_allclose(reward, -sum(info["losses"].values()), rtol=1e-5, atol=1e-7)
        n_steps += 1
    assert n_steps == 99
    if id == "PointMassHold-v0":
        assert info["is_success"]


def test_a_delayed_reach_is_given_by_its_fields():
    env = gymnasium.make("PointMassDelayedReach-v0")
    options = {"start": (0, 0), "goal": (0.3, 0.4), "epoch_durations": (0.1, 0.1)}
    obs, _ = env.reset(options={**options, "is_catch": False})
    np.testing.assert_array_equal(obs[:6], [0, 0, 0, 0, 1, 0])
    shown = [env.step(np.zeros(2, np.float32))[0][:6] for _ in range(4)]
    np.testing.assert_allclose(shown[1], [0.3, 0.4, 0, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(shown[3], [0.3, 0.4, 0, 0, 0, 1], rtol=1e-6)
    with pytest.raises(ValueError, match="epoch_durations must be within the trial"):
        env.reset(options={**options, "epoch_durations": (4.0, 4.0)})
    with pytest.raises(ValueError, match="epoch_durations must be finite and at least 0"):
        env.reset(options={**options, "epoch_durations": (-1.0, 0.5)})


@pytest.mark.parametrize(
    ("id", "changes", "message"),
    [
        ("DelayedReach", {"hold_duration": (1.0, 5.0)}, "wait for the go .* 4.95 s, got .* 6.05 s"),
        ("DelayedReach", {"hold_duration": (-1.0, 0.5)}, r"hold_duration .* at least 0, got \(-1"),
        ("DelayedReach", {"loss": FixationCost(epochs="go") + CommandCost()}, "no epoch .* 'go'"),
        ("Track", {"preview": 7.0}, "preview .* 4.95 s, got .* 7 s"),
        ("Track", {"preview": -0.1}, "preview .* greater than 0, got -0.1"),
    ],
)
def test_nonsense_is_refused_where_it_is_typed(id, changes, message):
    with pytest.raises(ValueError, match=message):
        make(f"PointMass{id}-v0", **changes)


def test_a_path_out_of_reach_is_refused_by_gymnasium():
    with pytest.raises(ValueError, match=r"start .* reach of TwoLinkArm, got \[3\.0, 3\.0\]"):
        gymnasium.make("TwoLinkArmTrack-v0", path_centre=(3.0, 3.0), amplitude=(0.0, 0.0, 0.0))
