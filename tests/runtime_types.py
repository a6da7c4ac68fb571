"""The checker that looks at every annotation of the packages while the tests run."""

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

# Beartype finds the class of `Self` only where it decorates whole classes, not their methods.
typechecker = beartype(
    conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: Any}))
)
