"""Muscles: force by activation, length and velocity; geometry; dynamics of activation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import PLANTS, POSTURE, plant_of, recording

from fbx_env import (
    KistemakerMuscle,
    MujocoMuscle,
    MuscleArm,
    MusclePointMass,
    ReluMuscle,
    ThelenMuscle,
    TodorovLiArm,
    VirtualMuscle,
)
from fbx_env.parts.plants.geometry.quadratic_geometry import QuadraticGeometry
from fbx_env.parts.plants.geometry.straight_geometry import StraightGeometry
from fbx_env.parts.plants.muscles.thelen_activation import ThelenActivation

MUSCLES = [ReluMuscle(), ThelenMuscle(), KistemakerMuscle(), MujocoMuscle(), VirtualMuscle()]
HILL = [ThelenMuscle(), KistemakerMuscle(), MujocoMuscle(max_velocity=1.0), VirtualMuscle()]
NAME = {"ids": lambda muscle: type(muscle).__name__}
ONE = jnp.ones(1)


def tension(muscle, activation=1.0, length=1.0, velocity=0.0):
    """Of one muscle with an optimal length of 1 m, at many places at once."""
    places = jnp.broadcast_arrays(*map(jnp.asarray, (activation, length, velocity)))
    rows = [place.reshape(-1, 1) for place in places]
    of = jax.vmap(lambda *where: muscle.tension(*where, ONE))(*rows)
    return of.reshape(places[0].shape)


GOLDEN_FORCES = {
    ThelenMuscle(): (
        *(353.833535704, 715.743671864, 886.096186974),
        *(564.791897270, 234.287696297, 251.692542505),
    ),
    MujocoMuscle(): (
        *(402.119825757, 625.294504212, 701.157451249),
        *(678.332112446, 183.942806993, 211.016329945),
    ),
    KistemakerMuscle(velocity_scale=10.0): (
        *(416.337417521, 609.857549084, 712.422210351),
        *(743.211356817, 195.597013851, 263.741950422),
    ),
}


@pytest.mark.parametrize(("muscle", "forces"), GOLDEN_FORCES.items(), **NAME)
def test_golden_forces_and_geometry(muscle, forces):
    plant = MuscleArm(muscle=muscle)
    state = plant.state_at(angle=POSTURE, rate=(1.0, -2.0), activation=0.5)
    np.testing.assert_allclose(plant.tension(state), forces, rtol=3e-6)
    length, velocity = plant.fibres(state)
    length = length + plant.geometry.tendon_length
    golden_length = [0.174561945, 0.208638055, 0.254039247, 0.269341626, 0.317265017, 0.314566261]
    golden_velocity = [-0.03, 0.03, 0.053132741, -0.036176992, 0.037814156, -0.009893807]
    np.testing.assert_allclose(length, golden_length, atol=1e-7)
    np.testing.assert_allclose(velocity, golden_velocity, atol=1e-7)
    elbow = jax.jacobian(plant.geometry.length)(state.angle)[:, 1]
    arms = [0.0, 0.0, -0.026566371, 0.018088496, -0.033907078, 0.019946904]
    np.testing.assert_allclose(elbow, arms, atol=1e-7)


def test_golden_tensions_of_virtual_muscles():
    plant = TodorovLiArm()
    state = plant.state_at(angle=POSTURE, rate=(1.0, -2.0), activation=0.5)
    relative = plant.fibres(state)[0] / plant.geometry.optimal_length
    lengths = [0.85694023, 1.42958656, 0.95014903, 0.84169126, 0.83916571, 1.36064378]
    np.testing.assert_allclose(relative, lengths, rtol=1e-6)
    tensions = [0.03012571, 0.44908928, 0.12734503, 0.01631169, 0.03423386, 0.25037642]
    np.testing.assert_allclose(plant.tension(state) / plant.geometry.max_force, tensions, rtol=2e-5)


def test_golden_rates_of_activation():
    rate = ThelenActivation().rate(jnp.array([0.8, 0.1]), jnp.array([0.2, 0.6]))
    np.testing.assert_allclose(rate, [50.0, -14.0], rtol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in PLANTS if "torques" not in name and not name.endswith("curl")]
)
def test_every_muscle_is_as_the_solutions_have_it(name):
    """Length, velocity, force and torque in all states of the recorded movements."""
    of = recording(name)
    make_plant = PLANTS[name]
    for index in range(4):
        plant = plant_of(name, of, index, make_plant())
        names = ("pos", "vel") if "pos" in of else ("joint_angle", "joint_rate")
        where = [jnp.asarray(of[each][index], float) for each in (*names, "activation")]
        state = jax.vmap(type(plant.init(plant.effector(plant.state_at(POSTURE)).pos)))(*where)

        def measure(state, plant=plant):
            return plant.fibres(state), plant.tension(state), plant.pull(state)

        (length, velocity), force, pull = jax.vmap(measure)(state)
        unit = plant.geometry.optimal_length if name == "arm_todorov_li" else 1.0
        if name != "arm26_relu":  # Its file has lengths with the tendon.
            np.testing.assert_allclose(length / unit, of["muscle_length"][index], atol=1e-5)
        np.testing.assert_allclose(velocity / unit, of["muscle_velocity"][index], atol=2e-4)
        strongest = of["muscle_force"].max()
        np.testing.assert_allclose(force, of["muscle_force"][index], atol=2e-4 * strongest)
        torque = of["muscle_total_force" if "pos" in of else "muscle_torque"][index]
        np.testing.assert_allclose(pull, torque, atol=3e-4 * np.abs(torque).max())


@pytest.mark.parametrize("muscle", HILL, **NAME)
def test_force_falls_with_the_speed_of_shortening(muscle):
    """It rises with velocity, is continuous at rest, and bounded."""
    velocity = jnp.linspace(-14, 14, 561)
    force = tension(muscle, 0.6, 1.0, velocity)
    steps = np.diff(force)
    assert (steps > -1e-6).all()
    assert steps.max() < 0.1
    assert 1.05 < force[-1] / tension(muscle, 0.6, 1.0, 0.0) < 1.9


@pytest.mark.parametrize(
    ("muscle", "speed"),
    [(ThelenMuscle(), 10.0), (KistemakerMuscle(), 5.2 / 0.41), (MujocoMuscle(), 1.5)],
    **NAME,
)
def test_force_vanishes_at_the_largest_speed_of_shortening(muscle, speed):
    """Of a fully active muscle [optimal lengths/s]; 12.7 of Kistemaker's, and not 127."""
    slower, faster = tension(muscle, 1.0, 1.0, jnp.array([-0.98, -1.001]) * speed)
    assert 0 < slower < 0.02
    assert faster == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("muscle", HILL[:3], **NAME)
def test_active_force_is_greatest_at_the_optimal_length(muscle):
    length = jnp.linspace(0.5, 1.39, 90)
    active = tension(muscle, 1.0, length) - tension(muscle, 0.0, length)
    assert length[active.argmax()] == pytest.approx(1.0, abs=0.011)
    assert active.max() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("muscle", MUSCLES, **NAME)
def test_gradients_are_finite_and_alive_where_trials_start(muscle):
    """At the lowest activation, at rest, at lengths where laws change; half is not lost."""
    lowest = muscle.activation.min_activation
    length = jnp.array([0.3, 0.55, 1.0, 1.364, 1.4, 1.5, 1.7])

    def force(activation, length, velocity):
        return tension(muscle, activation, length, velocity).sum()

    for activation in (lowest, 0.3, 1.0):
        gradient = jax.grad(force, (0, 1, 2))(jnp.full(7, activation), length, jnp.zeros(7))
        assert all(jnp.isfinite(each).all() for each in gradient)
    dynamics, start = muscle.activation, jnp.full(1, lowest)
    gradient = jax.grad(lambda u: dynamics.rate(dynamics.bounded(u), start).sum())(start)
    np.testing.assert_allclose(gradient, 1 / dynamics.time_constant(start, start), rtol=1e-5)


def test_moment_arms_of_straight_muscles_are_unit_vectors_to_the_point():
    position = jnp.array([0.3, -0.2])
    arms = jax.jacobian(StraightGeometry.square().length)(position)
    anchors = jnp.array([[2.0, 2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, -2.0]])
    away = position - anchors
    np.testing.assert_allclose(arms, away / np.linalg.norm(away, axis=1, keepdims=True), rtol=1e-6)
    gradient = jax.jacobian(StraightGeometry.square().length)(anchors[0])
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("make_bad", "message"),
    [
        (lambda: QuadraticGeometry.arm26().replace(max_force=jnp.ones(5)), r"max_force.*\(6,\).*5"),
        (
            lambda: QuadraticGeometry.arm26().replace(elbow_moment_arm=jnp.ones((6, 2))),
            r"elbow_moment_arm.*\(6, 2\)",
        ),
        (lambda: MusclePointMass(mass=-1.0), r"mass must.*greater than 0.*-1"),
        (lambda: MuscleArm().state_at(POSTURE, activation=1.2), r"activation must.*1\.2"),
        (lambda: MuscleArm().state_at(POSTURE, activation=np.nan), r"activation must.*nan"),
        (lambda: MuscleArm().state_at(POSTURE, activation=np.ones(5)), r"activation.*6.*\(5,\)"),
    ],
)
def test_numbers_that_are_not_allowed_are_refused(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()


@pytest.mark.parametrize("muscle", ["thelen", 3, ThelenMuscle])
def test_what_is_no_muscle_is_refused(muscle):
    with pytest.raises(TypeError, match="muscle must be.*Muscle"):
        MuscleArm(muscle=muscle)
