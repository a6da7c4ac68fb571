"""The arm with two links, moved by muscles."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import SignalScalar, Vector
from fbx_env.parts.plants.arm_outline import arm_links, muscle_courses, reachable_region
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry
from fbx_env.parts.plants.geometry.quadratic_geometry import QuadraticGeometry
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.muscle_plant import MusclePlant
from fbx_env.parts.plants.muscles.activation import Muscles
from fbx_env.parts.plants.muscles.muscle import Muscle
from fbx_env.parts.plants.muscles.thelen import ThelenMuscle
from fbx_env.parts.plants.plant import Effector, Load
from fbx_env.parts.plants.two_link_arm import ArmState, joint_signals
from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton
from fbx_env.parts.plants.visible_plant import Outline, Signals


class MuscleArmState(ArmState):
    """The state of an arm with muscles.

    Attributes:
        activation: of each muscle, from 0 to 1.
    """

    activation: Float[Array, "*trials muscles"]


class MuscleArm(MusclePlant):
    """Upper arm and forearm in a horizontal plane, moved by six muscles.

    Geometry and skeleton are those of Arm26, after Nijhof and Kouwenhoven (2000).

    Attributes:
        muscle: the laws that the muscles obey.
        geometry: the muscles, and their lengths by the joint angles.
        skeleton: mass, size and limits of the arm.
        integration: by default so that the hand is within 0.1 mm of the exact movement after 1 s
            of control steps of 10 ms, whichever of the muscles of this package it has.

    Example:
        >>> plant = MuscleArm(muscle=KistemakerMuscle())
        >>> plant.state_at(angle=(0.8, 1.6), activation=0.1).activation.shape
        (6,)
    """

    muscle: Muscle = dataclasses.field(default_factory=ThelenMuscle)
    geometry: MuscleGeometry = dataclasses.field(default_factory=QuadraticGeometry.arm26)
    skeleton: TwoLinkSkeleton = dataclasses.field(
        default_factory=TwoLinkSkeleton.nijhof_kouwenhoven
    )
    integration: Integration = dataclasses.field(
        default_factory=lambda: Integration("rk4", substeps=2)
    )

    def __check_init__(self) -> None:
        checks.instance("skeleton", self.skeleton, TwoLinkSkeleton)

    def state_at(
        self,
        angle: Vector,
        rate: Vector = (0.0, 0.0),
        activation: SignalScalar | None = None,
    ) -> MuscleArmState:
        """The state with these joint angles [rad], rates [rad/s] and activations.

        Activation is one number, or one for each muscle; without it, the lowest.

        Raises:
            TypeError, ValueError: for what has another shape, or is out of range.
        """
        rate = checks.real("rate", rate, shape=(2,))
        return MuscleArmState(
            self.skeleton.check_angle(angle), rate, self.activation_at(activation)
        )

    def init(self, position: Float[Array, "2"]) -> MuscleArmState:
        angle = self.skeleton.angle_at(position)
        return MuscleArmState(angle, jnp.zeros_like(angle), self.activation_at(None))

    def step(
        self,
        state: MuscleArmState,
        control: Float[Array, " muscles"],
        load: Load,
        dt: Float[Array, ""],
    ) -> MuscleArmState:
        dynamics = self.muscle.activation
        excitation = dynamics.bounded(control)

        def derivative(moved: ArmState, activation: Muscles) -> ArmState:
            now = MuscleArmState(moved.angle, moved.rate, activation)
            torque, force = self.pull(now), load(self.effector(now))
            acceleration = self.skeleton.acceleration(moved.angle, moved.rate, torque, force)
            return ArmState(moved.rate, acceleration)

        after, activation = self.integration.advance_driven(
            derivative,
            ArmState(state.angle, state.rate),
            lambda activation: dynamics.rate(excitation, activation),
            state.activation,
            dt,
        )
        return MuscleArmState(after.angle, after.rate, dynamics.bounded(activation))

    def effector(self, state: MuscleArmState) -> Effector:
        return self.skeleton.effector(state.angle, state.rate)

    def coordinates(self, state: MuscleArmState) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        return state.angle, state.rate

    def outline(self, state: MuscleArmState) -> Outline:
        moment_arms = jax.jacobian(self.geometry.length)(state.angle)
        return Outline(
            arm_links(self.skeleton, state.angle),
            muscle_courses(self.skeleton, state.angle, moment_arms),
            state.activation,
            reachable_region(self.skeleton),
        )

    def signals(self, state: MuscleArmState) -> Signals:
        torque = dict(zip(("shoulder", "elbow"), self.pull(state), strict=True))
        of_joints = joint_signals(state)
        return {**of_joints, "Joint torque [N m]": torque, **self.muscle_signals(state)}
