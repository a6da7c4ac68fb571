"""How an arm with two links looks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fbx_env.parts.plants.two_link_skeleton import TwoLinkSkeleton

CHEST = 0.06
"""How far to the side of the shoulder muscles of the shoulder begin [m]."""

THICKNESS = 0.022
"""Distance of a muscle to the bone [m]; those of two joints lie half as far again outside."""

N_CORNERS = 40
"""Of each side of the reachable region."""


def arm_links(skeleton: TwoLinkSkeleton, angle: Float[Array, "2"]) -> Float[Array, "3 2"]:
    """Shoulder, elbow and hand [m]."""
    elbow = jnp.asarray(skeleton.length)[0] * _unit(angle[0])
    return jnp.stack([jnp.zeros(2), elbow, skeleton.hand(angle)])


def reachable_region(skeleton: TwoLinkSkeleton) -> Float[Array, "corners 2"]:
    """The border of where the hand can be within the joints' limits [m]."""
    low, high = jnp.asarray(skeleton.lower_limit), jnp.asarray(skeleton.upper_limit)
    shares = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    corners = low + shares * (high - low)
    along = jnp.linspace(0.0, 1.0, N_CORNERS)[:, None, None]
    sides = corners + along * (jnp.roll(corners, -1, axis=0) - corners)
    return jax.vmap(skeleton.hand)(sides.swapaxes(0, 1).reshape(-1, 2))


def muscle_courses(
    skeleton: TwoLinkSkeleton, angle: Float[Array, "2"], moment_arms: Float[Array, "muscles 2"]
) -> Float[Array, "muscles 4 2"]:
    """Where muscles run [m]: past the joints they turn, on the side to which they bend them.

    A sketch, as lengths that are given by joint angles have no places.

    Args:
        skeleton: of the arm.
        angle: of the joints [rad].
        moment_arms: derivative of each muscle's length by the joint angles [m/rad].
    """
    _, elbow, hand = arm_links(skeleton, angle)
    upper, fore = (_normal(way) for way in (elbow, hand - elbow))
    turns = jnp.abs(moment_arms) > 1e-6

    def course(arms: Float[Array, "2"], turns: Bool[Array, "2"]) -> Float[Array, "4 2"]:
        bends, both = -jnp.sign(arms), turns.all()
        size = THICKNESS * jnp.where(both, 1.5, 1.0)
        begin = jnp.stack([-CHEST, CHEST * bends[0]])
        past_shoulder = size * bends[0] * upper
        past_elbow = elbow + size * bends[1] * (upper + fore) / 2
        on_upper_arm = elbow / 2 + size * jnp.where(turns[0], bends[0], bends[1]) * upper / 2
        on_forearm = elbow + 0.3 * (hand - elbow) + size * bends[1] * fore / 2
        return jnp.stack(
            [
                jnp.where(turns[0], begin, on_upper_arm),
                jnp.where(turns[0], past_shoulder, on_upper_arm),
                jnp.where(turns[1], past_elbow, on_upper_arm),
                jnp.where(turns[1], on_forearm, on_upper_arm),
            ]
        )

    return jax.vmap(course)(moment_arms, turns)


def _unit(angle: Float[Array, ""]) -> Float[Array, "2"]:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def _normal(way: Float[Array, "2"]) -> Float[Array, "2"]:
    """The unit vector to the left of a way."""
    normal: Array = jnp.stack([-way[1], way[0]]) / jnp.linalg.norm(way)
    return normal
