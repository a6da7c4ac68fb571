"""Arms: kinematics, equations of motion, limits, loads, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import PLANTS, POSTURE, external_force, first_state, no_load, plant_of, recording

from agents import GRUPolicy
from fbx_env import (
    ConstantForce,
    ReachEnv,
    ReachGymEnv,
    ReachVectorEnv,
    Trial,
    TwoLinkArm,
    make,
    rollout,
)
from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton

ANGLE, RATE = jnp.array(POSTURE), jnp.array([1.0, -2.0])
TORQUE, FORCE = jnp.array([0.5, -0.3]), jnp.array([2.0, -1.0])
STILL = jnp.zeros(2)
SKELETONS = [TwoLinkSkeleton.li_todorov(), TwoLinkSkeleton.nijhof_kouwenhoven()]


def inertia(skeleton, angle):
    """The inverse of how the joints' acceleration changes by torque."""
    still = jnp.zeros_like(angle)
    return jnp.linalg.inv(jax.jacobian(skeleton.acceleration, 2)(angle, still, still, still))


def grid_of_angles(skeleton, n=7):
    low, high = (np.asarray(end) for end in (skeleton.lower_limit, skeleton.upper_limit))
    shares = np.linspace(0.02, 0.98, n)
    both = np.stack(np.meshgrid(shares, shares), axis=-1).reshape(-1, 2)
    return jnp.asarray(low + both * (high - low), float)


@pytest.mark.parametrize(
    ("skeleton", "hand", "without_force", "with_force"),
    [
        (
            TwoLinkSkeleton.nijhof_kouwenhoven(),
            (-0.016970563, 0.453962554),
            (3.955050111, -7.842277749),
            (0.985108034, -7.326857331),
        ),
        (TwoLinkSkeleton.li_todorov(), (-0.0212132, 0.4454773), (6.72173913, -12.7884058), None),
    ],
)
def test_golden_values(skeleton, hand, without_force, with_force):
    effector = skeleton.effector(ANGLE, RATE)
    np.testing.assert_allclose(effector.pos, hand, atol=1e-7)
    # At these angles and rates it is position mirrored.
    np.testing.assert_allclose(effector.vel, [-hand[0], hand[1]], atol=1e-7)
    found = skeleton.acceleration(ANGLE, RATE, TORQUE, STILL)
    np.testing.assert_allclose(found, without_force, rtol=2e-6)
    if with_force is not None:
        found = skeleton.acceleration(ANGLE, RATE, TORQUE, FORCE)
        np.testing.assert_allclose(found, with_force, rtol=2e-6)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_energy_is_conserved_and_the_hand_moves_at_its_velocity(skeleton):
    plant = TwoLinkArm(skeleton=skeleton.replace(damping=jnp.zeros((2, 2))))
    dt = 1e-3

    def step(state, _):
        state = plant.step(state, jnp.zeros(2), no_load, jnp.asarray(dt))
        energy = state.rate @ inertia(plant.skeleton, state.angle) @ state.rate / 2
        return state, (energy, plant.effector(state))

    start = plant.state_at(angle=(0.8, 1.8), rate=(2.0, -3.0))
    _, (energy, hand) = jax.lax.scan(step, start, length=300)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-9)
    velocity = (hand.pos[2:] - hand.pos[:-2]) / (2 * dt)
    assert np.linalg.norm(hand.vel, axis=1).max() > 0.5
    np.testing.assert_allclose(hand.vel[1:-1], velocity, atol=5e-5)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_a_force_on_the_hand_has_the_power_of_its_torques(skeleton):
    angles = grid_of_angles(skeleton)
    rates, forces = jax.random.normal(jax.random.key(0), (2, len(angles), 2))

    def powers(angle, rate, force):
        gained = [skeleton.acceleration(angle, rate, STILL, each) for each in (force, STILL)]
        torque = inertia(skeleton, angle) @ (gained[0] - gained[1])
        return torque @ rate, force @ skeleton.effector(angle, rate).vel

    at_joints, at_hand = jax.jit(jax.vmap(powers))(angles, rates, forces)
    assert jnp.abs(at_hand).max() > 0.5
    np.testing.assert_allclose(at_joints, at_hand, atol=2e-5)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_the_angles_of_a_position_put_the_hand_there(skeleton):
    angles = grid_of_angles(skeleton)
    found = jax.jit(jax.vmap(lambda angle: skeleton.angle_at(skeleton.hand(angle))))(angles)
    np.testing.assert_allclose(found, angles, atol=1e-4)


@pytest.mark.parametrize(
    "position", [(0.0, 0.0), (0.7, 0.1), (0.02, 0.0), (-0.4, -0.1), (0.1, -0.5)]
)
def test_there_are_no_angles_out_of_reach(position):
    """At the shoulder, too far, too near, and beyond a joint's limit."""
    assert not jnp.isfinite(TwoLinkSkeleton().angle_at(jnp.array(position))).any()


def test_gradients_are_finite_where_the_arm_is_stretched():
    skeleton = TwoLinkSkeleton()
    gradient = jax.jacobian(skeleton.angle_at)(jnp.array([0.63, 0.0]))
    assert jnp.isfinite(gradient).all()


def test_limits_push_back_outside_and_do_nothing_inside():
    skeleton = TwoLinkSkeleton()
    inside = jax.vmap(lambda angle: skeleton.limit_torque(angle, 5 * RATE))
    assert not inside(grid_of_angles(skeleton)).any()
    below, above = (
        skeleton.limit_torque(jnp.asarray(angle), STILL) for angle in ((-0.1, -0.1), (2.5, 2.9))
    )
    assert (below > 5).all()
    assert (above < -5).all()


def test_the_strongest_torque_leads_a_few_degrees_beyond_a_limit_and_can_be_learned_from():
    plant = TwoLinkArm()
    state = plant.state_at(angle=(2.3, 2.7))

    def highest(torque):
        def step(state, _):
            state = plant.step(state, torque, no_load, jnp.asarray(0.01))
            return state, state.angle

        return jax.lax.scan(step, state, length=60)[1].max(axis=0)

    beyond = highest(jnp.full(2, 10.0)) - jnp.asarray(plant.skeleton.upper_limit)
    assert (beyond > 0).all()
    assert (jnp.rad2deg(beyond) < 10).all()
    gradient = jax.jacobian(highest)(jnp.array([5.0, 2.0]))
    assert (jnp.diag(gradient) > 1e-3).all()


EACH_PLANT = [name for name in PLANTS if not name.endswith(("curl", "pulse"))]


@pytest.mark.usefixtures("double_precision", "unchecked")
@pytest.mark.parametrize("name", EACH_PLANT)
def test_the_gradient_of_a_whole_movement_is_its_slope(name):
    """In the commands of 30 steps in a curl field and in all numbers of the plant."""
    plant, of = PLANTS[name](), recording(name)
    plant = jax.tree.map(lambda x: jnp.asarray(x, float), plant_of(name, of, 0, plant))
    of["field_curl"] = np.full(4, 5.0)
    force, start = external_force(of, 0), first_state(plant, of, 0)

    def loss(plant, commands):
        def step(state, command):
            load = lambda effector: force(jnp.zeros(2), effector)  # noqa: E731
            state = plant.step(state, command, load, jnp.asarray(0.01))
            effector = plant.effector(state)
            return state, effector.pos @ effector.pos + effector.vel @ effector.vel

        return jax.lax.scan(step, start, commands)[1].sum()

    where = (plant, jnp.asarray(of["command"][0, :30]))
    leaves, structure = jax.tree.flatten(where)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    # Each number by its own size, so that none is lost beside the others.
    way = structure.unflatten(
        [x * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
    )

    def along(size):
        return loss(*jax.tree.map(lambda x, change: x + size * change, where, way))

    sizes = jnp.array([-1e-6, 0.0, 1e-6])
    value, gradient = map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(along)))(sizes))
    slope = (value[2] - value[0]) / 2e-6
    assert abs(slope) > 1e-3 * value[1]
    assert gradient[1] == pytest.approx(slope, rel=2e-5)


@pytest.mark.parametrize("id", ["TwoLinkArmReach-v0", "MuscleArmReach-v0"])
def test_loads_act_at_the_hand(id):
    """The hand is accelerated by J M^-1 J'F, also where muscles move the arm."""
    _, params = make(id)
    plant = params.plant
    skeleton, start = plant.skeleton, plant.state_at(angle=POSTURE)
    jacobian = jax.jacobian(skeleton.hand)(start.angle)
    expected = jacobian @ jnp.linalg.solve(inertia(skeleton, start.angle), jacobian.T @ FORCE)

    @jax.jit
    def gained(load):
        experiment = params.replace(loads=(ConstantForce(load),), dt=1e-3)
        env, key = ReachEnv(), jax.random.key(0)
        _, state = env.reset(key, experiment)
        state = state.replace(plant=start)
        state, _ = env.transition(key, state, jnp.zeros(len(plant.controls)), experiment)
        return plant.effector(state.plant).vel / 1e-3

    found = gained(FORCE) - gained(STILL)
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("make_bad", "message"),
    [
        (lambda: TwoLinkSkeleton(mass=(-1.0, 1.0)), r"mass must be .*greater than 0.*-1"),
        (lambda: TwoLinkSkeleton(length=(0.3, 0.3, 0.3)), r"length must.*\(2,\)"),
        (lambda: TwoLinkSkeleton(lower_limit=(2.0, 3.0)), r"lower_limit.*upper_limit"),
        (lambda: TwoLinkArm().state_at(angle=(3.0, 1.0)), r"angle must be within.*3"),
        (lambda: TwoLinkArm().state_at(angle=(0.5, np.nan)), r"angle must be finite.*nan"),
    ],
)
def test_what_is_not_allowed_is_refused(make_bad, message):
    with pytest.raises(ValueError, match=message):
        make_bad()


def test_goals_out_of_reach_are_refused():
    env, params = make("TwoLinkArmReach-v0")
    policy = GRUPolicy(12, 2, 4, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"goal must be within the reach of TwoLinkArm, got \[2.0"):
        rollout(env, params, policy, Trial((0.0, 0.4), (2.0, 2.0)), jax.random.key(0))
    gym = ReachGymEnv(env_id="TwoLinkArmReach-v0")
    with pytest.raises(ValueError, match=r"goal must be within the reach of TwoLinkArm, got \[2.0"):
        gym.reset(seed=0, options={"start": (0.0, 0.4), "goal": (2.0, 2.0)})


@pytest.mark.parametrize("face", [ReachGymEnv, ReachVectorEnv])
def test_a_workspace_out_of_reach_and_commands_that_are_not_finite_are_refused(face):
    with pytest.raises(ValueError, match=r"start must be within the reach of MuscleArm, got \["):
        face(env_id="MuscleArmReach-v0", workspace=((-2, -2), (2, 2)))
    with pytest.raises(ValueError, match=r"start must .* TwoLinkArm, got \[0.*another workspace"):
        face(plant=TwoLinkArm())
    env = face(env_id="MuscleArmReach-v0")
    env.reset(seed=0)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"actions? must be finite, got \[.*{bad}"):
            env.step(np.full(env.action_space.shape, bad))
