"""A plant of a stranger: a damped pendulum, moved by one torque."""

import jax.numpy as jnp

from fbx_env import Component, Control, Effector, Plant, Scalar, number

GRAVITY = 9.81


class Hanging(Component):
    """Where it is hung up [m], its angle from hanging down [rad], and its rate [rad/s]."""

    pivot: object
    angle: object
    rate: object


class Pendulum(Plant):
    """A point at the end of a rod, hung up so that it hangs at the start of the trial."""

    length: Scalar = number("length of the rod", default=0.5, unit="m", above=0)
    friction: Scalar = number("friction of the hinge", default=0.2, unit="1/s", at_least=0)

    @property
    def controls(self):
        return (Control("torque", "N m", -5.0, 5.0),)

    def init(self, position):
        pivot = position + self.length * jnp.array([0.0, 1.0])
        return Hanging(pivot, jnp.zeros(()), jnp.zeros(()))

    def step(self, state, control, load, dt):
        arm = self.length * jnp.array([jnp.cos(state.angle), jnp.sin(state.angle)])
        torque = control[0] + arm @ load(self.effector(state))
        acceleration = torque / self.length**2 - self.friction * state.rate
        acceleration -= GRAVITY / self.length * jnp.sin(state.angle)
        rate = state.rate + dt * acceleration
        return state.replace(angle=state.angle + dt * rate, rate=rate)

    def effector(self, state):
        arm = self.length * jnp.array([jnp.sin(state.angle), -jnp.cos(state.angle)])
        along = self.length * jnp.array([jnp.cos(state.angle), jnp.sin(state.angle)])
        return Effector(state.pivot + arm, state.rate * along)

    def feedback(self, state):
        effector = self.effector(state)
        return {
            "vision": {"position": effector.pos, "velocity": effector.vel},
            "proprioception": {"angle": state.angle[None], "rate": state.rate[None]},
        }
