"""The point mass."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Scalar, Vector, number
from fbx_env.parts.plants.plant import Control, Effector, Feedback, Load, Plant


class PointMass(Plant):
    """A mass without size that obeys Newton's second law, with viscous damping.

    The state is an ``Effector``, the command a force along each axis. One step is explicit Euler,
    as in the original task: the position moves with the velocity from before the step.

        pos' = pos + dt vel
        vel' = vel + dt (force + load - damping vel) / mass

    Attributes:
        mass: [kg], greater than 0.
        damping: [N s/m], at least 0.
        max_force: limit of the commanded force along each axis [N], greater than 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed.

    Example:
        >>> plant = PointMass(mass=2.0)
        >>> state = plant.init(jnp.zeros(2))
        >>> plant.step(state, jnp.array([1.0, 0.0]), lambda effector: jnp.zeros(2), 0.1).vel
        Array([0.05, 0.  ], dtype=float32)
    """

    mass: Scalar = number("mass of the point", default=1.0, unit="kg", above=0)
    damping: Scalar = number(
        "viscous damping of its movement", default=0.0, unit="N s/m", at_least=0
    )
    max_force: Scalar = number(
        "limit of the force along each axis", default=10.0, unit="N", above=0
    )

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(
            Control(f"force {axis}", "N", -self.max_force, self.max_force) for axis in "xy"
        )

    def state_at(self, pos: Vector, vel: Vector = (0.0, 0.0)) -> Effector:
        """The state at this position [m], with this velocity [m/s].

        Raises:
            TypeError, ValueError: for what is not two finite numbers.
        """
        return Effector(checks.real("pos", pos, shape=(2,)), checks.real("vel", vel, shape=(2,)))

    def init(self, position: Float[Array, "2"]) -> Effector:
        return Effector(pos=position, vel=jnp.zeros_like(position))

    def step(
        self, state: Effector, control: Float[Array, "2"], load: Load, dt: Float[Array, ""]
    ) -> Effector:
        force = control + load(state)
        acceleration = (force - self.damping * state.vel) / self.mass
        return Effector(pos=state.pos + dt * state.vel, vel=state.vel + dt * acceleration)

    def effector(self, state: Effector) -> Effector:
        return state

    def feedback(self, state: Effector) -> Feedback:
        return {"vision": {"position": state.pos, "velocity": state.vel}}
