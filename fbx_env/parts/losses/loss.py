"""Losses: sums of named terms, each the cost of a control step."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fbx_env import checks
from fbx_env.parts.component import Component, Scalar, number, static
from fbx_env.parts.losses.transition import Transition

RESERVED_NAMES = (
    *("hidden", "total", "environment"),
    *("gradient_norm", "learning_rate", "environment_steps"),
)
"""Names that reports have for the activity of units, sums of terms, and other columns."""


def rounded(product: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Keep a product from being fused with the sum it goes into.

    Where it sees fit, the compiler turns ``a * b + c`` into one operation that rounds once, and so
    a step compiled alone and in a batch would differ in the last bit. A maximum in between forbids
    that. It changes no number but minus infinity, and no derivative.
    """
    return jnp.maximum(product, float(np.finfo(product.dtype).min))


def squared_norm(vector: Float[Array, " size"]) -> Float[Array, ""]:
    """The sum of squares, to the same bit in every program it is compiled into."""
    return jnp.sum(rounded(jnp.square(vector)))


def weight(default: float) -> Any:
    """Declare the weight of a term."""
    return number("weight of the {name} cost", default=default, at_least=0, keyword="{name}_weight")


class LossTerm(Component, abc.ABC):
    """A named cost of one step, with its weight. A new term is a new subclass.

    Terms compose: ``PositionCost() + 0.1 * CommandCost()`` is a ``Loss`` with both. Give the
    subclass a ``name`` of its own; histories and figures show the term under it.

    Attributes:
        weight: what the cost is multiplied with, at least 0.
        epochs: names of the task's epochs in which the cost counts, or one such name; all of the
            trial if there are none (static).

    Raises:
        TypeError, ValueError: for a weight that is not allowed, or epochs that are no names; by
            ``ReachParams``, for epochs that the task does not have.

    Example:
        >>> class Effort(LossTerm):
        ...     name = "effort"
        ...     def cost(self, transition):
        ...         return jnp.sum(jnp.square(transition.control))
        >>> (PositionCost() + 2 * Effort(weight=1e-5)).weights
        {'position': 1.0, 'effort': 2e-05}
    """

    name: ClassVar[str] = ""

    weight: Scalar = weight(1.0)
    epochs: tuple[str, ...] | str = static(default=(), kw_only=True)

    def __check_init__(self) -> None:
        epochs = (self.epochs,) if isinstance(self.epochs, str) else self.epochs
        self._assign(epochs=checks.items("epochs", epochs, str))
        if not self.name:
            raise TypeError(f"{type(self).__name__} must define a class attribute 'name'")
        if "/" in self.name:
            raise ValueError(f"the name of a loss term cannot have a '/', got {self.name!r}")
        if self.name in RESERVED_NAMES:
            raise ValueError(
                f"a loss term cannot be named {self.name!r}: {', '.join(RESERVED_NAMES)} have a "
                "meaning of their own in reports"
            )

    def __check_params__(self, params: Any) -> None:
        for epoch in self.epochs:
            checks.known(f"epoch of {type(params.task).__name__}", epoch, params.task.epoch_names)

    @abc.abstractmethod
    def cost(self, transition: Transition) -> Float[Array, ""]:
        """The cost of the step, before it is weighted, wherever in the trial: one number.

        It is compiled: choose by ``jnp.where(transition.clock.is_last, ...)`` and not by ``if``.
        """

    def weighted(self, transition: Transition) -> Float[Array, ""]:
        """The weighted cost of the step, which is 0 outside of the term's epochs.

        Raises:
            ValueError: if the cost is not one number.
        """
        cost = self.cost(transition)
        if cost is None or jnp.shape(cost) != ():
            got = "None" if cost is None else f"shape {jnp.shape(cost)}; sum over its axes"
            raise ValueError(f"the cost of loss term {self.name!r} must be one number, got {got}")
        if self.epochs:
            cost = jnp.where(transition.clock.is_in(self.epochs), cost, 0.0)
        return self.weight * cost

    def __add__(self, other: LossTerm | Loss) -> Loss:
        return Loss((self,)) + other

    def __mul__(self, factor: Scalar) -> LossTerm:
        factor = checks.real("what a loss is multiplied with", factor, at_least=0)
        return self.replace(weight=self.weight * factor)

    __rmul__ = __mul__


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
        return {term.name: term.weighted(transition) for term in self.terms}

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
