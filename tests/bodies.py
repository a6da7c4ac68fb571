"""Plants beside the recordings and solutions that they are held against."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fbx_env import (
    ActivationDynamics,
    KistemakerMuscle,
    MujocoMuscle,
    MuscleArm,
    MusclePointMass,
    ReluMuscle,
    TodorovLiArm,
    TwoLinkArm,
    VirtualMuscle,
)

PLANTS = {
    "arm_torques": TwoLinkArm,
    "arm_torques_curl": TwoLinkArm,
    "arm_torques_pulse": TwoLinkArm.li_todorov,
    "arm26_torques": TwoLinkArm.nijhof_kouwenhoven,
    "arm_todorov_li": TodorovLiArm,
    "arm26_thelen": MuscleArm,
    "arm26_thelen_curl": MuscleArm,
    "arm26_kistemaker": lambda: MuscleArm(muscle=KistemakerMuscle()),
    "arm26_mujoco": lambda: MuscleArm(muscle=MujocoMuscle()),
    "arm26_relu": lambda: MuscleArm(muscle=ReluMuscle()),
    "point_mass_relu4": MusclePointMass,
}
"""The plant of each file of solutions."""

POSTURE = (np.pi / 4, np.pi / 2)


class PlainActivation(ActivationDynamics):
    """One time constant up and one down; all there is to write for new dynamics."""

    def time_constant(self, excitation, activation):
        up, down = self.activation_time, self.deactivation_time
        return jnp.where(excitation >= activation, up, down)


def recording(name):
    with np.load(Path(__file__).parent / "data" / f"{name}.npz") as file:
        return {key: values for key, values in file.items() if key != "meta"}


def plant_of(name, of, index, plant):
    """The plant with the numbers of one trajectory, where these differ."""
    if name == "arm26_mujoco":
        muscle = plant.muscle.replace(max_velocity=of["param_vmax"][index])
        return plant.replace(muscle=muscle)
    if name == "arm_todorov_li":
        geometry = plant.geometry.replace(max_force=of["param_f0"][index])
        plain = PlainActivation(activation_time=0.050, deactivation_time=0.066)
        is_plain = of["param_activation_rule"][index] == 1
        muscle = VirtualMuscle(activation=plain) if is_plain else plant.muscle
        return plant.replace(geometry=geometry, muscle=muscle)
    return plant


def first_state(plant, of, index):
    names = [("angle", "joint_angle"), ("rate", "joint_rate"), ("pos", "pos"), ("vel", "vel")]
    known = [*names, ("activation", "activation")]
    return plant.state_at(**{ours: of[key][index, 0] for ours, key in known if key in of})


def external_force(of, index):
    """The external force as a function of the prescribed one and of the effector."""
    curl = jnp.asarray(of["field_curl"][index]) * jnp.array([[0.0, -1.0], [1.0, 0.0]])
    stiffness = damping = 0.0
    across = start = np.zeros(2)
    if "channel_start" in of and of["channel_stiffness"][index]:
        start, goal = of["channel_start"][index], of["channel_goal"][index]
        way = (goal - start) / np.linalg.norm(goal - start)
        across = np.array([-way[1], way[0]])
        stiffness, damping = of["channel_stiffness"][index], of["channel_damping"][index]

    def force(prescribed, effector):
        off = stiffness * (effector.pos - start) @ across + damping * effector.vel @ across
        return prescribed + curl @ effector.vel - off * across

    return force


def moved(plant, of, index):
    """Where the plant's effector is after each step of a trajectory, shape (steps, 2)."""
    force = external_force(of, index)

    def step(state, now):
        command, prescribed = now
        load = lambda effector: force(prescribed, effector)  # noqa: E731
        state = plant.step(state, command, load, jnp.asarray(float(of["dt"])))
        return state, plant.effector(state).pos

    inputs = [jnp.asarray(of[name][index], float) for name in ("command", "external_force")]
    run = jax.jit(lambda state, inputs: jax.lax.scan(step, state, inputs)[1])
    return np.asarray(run(first_state(plant, of, index), tuple(inputs)))


def largest_error(name, plant, indices=range(4)):
    """How far the effector is from the solution at most [m]."""
    of = recording(name)
    reference = of["pos"] if "pos" in of else of["hand_pos"]
    errors = [
        np.linalg.norm(moved(plant_of(name, of, index, plant), of, index) - exact[1:], axis=-1)
        for index, exact in enumerate(reference)
        if index in indices
    ]
    return np.max(errors)


def no_load(effector):
    return jnp.zeros(2)
