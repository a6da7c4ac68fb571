"""The point mass, moved by muscles."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Scalar, SignalScalar, Vector, number
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry
from fbx_env.parts.plants.geometry.straight_geometry import StraightGeometry
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.muscle_plant import MusclePlant
from fbx_env.parts.plants.muscles.activation import Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.relu import ReluMuscle
from fbx_env.parts.plants.plant import Effector, Load
from fbx_env.parts.plants.visible_plant import Outline, Signals


class MuscleMassState(Effector):
    """The state of a point mass with muscles.

    Attributes:
        activation: of each muscle, from 0 to 1.
    """

    activation: Float[Array, "*trials muscles"]


class MusclePointMass(MusclePlant):
    """A mass without size that four muscles pull, each to a corner.

    Attributes:
        mass: [kg], greater than 0.
        damping: viscous [N s/m], at least 0.
        muscle: the laws that the muscles obey.
        geometry: the muscles, and their lengths by the position.
        integration: by default so that the mass is within 0.1 mm of the exact movement after 1 s of
            control steps of 10 ms.
    """

    mass: Scalar = number("mass of the point", default=1.0, unit="kg", above=0)
    damping: Scalar = number(
        "viscous damping of its movement", default=0.0, unit="N s/m", at_least=0
    )
    muscle: Muscle = dataclasses.field(default_factory=ReluMuscle)
    geometry: MuscleGeometry = dataclasses.field(default_factory=StraightGeometry.square)
    integration: Integration = dataclasses.field(
        default_factory=lambda: Integration("rk4", substeps=2)
    )

    def state_at(
        self, pos: Vector, vel: Vector = (0.0, 0.0), activation: SignalScalar | None = None
    ) -> MuscleMassState:
        """The state at this position [m], with this velocity [m/s] and these activations.

        Activation is one number, or one for each muscle; without it, the lowest.

        Raises:
            TypeError, ValueError: for what has another shape, or is out of range.
        """
        pos, vel = checks.real("pos", pos, shape=(2,)), checks.real("vel", vel, shape=(2,))
        return MuscleMassState(pos, vel, self.activation_at(activation))

    def init(self, position: Float[Array, "2"]) -> MuscleMassState:
        return MuscleMassState(position, jnp.zeros_like(position), self.activation_at(None))

    def step(
        self,
        state: MuscleMassState,
        control: Float[Array, " muscles"],
        load: Load,
        dt: Float[Array, ""],
    ) -> MuscleMassState:
        dynamics = self.muscle.activation
        excitation = dynamics.bounded(control)

        def derivative(moved: Effector, activation: Muscles) -> Effector:
            pull = self.pull(MuscleMassState(moved.pos, moved.vel, activation))
            force = pull + load(moved) - self.damping * moved.vel
            return Effector(moved.vel, force / self.mass)

        after, activation = self.integration.advance_driven(
            derivative,
            Effector(state.pos, state.vel),
            lambda activation: dynamics.rate(excitation, activation),
            state.activation,
            dt,
        )
        return MuscleMassState(after.pos, after.vel, dynamics.bounded(activation))

    def effector(self, state: MuscleMassState) -> Effector:
        return Effector(state.pos, state.vel)

    def coordinates(self, state: MuscleMassState) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        return state.pos, state.vel

    def outline(self, state: MuscleMassState) -> Outline:
        moment_arms = jax.jacobian(self.geometry.length)(state.pos)
        anchors = state.pos - self.geometry.length(state.pos)[:, None] * moment_arms
        ends = jnp.broadcast_to(state.pos, anchors.shape)
        muscles = jnp.stack([anchors, ends], axis=1)
        return Outline(muscles=muscles, activation=state.activation)

    def signals(self, state: MuscleMassState) -> Signals:
        return self.muscle_signals(state)
