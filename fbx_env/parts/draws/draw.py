"""What every draw has."""

from __future__ import annotations

import abc

from jaxtyping import Array, Float, PRNGKeyArray

from fbx_env.parts.component import Component, flag, static


class Draw(Component, abc.ABC):
    """A number of a part that is drawn anew for each trial. A new distribution is a new subclass.

    Attributes:
        number: where the number is, as ``"plant.mass"``; ``fbx_env.describe`` lists the names.
        told: whether the agent observes it, as a part of the observation of that name.
    """

    number: str = static()
    told: bool = flag("whether the agent observes the number that is drawn", default=False)

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, default: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The number of a trial.

        Args:
            key: for this trial and draw alone.
            default: the number in the params, which says its shape.
        """
