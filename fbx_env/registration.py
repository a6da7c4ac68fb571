"""The environment's id: making it, and registering it where others look for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
import gymnax

from fbx_env import checks
from fbx_env.env import ReachEnv, ReachParams
from fbx_env.losses import PositionCost

ENV_ID = "PointMassReach-v0"

SETTINGS: dict[str, tuple[str, str]] = {
    "mass": ("plant", "mass"),
    "damping": ("plant", "damping"),
    "workspace": ("task", "workspace"),
    "sensory_delay": ("sensory", "delay"),
    "sensory_noise": ("sensory", "noise_std"),
    "motor_delay": ("motor", "delay"),
    "motor_noise": ("motor", "noise_std"),
    "signal_noise": ("motor", "signal_noise"),
    "max_force": ("motor", "max_force"),
}
"""Keywords of ``make`` that set one field of one part of the params."""


def make(id: str = ENV_ID, **overrides: Any) -> tuple[ReachEnv, ReachParams]:
    """Make the environment and its params.

    Args:
        id: ``"PointMassReach-v0"``.
        **overrides: what differs from the original task. Parts of the params by their field names:
            ``plant``, ``task``, ``sensory``, ``motor``, ``loss``, ``dt`` [s],
            ``max_steps_in_episode``, ``time_in_observation``. Single numbers in them: ``mass``
            [kg], ``damping`` [N s/m], ``workspace`` [m], ``sensory_delay`` and ``motor_delay``
            [steps], ``sensory_noise`` [m and m/s], ``motor_noise`` [N], ``signal_noise``
            [fraction], ``max_force`` [N], ``time_exponent``, and ``loss_weights``, a dict by term.

    Returns:
        The environment, which has no numbers of its own, and the params, which have them all.

    Raises:
        ValueError: for an unknown id, or a number out of range.
        TypeError: for an unknown keyword, or a value of the wrong kind.

    Example:
        >>> env, params = make("PointMassReach-v0", mass=2.0, loss_weights={"command": 1e-4})
        >>> float(params.plant.mass)
        2.0
    """
    if id != ENV_ID:
        raise ValueError(f"unknown environment id {id!r}; there is {ENV_ID!r}")
    parts = [field.name for field in dataclasses.fields(ReachParams)]
    known = [*parts, *SETTINGS, "time_exponent", "loss_weights"]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise TypeError(
            f"unknown keyword {', '.join(map(repr, unknown))}; allowed are {', '.join(known)}"
        )

    params = ReachParams(**{name: overrides[name] for name in parts if name in overrides})
    for keyword, (part, field) in SETTINGS.items():
        if keyword in overrides:
            changed = getattr(params, part).replace(**{field: overrides[keyword]})
            params = params.replace(**{part: changed})
    loss_weights = checks.instance("loss_weights", overrides.get("loss_weights", {}), Mapping)
    if "time_exponent" in overrides:
        exponent = overrides["time_exponent"]
        if not any(isinstance(term, PositionCost) for term in params.loss):
            raise ValueError(
                "time_exponent belongs to the position term, which this loss does not have"
            )
        terms = tuple(
            term.replace(exponent=exponent) if isinstance(term, PositionCost) else term
            for term in params.loss
        )
        params = params.replace(loss=params.loss.replace(terms=terms))
    for name in loss_weights:
        params.loss[name]
    params = params.replace(loss=params.loss.with_weights(**loss_weights))
    return ReachEnv(), params


def register() -> None:
    """Let gymnax and Gymnasium know the environment; doing so again changes nothing."""
    if ENV_ID not in gymnax.registered_envs:
        gymnax.register(ENV_ID, ReachEnv)
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(
            ENV_ID,
            entry_point="fbx_env.gym_env:ReachGymEnv",
            vector_entry_point="fbx_env.gym_vector:ReachVectorEnv",
        )
