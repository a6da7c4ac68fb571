"""The arm with two links, moved by torques."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Component, Scalar, Vector, number
from fbx_env.parts.plants.arm_outline import arm_links, reachable_region
from fbx_env.parts.plants.integration import Integration
from fbx_env.parts.plants.plant import Control, Effector, Feedback, Load
from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton
from fbx_env.parts.plants.visible_plant import Outline, Signals, VisiblePlant


class ArmState(Component):
    """The state of an arm.

    Attributes:
        angle: of shoulder and elbow [rad], ``(2,)``.
        rate: of shoulder and elbow [rad/s], ``(2,)``.
    """

    angle: Float[Array, "*trials 2"]
    rate: Float[Array, "*trials 2"]


class TwoLinkArm(VisiblePlant):
    """Upper arm and forearm in a horizontal plane, moved by torques at shoulder and elbow.

    Attributes:
        skeleton: its mass, size and limits.
        max_torque: limit of the commanded torque at each joint [N m], greater than 0.
        integration: by default so that the hand is within 0.1 mm of the exact movement after 1 s
            of control steps of 10 ms.

    Example:
        >>> plant = TwoLinkArm()
        >>> state = plant.state_at(angle=(0.8, 1.6))
        >>> still = plant.step(state, jnp.zeros(2), lambda effector: jnp.zeros(2), 0.01)
        >>> bool(jnp.allclose(still.angle, state.angle))
        True
    """

    skeleton: TwoLinkSkeleton = dataclasses.field(default_factory=TwoLinkSkeleton)
    max_torque: Scalar = number(
        "limit of the torque at each joint", default=10.0, unit="N m", above=0
    )
    integration: Integration = dataclasses.field(default_factory=Integration)

    @classmethod
    def li_todorov(cls) -> TwoLinkArm:
        """The arm of Li and Todorov (2004), the default."""
        return cls(skeleton=TwoLinkSkeleton.li_todorov())

    @classmethod
    def nijhof_kouwenhoven(cls) -> TwoLinkArm:
        """The arm of Nijhof and Kouwenhoven (2000), the skeleton of Arm26."""
        return cls(skeleton=TwoLinkSkeleton.nijhof_kouwenhoven())

    def __check_init__(self) -> None:
        checks.instance("skeleton", self.skeleton, TwoLinkSkeleton)
        checks.instance("integration", self.integration, Integration)

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(
            Control(f"{joint} torque", "N m", -self.max_torque, self.max_torque)
            for joint in ("shoulder", "elbow")
        )

    def state_at(self, angle: Vector, rate: Vector = (0.0, 0.0)) -> ArmState:
        """The state with these joint angles [rad] and rates [rad/s].

        Raises:
            TypeError, ValueError: for what is not two numbers, or an angle beyond its limits.
        """
        return ArmState(self.skeleton.check_angle(angle), checks.real("rate", rate, shape=(2,)))

    def init(self, position: Float[Array, "2"]) -> ArmState:
        angle = self.skeleton.angle_at(position)
        return ArmState(angle, jnp.zeros_like(angle))

    def step(
        self, state: ArmState, control: Float[Array, "2"], load: Load, dt: Float[Array, ""]
    ) -> ArmState:
        def derivative(state: ArmState) -> ArmState:
            force = load(self.effector(state))
            acceleration = self.skeleton.acceleration(state.angle, state.rate, control, force)
            return ArmState(state.rate, acceleration)

        return self.integration.advance(derivative, state, dt)

    def effector(self, state: ArmState) -> Effector:
        return self.skeleton.effector(state.angle, state.rate)

    def feedback(self, state: ArmState) -> Feedback:
        hand = self.effector(state)
        return {
            "vision": {"position": hand.pos, "velocity": hand.vel},
            "proprioception": {"angle": state.angle, "rate": state.rate},
        }

    def outline(self, state: ArmState) -> Outline:
        links, region = arm_links(self.skeleton, state.angle), reachable_region(self.skeleton)
        return Outline(links=links, region=region)

    def signals(self, state: ArmState) -> Signals:
        return joint_signals(state)


def joint_signals(state: ArmState) -> Signals:
    """Angle and rate of each joint."""
    quantities = {"Joint angle [deg]": state.angle, "Joint rate [deg/s]": state.rate}
    return {
        name: dict(zip(("shoulder", "elbow"), jnp.rad2deg(values), strict=True))
        for name, values in quantities.items()
    }
