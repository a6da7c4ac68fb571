"""Losses: the cost of one control step, term by term."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from fbx_env import checks
from fbx_env.component import Component
from fbx_env.plants import Effector, Scalar
from fbx_env.tasks import Trial

RESERVED_NAMES = ("hidden", "total", "environment", "gradient_norm", "learning_rate")
"""What reports call the activity of an agent's units, sums of terms, and other columns."""


def rounded(product: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Keep a product from being fused with the sum it goes into.

    Where it sees fit, the compiler turns ``a * b + c`` into one operation that rounds once, and so
    a step compiled alone and in a batch would differ in the last bit. A maximum in between forbids
    that. It changes no number but minus infinity, and no derivative.
    """
    return jnp.maximum(product, jnp.finfo(product.dtype).min)


def squared_norm(vector: Float[Array, " size"]) -> Float[Array, ""]:
    """The sum of squares, to the same bit in every program it is compiled into."""
    return jnp.sum(rounded(jnp.square(vector)))


@struct.dataclass
class Transition:
    """One control step, as a cost term sees it.

    Attributes:
        trial: the trial it belongs to.
        target: where the effector should be after the step.
        before, after: the effector before and after the step.
        command: what the agent asked for [N], before delay, limit and noise.
        force: what acted during the step [N].
        previous_force: what acted during the step before, zero in the first [N].
        dt: duration of the step [s].
        fraction: how much of the trial has passed after the step, in (0, 1].
        is_last: whether it is the trial's last step.
    """

    trial: Trial
    target: Effector
    before: Effector
    after: Effector
    command: Float[Array, " action"]
    force: Float[Array, " action"]
    previous_force: Float[Array, " action"]
    dt: Float[Array, ""]
    fraction: Float[Array, ""]
    is_last: Bool[Array, ""]


class LossTerm(Component, abc.ABC):
    """A named cost of one step, with its weight. A new term is a new subclass.

    Terms compose: ``PositionCost() + 0.1 * CommandCost()`` is a ``Loss`` with both. Give the
    subclass a ``name`` of its own; histories and figures show the term under it.

    Attributes:
        weight: what the cost is multiplied with, at least 0.

    Example:
        >>> class Effort(LossTerm):
        ...     name = "effort"
        ...     def cost(self, transition):
        ...         return jnp.sum(jnp.square(transition.force))
        >>> (PositionCost() + 2 * Effort(weight=1e-5)).weights
        {'position': 1.0, 'effort': 2e-05}
    """

    name: ClassVar[str] = ""

    weight: Scalar = 1.0

    def __post_init__(self) -> None:
        if not self.name:
            raise TypeError(f"{type(self).__name__} must define a class attribute 'name'")
        if "/" in self.name:
            raise ValueError(f"the name of a loss term cannot have a '/', got {self.name!r}")
        if self.name in RESERVED_NAMES:
            raise ValueError(
                f"a loss term cannot be named {self.name!r}: {', '.join(RESERVED_NAMES)} have a "
                "meaning of their own in reports"
            )
        self._assign(weight=checks.real(f"weight of {self.name}", self.weight, at_least=0))

    @abc.abstractmethod
    def cost(self, transition: Transition) -> Float[Array, ""]:
        """The cost of the step, before it is weighted: one number.

        It is compiled: choose by ``jnp.where(transition.is_last, ...)`` and not by ``if``.
        """

    def __add__(self, other: LossTerm | Loss) -> Loss:
        return Loss((self,)) + other

    def __mul__(self, factor: Scalar) -> LossTerm:
        factor = checks.real("what a loss is multiplied with", factor, at_least=0)
        return self.replace(weight=self.weight * factor)

    __rmul__ = __mul__


class PositionCost(LossTerm):
    """Squared distance to the target [m^2], which counts more as the trial goes on.

    The weight in time is ``((t + 1) / N) ** exponent`` at step t of N, so that there is time to
    move and none to be late.

    Attributes:
        weight: [1/m^2].
        exponent: at least 0; 0 lets every step count the same.
    """

    name: ClassVar[str] = "position"

    weight: Scalar = 1.0
    exponent: Scalar = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._assign(exponent=checks.real("exponent", self.exponent, at_least=0))

    def cost(self, transition: Transition) -> Float[Array, ""]:
        error = transition.after.pos - transition.target.pos
        return transition.fraction**self.exponent * squared_norm(error)


class FinalVelocityCost(LossTerm):
    """Squared difference to the target's velocity [m^2/s^2] after the last step of a trial."""

    name: ClassVar[str] = "final_velocity"

    weight: Scalar = 1.0

    def cost(self, transition: Transition) -> Float[Array, ""]:
        error = transition.after.vel - transition.target.vel
        return jnp.where(transition.is_last, squared_norm(error), 0.0)


class CommandCost(LossTerm):
    """Squared command [N^2]."""

    name: ClassVar[str] = "command"

    weight: Scalar = 1e-5

    def cost(self, transition: Transition) -> Float[Array, ""]:
        return squared_norm(transition.command)


class Loss(Component):
    """A sum of named terms.

    Losses are composed by ``+`` and scaled by ``*``; a term is found by its name.

    Attributes:
        terms: the terms, in the order in which they are reported; each name occurs once.

    Raises:
        TypeError: if something among them is not a ``LossTerm``.
        ValueError: if a name occurs twice.

    Example:
        >>> loss = PositionCost() + FinalVelocityCost() + CommandCost()
        >>> loss.without("command").with_weights(position=2.0).weights
        {'position': 2.0, 'final_velocity': 1.0}
    """

    terms: tuple[LossTerm, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.terms, Iterable):
            raise TypeError(f"terms must be a tuple of loss terms, got {self.terms!r}")
        for term in self.terms:
            checks.instance("a term of the loss", term, LossTerm)
        if len(set(self.names)) < len(self.terms):
            raise ValueError(f"each name may occur once in a loss, got {', '.join(self.names)}")
        self._assign(terms=tuple(self.terms))

    def __call__(self, transition: Transition) -> dict[str, Float[Array, ""]]:
        """The weighted cost of one step, by term.

        Raises:
            ValueError: if a term's cost is not one number.
        """
        costs = {term.name: term.cost(transition) for term in self.terms}
        for name, cost in costs.items():
            if cost is None or jnp.shape(cost) != ():
                got = "None" if cost is None else f"shape {jnp.shape(cost)}; sum over its axes"
                raise ValueError(f"the cost of loss term {name!r} must be one number, got {got}")
        return {term.name: term.weight * costs[term.name] for term in self.terms}

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in order."""
        return tuple(term.name for term in self.terms)

    @property
    def weights(self) -> dict[str, Any]:
        """The terms' weights by name, for reading."""
        weights = {term.name: checks.number("weight", term.weight) for term in self.terms}
        return {name: float(f"{weight:.7g}") for name, weight in weights.items()}

    def with_weights(self, **weights: Scalar) -> Loss:
        """The same loss with other weights, given by the terms' names.

        Raises:
            ValueError: for a name no term has.
        """
        for name in weights:
            self[name]
        return Loss(
            tuple(
                term.replace(weight=weights[term.name]) if term.name in weights else term
                for term in self.terms
            )
        )

    def without(self, *names: str) -> Loss:
        """The same loss without the named terms.

        Raises:
            ValueError: for a name no term has.
        """
        for name in names:
            self[name]
        return Loss(tuple(term for term in self.terms if term.name not in names))

    def __getitem__(self, name: str) -> LossTerm:
        for term in self.terms:
            if term.name == name:
                return term
        message = f"no loss term {name!r}; there are {', '.join(self.names)}"
        if name == "hidden":
            message += "; the activity of hidden units is weighted by whoever trains them"
        raise ValueError(message)

    def __iter__(self) -> Iterator[LossTerm]:
        return iter(self.terms)

    def __add__(self, other: LossTerm | Loss) -> Loss:
        return Loss(self.terms + (other.terms if isinstance(other, Loss) else (other,)))

    def __mul__(self, factor: Scalar) -> Loss:
        return Loss(tuple(term * factor for term in self.terms))

    __rmul__ = __mul__


def reach_loss() -> Loss:
    """The environment's loss of a simple reach: position, final velocity and command."""
    return PositionCost() + FinalVelocityCost() + CommandCost()
