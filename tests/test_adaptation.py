"""Adaptation to a force field: errors, after-effects, forces in a channel, and their figures."""

from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pandas
import pytest
from conftest import load_reference
from trajectories import N_UNITS, Controller

from agents import BPTTConfig, GRUPolicy, adapt, train_scan
from fbx_env import (
    Component,
    CurlField,
    ForceChannel,
    GivenReaches,
    SimpleReaches,
    Trial,
    make,
    measure,
    plot,
    rollout,
)
from fbx_env.lateral import adaptation_index, lateral_force, perpendicular_error

STRENGTH = 1.5


class Compensating(Component):
    """Pulls to the goal, and pushes against the field that it would meet."""

    controller: Controller
    strength: Any

    def __call__(self, obs, carry, *, key=None):
        command, activity = self.controller(obs, carry)
        vel = obs[6:8]
        return command - self.strength * jnp.stack([-vel[1], vel[0]]), activity

    def initial_carry(self):
        return jnp.zeros(N_UNITS)

    def activity(self, carry):
        return carry


def compensating(strength):
    controller = Controller(jnp.zeros((N_UNITS, 8)), jnp.eye(2), 2.0)
    return Compensating(controller, jnp.asarray(strength))


@pytest.fixture
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def adaptation():
    reference = load_reference("delay1_trained")
    params = reference.params()[1]
    return adapt(
        reference.policy(),
        params,
        CurlField(1.0),
        key=jax.random.key(0),
        n_baseline=2,
        n_field=40,
        n_washout=20,
        updates_per_block=2,
    )


def mean(adaptation, column, condition, n_updates):
    frame = adaptation.frame
    rows = (frame.condition == condition) & (frame.n_updates == n_updates)
    assert rows.sum() == 7
    return frame[rows][column].mean()


def test_the_perpendicular_error_is_positive_to_the_left():
    pos = jnp.array([[0.0, 1.0], [0.5, 1.2], [0.5, 1.5], [1.0, 1.9], [2.0, 2.0]])
    trial = Trial(start=(0.0, 1.0), goal=(3.0, 1.0))
    assert perpendicular_error(pos, trial) == 1.0
    other_way = Trial(start=(0.0, 1.0), goal=(-3.0, 1.0))
    assert perpendicular_error(pos, other_way) == -1.0
    assert perpendicular_error(pos, Trial(start=(0.0, 1.0), goal=(0.0, 1.0))) == 0.0


def test_an_index_is_a_slope():
    ideal = jnp.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(adaptation_index(0.3 * ideal, ideal), 0.3, rtol=1e-6)
    across = jnp.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(adaptation_index(0.3 * ideal + across, ideal), 0.3, rtol=1e-6)


def test_the_lateral_force_of_a_curl_field_is_by_speed_along_the_line(key):
    env, params = make(loads=(CurlField(STRENGTH),), max_steps_in_episode=20)
    trial = Trial(start=(0.0, 0.0), goal=(0.3, 0.4))
    reach = rollout(env, params, compensating(STRENGTH), trial, key)
    force = lateral_force(CurlField(STRENGTH), reach, params)
    along = np.asarray(reach.vel[:-1]) @ np.array([0.6, 0.8])
    np.testing.assert_allclose(force, STRENGTH * along, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(reach.load, axis=-1), np.abs(force), atol=1e-6)
    error = measure(reach, params).perpendicular_error[0]
    np.testing.assert_allclose(error, perpendicular_error(reach.pos, trial), atol=1e-9)


def test_who_expects_the_field_has_index_1_and_after_effects_to_the_other_side(key):
    params = make(max_steps_in_episode=60)[1]
    policies = {"knows": compensating(STRENGTH), "does not": compensating(0.0)}
    shared = {"n_baseline": 1, "n_field": 1, "n_washout": 1, "learning_rate": 1e-9, "key": key}
    found = {
        name: adapt(policy, params, CurlField(STRENGTH), **shared)
        for name, policy in policies.items()
    }
    index = {name: mean(each, "adaptation_index", "channel", 0) for name, each in found.items()}
    # The walls give way a little, and push after a step or two.
    np.testing.assert_allclose([index["knows"], index["does not"]], [1.0, 0.0], atol=0.02)
    forces = found["knows"].forces
    later = forces[forces.time > 0.29]
    np.testing.assert_allclose(later.measured, later.ideal, atol=0.05 * forces.ideal.abs().max())
    assert forces.ideal.min() < -0.1  # A field that pushes to the left is held against.
    error = {
        (name, condition): mean(each, "perpendicular_error", condition, 0)
        for name, each in found.items()
        for condition in ("field", "no_field")
    }
    assert abs(error["knows", "field"]) < 1e-5 > abs(error["does not", "no_field"])
    assert error["knows", "no_field"] < -0.02
    assert error["does not", "field"] > 0.02


@pytest.mark.slow
def test_a_network_learns_the_field_and_keeps_it_without(adaptation):
    index = [mean(adaptation, "adaptation_index", "channel", n) for n in (0, 2, 22, 42)]
    np.testing.assert_allclose(index[:2], 0, atol=0.1)
    assert index[1] < index[2] < index[3]
    assert index[3] > 0.3
    error = [mean(adaptation, "perpendicular_error", "field", n) for n in (2, 22, 42)]
    assert error[0] > error[1] > error[2]
    after_effect = [mean(adaptation, "perpendicular_error", "no_field", n) for n in (2, 22, 42, 60)]
    assert after_effect[0] > after_effect[1] > after_effect[2]
    assert after_effect[2] < -0.02
    assert after_effect[3] > after_effect[2]  # Washed out.
    assert mean(adaptation, "loss", "field", 42) < mean(adaptation, "loss", "field", 2)


@pytest.mark.slow
def test_stages_are_those_of_the_frame(adaptation, tmp_path):
    at = {
        "before": ("no_field", 0),
        "early": ("field", 2),
        "late": ("field", 42),
        "after": ("no_field", 42),
    }
    assert list(adaptation.reaches) == list(at)
    for stage, (condition, n_updates) in at.items():
        reaches = adaptation.reaches[stage]
        errors = jax.vmap(perpendicular_error)(reaches.pos, reaches.trial)
        expected = mean(adaptation, "perpendicular_error", condition, n_updates)
        np.testing.assert_allclose(errors.mean(), expected, atol=1e-5)
    phases = adaptation.frame.groupby("phase").n_updates.agg(["min", "max"])
    np.testing.assert_array_equal(phases.loc["field"], [2, 40])
    np.testing.assert_array_equal(phases.loc["washout"], [42, 60])
    # No label is one that pandas reads as missing.
    adaptation.frame.to_csv(tmp_path / "frame.csv", index=False)
    again = pandas.read_csv(tmp_path / "frame.csv")
    assert set(again.condition) == {"no_field", "field", "channel"}
    references = adaptation.references
    assert references.loss["optimum"] < references.loss["naive"]
    assert references.perpendicular_error["naive"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("close_figures")
def test_figures_show_the_frame(adaptation):
    _, (error, index) = plot.adaptation_curve(adaptation.frame, adaptation.references)
    lines = {line.get_label(): line for line in (*error.lines, *index.lines)}
    frame = adaptation.frame
    channel = frame[frame.condition == "channel"].groupby("n_updates").adaptation_index.mean()
    np.testing.assert_allclose(lines["in the channel"].get_ydata(), channel)
    met = lines["current condition"].get_xydata()
    for n_updates, condition in ((0, "no_field"), (2, "field"), (40, "field"), (42, "no_field")):
        (value,) = met[met[:, 0] == n_updates, 1]
        assert value == pytest.approx(mean(adaptation, "perpendicular_error", condition, n_updates))
    np.testing.assert_array_equal(lines["after-effect"].get_xdata(), np.arange(2, 42, 2))
    for name in ("optimum", "naive"):
        line = lines[f"{name} in the field"]
        assert list(line.get_xdata()) == [2, 42]
        assert line.get_ydata()[0] == adaptation.references.perpendicular_error[name]

    _, axes = plot.channel_forces(adaptation.forces)
    assert [ax.get_title() for ax in axes] == ["Before", "Late"]
    late = adaptation.forces[adaptation.forces.stage == "late"].groupby("time").measured.mean()
    drawn = next(line for line in axes[1].lines if line.get_label() == "measured")
    np.testing.assert_allclose(drawn.get_ydata(), late)

    figure, axes = plot.reaches_by_stage(adaptation.reaches)
    assert [ax.get_title() for ax in axes] == ["Before", "Early", "Late", "After"]
    figure.draw_without_rendering()
    room = [figure.bbox.height - ax.title.get_window_extent().y1 for ax in axes]
    assert min(room) > 4  # Pixels; the first drawing has the titles within the figure.
    _, ax = plot.generalisation(adaptation.frame, [0.0, -np.pi / 2])
    at_end = frame[(frame.condition == "channel") & (frame.n_updates == 42)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), at_end.adaptation_index)
    assert [line.get_xdata()[0] for line in ax.lines[1:3]] == [0, 270]


def test_updates_in_the_field_are_those_of_train_scan(key):
    params = make(max_steps_in_episode=6)[1]
    policy = GRUPolicy(8, 2, 4, key=key)
    field = CurlField(2.0)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    sizes = {"batch_size": 4}
    found = adapt(
        policy, params, field, key=key, n_baseline=0, n_field=3, n_washout=1,
        learning_rate=1e-2, **sizes,
    ).policy  # fmt: skip
    config = BPTTConfig(n_batches=3, **sizes)
    expected, _ = train_scan(
        policy, params.replace(loads=(field,)), config, key=key, optimizer=optimizer
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), found, expected
    )


def test_given_reaches_are_all_there_is():
    starts, goals = ((0.0, 0.0), (0.1, 0.0)), ((0.5, 0.0), (0.0, 0.5))
    task = GivenReaches(starts, goals)
    trials = jax.vmap(task.sample)(jax.random.split(jax.random.key(0), 400))
    both, counts = np.unique(
        np.concatenate([trials.start, trials.goal], -1), axis=0, return_counts=True
    )
    np.testing.assert_allclose(both, np.concatenate([starts, goals], -1), atol=1e-7)
    assert min(counts) > 150
    np.testing.assert_allclose(task.validation_trials().goal, goals)
    with pytest.raises(ValueError, match=r"starts and goals.*\(2, 2\).*\(1, 2\)"):
        GivenReaches(starts, goals[:1])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"field": 3.0}, TypeError, "field must be a Load"),
        ({"n_field": 0}, ValueError, "n_field must be.*0"),
        ({"updates_per_block": 0}, ValueError, "updates_per_block must be.*0"),
        ({"channel": CurlField(1.0)}, TypeError, "channel must be a ForceChannel"),
        ({"task": 1}, TypeError, "task must be a Task"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be.*-1"),
        ({"loads": (CurlField(2.0),)}, ValueError, "curl, curl"),
        ({"channel": ForceChannel(1e6, 1.0)}, FloatingPointError, "channel"),
        (
            {"learning_rate": 0.1, "optimizer": optax.sgd(0.1)},
            ValueError,
            "learning_rate belongs to the default optimizer.*0.1",
        ),
    ],
)
def test_what_cannot_be_adapted_to_is_refused(changes, error, message, key):
    changes = dict(changes)
    loads = changes.pop("loads", ())
    task = SimpleReaches(eval_n_directions=3)
    params = make(max_steps_in_episode=20, task=task, loads=loads)[1]
    arguments = {"field": CurlField(1.0), "n_baseline": 0, "n_field": 1, "n_washout": 1, "key": key}
    arguments |= changes
    policy = GRUPolicy(8, 2, 4, key=key)
    with pytest.raises(error, match=message):
        adapt(policy, params, batch_size=2, **arguments)


def test_frames_without_the_columns_are_refused(adaptation):
    frame = adaptation.frame
    with pytest.raises(ValueError, match="adaptation_index"):
        plot.adaptation_curve(frame.drop(columns="adaptation_index"))
    with pytest.raises(TypeError, match="frame must be a pandas frame, got list"):
        plot.generalisation([1, 2])
    with pytest.raises(ValueError, match="0 rows"):
        plot.channel_forces(adaptation.forces[:0])
    with pytest.raises(ValueError, match="none"):
        plot.reaches_by_stage({})
