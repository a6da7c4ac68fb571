"""The skeleton of an arm with two links."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Component, Matrix, Scalar, Vector, number
from fbx_env.parts.plants.clip import clip
from fbx_env.parts.plants.plant import Effector

LIMIT_WIDTH = 0.02
"""How far beyond a joint limit its damping acts in full [rad]."""

TOLERANCE = 1e-5
"""By how much a joint angle [rad] may exceed a limit by rounding."""


class TwoLinkSkeleton(Component):
    """Upper arm and forearm in a horizontal plane, joined by hinges at shoulder and elbow.

    The shoulder is at the origin; angles q are of the upper arm to the x axis and of the forearm to
    the upper arm, in rad. With torque tau and external force F on the hand, at x with J = dx/dq,

        M(q) dv/dt = tau + J'F - C(q, v) - damping v - limits(q, v)

    Beyond its limits, and only there, a joint is pushed back by a stiff spring with a damper. So no
    gradient stops at a limit, and a joint may exceed it by some degrees.

    Attributes:
        length: of upper arm and forearm [m], as all that follow ``(2,)``, greater than 0.
        mass: [kg], greater than 0.
        centre_of_mass: distance of it to the joint [m], at least 0.
        inertia: moment of inertia about the centre of mass [kg m^2], greater than 0.
        damping: torque by rate [N m s], ``(2, 2)``.
        lower_limit, upper_limit: of the joints [rad].
        limit_stiffness: of a joint's limits [N m/rad], at least 0.
        limit_damping: of a joint's limits [N m s], at least 0.

    Raises:
        TypeError, ValueError: for a number that is not allowed, or crossed limits.
    """

    length: Vector = number(
        "length of upper arm and forearm", default=(0.30, 0.33), unit="m", above=0, shape=(2,)
    )
    mass: Vector = number(
        "mass of upper arm and forearm", default=(1.4, 1.0), unit="kg", above=0, shape=(2,)
    )
    centre_of_mass: Vector = number(
        "distance from joint to centre of mass",
        default=(0.11, 0.16),
        unit="m",
        at_least=0,
        shape=(2,),
    )
    inertia: Vector = number(
        "moment of inertia about the centre of mass",
        # Published about the joint, as 0.025 and 0.045.
        default=(0.025 - 1.4 * 0.11**2, 0.045 - 1.0 * 0.16**2),
        unit="kg m^2",
        above=0,
        shape=(2,),
    )
    damping: Matrix = number(
        "torque against the joints' rates",
        default=((0.05, 0.025), (0.025, 0.05)),
        unit="N m s",
        shape=(2, 2),
    )
    lower_limit: Vector = number(
        "lower limit of shoulder and elbow", default=(0.0, 0.0), unit="rad", shape=(2,)
    )
    upper_limit: Vector = number(
        "upper limit of shoulder and elbow",
        default=(np.deg2rad(140.0), np.deg2rad(160.0)),
        unit="rad",
        shape=(2,),
    )
    limit_stiffness: Scalar = number(
        "stiffness of the joints' limits", default=250.0, unit="N m/rad", at_least=0
    )
    limit_damping: Scalar = number(
        "damping of the joints' limits", default=1.0, unit="N m s", at_least=0
    )

    @classmethod
    def li_todorov(cls) -> TwoLinkSkeleton:
        """The arm of Li and Todorov (2004), the default."""
        return cls()

    @classmethod
    def nijhof_kouwenhoven(cls) -> TwoLinkSkeleton:
        """The arm of Nijhof and Kouwenhoven (2000), the skeleton of Arm26, without damping."""
        return cls(
            length=(0.309, 0.333),
            mass=(1.82, 1.43),
            centre_of_mass=(0.135, 0.165),
            inertia=(0.051, 0.057),
            damping=((0.0, 0.0), (0.0, 0.0)),
            upper_limit=(np.deg2rad(135.0), np.deg2rad(155.0)),
            limit_stiffness=1000.0,
            limit_damping=5.0,
        )

    def __check_init__(self) -> None:
        checks.ordered("lower_limit", self.lower_limit, "upper_limit", self.upper_limit)

    def hand(self, angle: Float[Array, "2"]) -> Float[Array, "2"]:
        """The position of the hand [m]."""
        upper_arm, forearm = jnp.asarray(self.length)
        first, both = angle[0], angle[0] + angle[1]
        return jnp.stack(
            [
                upper_arm * jnp.cos(first) + forearm * jnp.cos(both),
                upper_arm * jnp.sin(first) + forearm * jnp.sin(both),
            ]
        )

    def effector(self, angle: Float[Array, "2"], rate: Float[Array, "2"]) -> Effector:
        """Position and velocity of the hand."""
        return Effector(*jax.jvp(self.hand, (angle,), (rate,)))

    def angle_at(self, position: Float[Array, "2"]) -> Float[Array, "2"]:
        """The joint angles, with the elbow bent, that put the hand at a position [m].

        Not finite where there are none within the joints' limits.
        """
        upper_arm, forearm = jnp.asarray(self.length)
        squared = position @ position
        # Of each choice the inner one keeps gradients finite where the outer one does not take it.
        away = squared > 0
        x, y = jnp.where(away, position, jnp.array([1.0, 0.0]))
        squared = x**2 + y**2
        elbow_cosine = (squared - upper_arm**2 - forearm**2) / (2 * upper_arm * forearm)
        inner_cosine = (upper_arm**2 - forearm**2 + squared) / (2 * upper_arm * jnp.sqrt(squared))
        shoulder = jnp.arctan2(y, x) - _arccos(inner_cosine)
        lowest = jnp.asarray(self.lower_limit) - TOLERANCE
        shoulder = lowest[0] + (shoulder - lowest[0]) % (2 * np.pi)
        angle = jnp.stack([shoulder, _arccos(elbow_cosine)])
        within = (lowest <= angle) & (angle <= jnp.asarray(self.upper_limit) + TOLERANCE)
        reached = away & (jnp.abs(elbow_cosine) <= 1 + TOLERANCE) & within.all()
        return jnp.where(reached, angle, jnp.nan)

    def acceleration(
        self,
        angle: Float[Array, "2"],
        rate: Float[Array, "2"],
        torque: Float[Array, "2"],
        force: Float[Array, "2"],
    ) -> Float[Array, "2"]:
        """The acceleration of the joints [rad/s^2].

        Args:
            angle: [rad].
            rate: [rad/s].
            torque: of shoulder and elbow [N m].
            force: external, on the hand [N].
        """
        first, second, coupling = self._moments_of_inertia()
        cosine, sine = jnp.cos(angle[1]), jnp.sin(angle[1])
        _, torque_of = jax.vjp(self.hand, angle)
        coriolis = coupling * sine * jnp.stack([-rate[1] * (2 * rate[0] + rate[1]), rate[0] ** 2])
        damping = jnp.asarray(self.damping)
        total = torque + torque_of(force)[0] - coriolis - damping @ rate
        total = total + self.limit_torque(angle, rate)
        m11 = first + 2 * coupling * cosine
        m12 = second + coupling * cosine
        solved = jnp.stack([second * total[0] - m12 * total[1], m11 * total[1] - m12 * total[0]])
        return solved / (m11 * second - m12**2)

    def limit_torque(self, angle: Float[Array, "2"], rate: Float[Array, "2"]) -> Float[Array, "2"]:
        """The torque of the joints' limits [N m], zero within them."""
        lower, upper = jnp.asarray(self.lower_limit), jnp.asarray(self.upper_limit)
        beyond = angle - clip(angle, lower, upper)
        share = jnp.minimum(jnp.abs(beyond) / LIMIT_WIDTH, 1.0)
        return -self.limit_stiffness * beyond - self.limit_damping * share * rate

    def check_angle(self, angle: Vector) -> Float[Array, "*trials 2"]:
        """Return joint angles within the limits, or raise ``ValueError``."""
        angle = checks.real("angle", angle, shape=(2,))
        beyond = angle - jnp.clip(
            angle, jnp.asarray(self.lower_limit), jnp.asarray(self.upper_limit)
        )
        if not isinstance(beyond, jax.core.Tracer) and bool((jnp.abs(beyond) > TOLERANCE).any()):
            lower, upper = (
                np.asarray(end).tolist() for end in (self.lower_limit, self.upper_limit)
            )
            raise ValueError(
                f"angle must be within the joints' limits, {lower} to {upper} rad, got {angle}"
            )
        return angle

    def _moments_of_inertia(self) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """Of the stretched arm's part that no bending changes, of the forearm, and the coupling."""
        mass, centre = jnp.asarray(self.mass), jnp.asarray(self.centre_of_mass)
        upper_arm = jnp.asarray(self.length)[0]
        about_joint = jnp.asarray(self.inertia) + mass * centre**2
        coupling = mass[1] * upper_arm * centre[1]
        return about_joint.sum() + mass[1] * upper_arm**2, about_joint[1], coupling


def _arccos(cosine: Float[Array, ""]) -> Float[Array, ""]:
    """The arc cosine, 0 or pi beyond its domain, with a gradient of 0 from its ends on."""
    inside = jnp.abs(cosine) < 1
    return jnp.where(
        inside, jnp.arccos(jnp.where(inside, cosine, 0.0)), jnp.where(cosine > 0, 0.0, np.pi)
    )
