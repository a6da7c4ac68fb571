"""A load of a stranger: a soft wall to the right."""

from typing import ClassVar

import jax.numpy as jnp

from fbx_env import Load, Scalar, number


class Wall(Load):
    """Pushes back what goes beyond it, in proportion."""

    name: ClassVar[str] = "wall"

    place: Scalar = number("where the wall begins", default=0.2, unit="m", keyword="wall_place")
    stiffness: Scalar = number("stiffness of the wall", default=10.0, unit="N/m", at_least=0)

    def force_on(self, effector, trial, clock):
        beyond = jnp.maximum(effector.pos[0] - self.place, 0.0)
        return jnp.array([-1.0, 0.0]) * self.stiffness * beyond
