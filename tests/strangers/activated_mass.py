"""A plant of a stranger: a mass pulled by three muscle-like actuators with activation."""

import jax.numpy as jnp
import numpy as np

from fbx_env import Component, Control, Effector, Plant, Scalar, number

ANGLES = 2 * np.pi * np.arange(3) / 3
PULL = np.stack([np.cos(ANGLES), np.sin(ANGLES)]).astype(np.float32)


class Activated(Component):
    """Position [m], velocity [m/s] and activations, each between 0 and 1."""

    pos: object
    vel: object
    activation: object


class ActivatedMass(Plant):
    """A mass of 1 kg; each activation follows its excitation with one time constant."""

    strength: Scalar = number("force of an actuator", default=5.0, unit="N", above=0)
    tau: Scalar = number("time constant of activation", default=0.05, unit="s", above=0)

    @property
    def controls(self):
        return tuple(Control(f"excitation {index}", "", 0.0, 1.0) for index in range(3))

    def init(self, position):
        return Activated(position, jnp.zeros(2), jnp.zeros(3))

    def step(self, state, control, load, dt):
        force = self.strength * PULL @ state.activation + load(self.effector(state))
        activation = state.activation + dt / self.tau * (control - state.activation)
        return Activated(state.pos + dt * state.vel, state.vel + dt * force, activation)

    def effector(self, state):
        return Effector(state.pos, state.vel)

    def feedback(self, state):
        return {"vision": {"position": state.pos, "velocity": state.vel}}
