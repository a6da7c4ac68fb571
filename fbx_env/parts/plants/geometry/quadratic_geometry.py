"""Muscles whose length is quadratic in the joint angles."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env.parts.component import SignalScalar, Vector, number
from fbx_env.parts.plants.geometry.geometry import MuscleGeometry, Muscles


class QuadraticGeometry(MuscleGeometry):
    """Muscles about shoulder and elbow, whose moment arms are linear in the joint angles.

        length = reference_length + sum over joints of (moment_arm + change d) d,
        d = angle - reference_angle

    Attributes:
        reference_length: of each muscle with its tendon at the reference angles [m].
        shoulder_moment_arm, elbow_moment_arm: derivative of the length there [m/rad].
        shoulder_change, elbow_change: half the derivative of the moment arm [m/rad^2].
        reference_angle: of shoulder and elbow [rad], ``(2,)``.
    """

    reference_length: SignalScalar = number(
        "length with tendon at the reference angles", default=1.0, unit="m", shape=None
    )
    shoulder_moment_arm: SignalScalar = number(
        "moment arm about the shoulder there", default=0.0, unit="m/rad", shape=None
    )
    elbow_moment_arm: SignalScalar = number(
        "moment arm about the elbow there", default=0.0, unit="m/rad", shape=None
    )
    shoulder_change: SignalScalar = number(
        "half the change of the moment arm about the shoulder by its angle",
        default=0.0,
        unit="m/rad^2",
        shape=None,
    )
    elbow_change: SignalScalar = number(
        "half the change of the moment arm about the elbow by its angle",
        default=0.0,
        unit="m/rad^2",
        shape=None,
    )
    reference_angle: Vector = number(
        "reference angles of shoulder and elbow", default=(0.0, 0.0), unit="rad", shape=(2,)
    )

    @classmethod
    def arm26(cls) -> QuadraticGeometry:
        """The six muscles of Arm26, after Nijhof and Kouwenhoven (2000)."""
        return cls(
            names=(
                "pectoralis",
                "deltoid",
                "brachioradialis",
                "lateral triceps",
                "biceps",
                "long triceps",
            ),
            max_force=jnp.array([838.0, 1207.0, 1422.0, 1549.0, 414.0, 603.0]),
            optimal_length=jnp.array([0.134, 0.140, 0.092, 0.093, 0.137, 0.127]),
            tendon_length=jnp.array([0.039, 0.066, 0.172, 0.187, 0.204, 0.217]),
            reference_length=jnp.array([0.151, 0.2322, 0.2859, 0.2355, 0.3329, 0.2989]),
            shoulder_moment_arm=jnp.array([-0.03, 0.03, 0.0, 0.0, -0.03, 0.03]),
            elbow_moment_arm=jnp.array([0.0, 0.0, -0.014, 0.025, -0.016, 0.03]),
            elbow_change=jnp.array([0.0, 0.0, -4e-3, -2.2e-3, -5.7e-3, -3.2e-3]),
            reference_angle=(np.pi / 2, 0.0),
        )

    @classmethod
    def todorov_li(cls) -> QuadraticGeometry:
        """The six virtual muscles of Li and Todorov (2004), with constant moment arms."""
        moment_arms = jnp.array([[2, -2, 0, 0, 1.5, -2], [0, 0, 2, -2, 2, -1.5]]) / 100
        optimal_length = jnp.array([7.32, 3.26, 6.4, 4.26, 5.95, 4.04]) / 100
        optimal_angle = jnp.deg2rad(
            jnp.array([[15, 4.88, 0, 0, 4.5, 2.12], [0, 0, 80.86, 109.32, 92.96, 91.52]])
        )
        return cls(
            names=(
                "shoulder flexor",
                "shoulder extensor",
                "elbow flexor",
                "elbow extensor",
                "biarticular flexor",
                "biarticular extensor",
            ),
            # Physiological cross-sections [cm^2] of 31.8 N/cm^2.
            max_force=31.8 * jnp.array([22.0, 12.0, 18.0, 14.0, 5.0, 10.0]),
            optimal_length=optimal_length,
            reference_length=optimal_length + (moment_arms * optimal_angle).sum(0),
            shoulder_moment_arm=-moment_arms[0],
            elbow_moment_arm=-moment_arms[1],
        )

    def length(self, coordinates: Float[Array, "2"]) -> Muscles:
        shoulder, elbow = coordinates - jnp.asarray(self.reference_angle)
        length: Array = (
            self.reference_length
            + (self.shoulder_moment_arm + self.shoulder_change * shoulder) * shoulder
            + (self.elbow_moment_arm + self.elbow_change * elbow) * elbow
        )
        return length
