"""Commands that were decided in advance, as a policy."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fbx_env import checks


class OpenLoopPolicy(eqx.Module):
    """The open-loop controller: it issues given commands, whatever it observes.

    ``rollout`` with it is a simulation of the plant, and differentiable in the commands. Commands
    of several trials, such as ``best_known_loss(...).commands``, are mapped over together with the
    trials. In trials of more steps than there are commands it commands NaN past them.

    Args:
        commands: of each step, in the units of the plant's ``controls``, ``(steps, controls)``.

    Raises:
        TypeError, ValueError: if they are not finite numbers in this shape.

    Example:
        >>> push = OpenLoopPolicy(jnp.tile(jnp.array([0.1, 0.0]), (99, 1)))
        >>> trajectory = rollout(env, params, push, trial, key)
        >>> best = best_known_loss(params, trials)
        >>> trajectories = jax.vmap(
        ...     lambda commands, trial: rollout(env, params, OpenLoopPolicy(commands), trial, key)
        ... )(jnp.asarray(best.commands), trials)
    """

    commands: Float[Array, "steps controls"]

    def __init__(self, commands: Any) -> None:
        self.commands = checks.real("commands", commands, shape=(-1, -1), meaning="steps, controls")
        if self.commands.ndim > 2:
            raise ValueError(
                "commands must be those of one trial, of shape (steps, controls); map over several "
                f"with jax.vmap; got {self.commands.shape}"
            )

    def __call__(
        self,
        obs: Float[Array, " observation"],
        carry: Int[Array, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, " controls"], Int[Array, ""]]:
        """The command of this step, and the number of steps so far."""
        command = self.commands.at[carry].get(mode="fill", fill_value=jnp.nan)
        return command, carry + 1

    def initial_carry(self) -> Int[Array, ""]:
        """Step 0."""
        return jnp.zeros((), jnp.int32)

    def activity(self, carry: Int[Array, ""]) -> Float[Array, "0"]:
        """Nothing: it has no units."""
        return jnp.zeros(0)
