"""How bodies look in figures and frames."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from bodies import POSTURE
from matplotlib.path import Path

import fbx_env
from agents import GRUPolicy
from fbx_env import (
    MuscleArm,
    MusclePointMass,
    PointMass,
    ThelenMuscle,
    TwoLinkArm,
    make,
    plot,
    rollout,
    tree_take,
)
from fbx_env.gym.frame import BONE, CONTROL, RELAXED, Scene, render_frame

ARM = MuscleArm()


@pytest.fixture(scope="module")
def reaches():
    """Reaches of an untrained network with a muscle arm, and the arm."""
    env, params = make("MuscleArmReach-v0", max_steps_in_episode=10)
    policy = GRUPolicy(env.observation_space(params).shape[0], 6, 5, key=jax.random.key(0))
    trials = params.task.validation_trials()
    return rollout(env, params, policy, trials, jax.random.key(0)), params.plant


def test_an_arm_is_drawn_from_shoulder_to_hand():
    state = ARM.state_at(angle=POSTURE, activation=jnp.linspace(0, 1, 6))
    outline = ARM.outline(state)
    np.testing.assert_allclose(outline.links[-1], ARM.effector(state).pos, atol=1e-6)
    lengths = np.linalg.norm(np.diff(outline.links, axis=0), axis=1)
    np.testing.assert_allclose(lengths, ARM.skeleton.length, rtol=1e-6)
    np.testing.assert_array_equal(outline.activation, state.activation)


def test_muscles_lie_on_the_side_to_which_they_bend_the_elbow():
    """Flexors inside of the bent elbow, extensors outside, what turns the shoulder at neither."""
    links, muscles, _, _ = ARM.outline(ARM.state_at(angle=POSTURE))
    elbow, inside = links[1], (links[0] + links[2]) / 2 - links[1]
    depth = dict(zip(ARM.geometry.names, (muscles[:, 2] - elbow) @ inside, strict=True))
    assert min(depth["biceps"], depth["brachioradialis"]) > 0
    assert max(depth["long triceps"], depth["lateral triceps"]) < 0
    np.testing.assert_array_equal(muscles[:2, 2], muscles[:2, 3])


def test_the_hand_is_inside_of_the_reachable_region():
    skeleton = TwoLinkArm().skeleton
    border = Path(TwoLinkArm().outline(TwoLinkArm().state_at(POSTURE)).region)
    inside = [skeleton.hand(jnp.array(angle)) for angle in ((0.3, 1.0), (2.0, 0.4), (2.3, 2.6))]
    assert border.contains_points(inside).all()
    outside = [(0.0, 0.0), (0.0, -0.5), (0.65, 0.0)]
    assert not border.contains_points(outside).any()


def test_muscles_of_a_point_mass_run_from_their_anchors_to_it():
    plant = MusclePointMass()
    outline = plant.outline(plant.state_at(pos=(0.3, -0.1)))
    np.testing.assert_allclose(jnp.abs(outline.muscles[:, 0]), 2.0, rtol=1e-5)
    np.testing.assert_allclose(outline.muscles[:, 1], [[0.3, -0.1]] * 4, rtol=1e-6)


def frame(plant, outline):
    return render_frame(
        Scene(
            title="",
            workspace=None,
            trace=np.array([[0.0, 0.4], [0.0, 0.45]]),
            target=np.array([0.1, 0.4]),
            plant=plant,
            control=np.zeros(len(plant.controls)),
            load=None,
            time=0.0,
            loss=0.0,
            outline=outline,
        )
    )[:-60]


def n_pixels(picture, color):
    return (picture == color).all(-1).sum()


def test_frames_show_links_and_how_active_muscles_are():
    outlines = [
        jax.tree.map(np.asarray, ARM.outline(ARM.state_at(POSTURE, activation=level)))
        for level in (0.0, 1.0)
    ]
    # The lowest activation is nearly none.
    relaxed, active = (
        frame(ARM, outline._replace(activation=level * np.ones(6)))
        for outline, level in zip(outlines, (0.0, 1.0), strict=True)
    )
    assert n_pixels(relaxed, BONE) > 500
    assert n_pixels(relaxed, RELAXED) > 500 > n_pixels(relaxed, CONTROL)
    assert n_pixels(active, CONTROL) > 500 > n_pixels(active, RELAXED)
    assert n_pixels(frame(PointMass(), None), BONE) < 20


def test_the_environment_renders_its_own_arm():
    env = fbx_env.ReachGymEnv(env_id="MuscleArmReach-v0", render_mode="rgb_array")
    env.reset(seed=0)
    still = env.render()
    for _ in range(5):
        env.step(np.ones(6, np.float32))
    assert n_pixels(still, BONE) > 500
    assert (still != env.render()).any()


def test_signals_of_the_body_over_time(reaches):
    trajectory, plant = reaches
    one = tree_take(trajectory, 2)
    figure, axes = plot.body_signals(one, plant)
    shown = {ax.get_ylabel().replace("\n", " "): ax for ax in axes}
    assert "Joint angle [deg]" in shown
    assert "Joint torque [N m]" in shown
    lines = {line.get_label(): line.get_ydata() for line in shown["Muscle force [N]"].lines}
    forces = jax.vmap(plant.tension)(one.plant)
    for index, name in enumerate(plant.geometry.names):
        np.testing.assert_allclose(lines[name], forces[:, index], rtol=1e-5)
    plt.close(figure)
    with pytest.raises(ValueError, match="tree_take"):
        plot.body_signals(trajectory, plant)
    with pytest.raises(TypeError, match="plant must be.*VisiblePlant"):
        plot.body_signals(one, PointMass())


def test_postures_and_animation_end_where_the_hand_does(reaches):
    trajectory, plant = reaches
    figure, ax = plot.postures(trajectory, plant)
    ends = [line.get_xydata()[-1] for line in ax.lines if len(line.get_xydata()) == 3]
    np.testing.assert_allclose(ends[1::2], trajectory.pos[:, -1], atol=1e-6)
    plt.close(figure)
    figure, animation = plot.animate_reaches(trajectory, plant=plant)
    links = animation._func(4)[:8]
    hands = [line.get_xydata()[-1] for line in links]
    np.testing.assert_allclose(hands, trajectory.pos[:, 4], atol=1e-6)
    animation._draw_was_started = True
    plt.close(figure)


def test_the_curves_of_a_muscle():
    """Points of them that the equations of Thelen's muscle give by hand."""
    figure, axes = plot.muscle_curves(ThelenMuscle())
    curves = [{line.get_label(): line.get_xydata().T for line in ax.lines} for ax in axes]
    (length, force), (_, relaxed) = curves[0]["difference"], curves[0]["relaxed"]
    np.testing.assert_allclose(force, 0.999 * np.exp(-((length - 1) ** 2) / 0.45), atol=1e-5)
    assert relaxed[0] == pytest.approx(0.001 * np.exp(-(0.5**2) / 0.45))
    velocity, force = curves[1]["activation 1"]
    np.testing.assert_allclose(force[velocity <= -10], 0.0, atol=1e-6)
    at = np.interp([-5.0, 0.0], velocity, force)
    np.testing.assert_allclose(at, [0.25 * 20 / (0.25 * 40 + 20), 1.0], rtol=1e-5)
    assert 1.35 < force[-1] < 1.4
    time, activation = curves[2]["activation"]
    # At full activation all of it is slower: 2 tau_a up, and half of tau_d down.
    slope = np.diff(activation) / np.diff(time)
    assert slope[0] == pytest.approx((1 - 0.001) / (0.015 * 0.5015), rel=0.2)
    assert slope[150] == pytest.approx(-activation[150] / (0.05 / 2), rel=0.05)
    assert [ax.get_xlabel() for ax in axes] == [
        "Fibre length [l_opt]",
        "Velocity of lengthening [l_opt/s]",
        "Time [s]",
    ]
    plt.close(figure)
    with pytest.raises(TypeError, match="muscle must be.*Muscle"):
        plot.muscle_curves(ARM)
    with pytest.raises(ValueError, match="optimal_length must be finite and greater than 0"):
        plot.muscle_curves(ThelenMuscle(), optimal_length=0.0)
