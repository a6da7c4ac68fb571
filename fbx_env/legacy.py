"""The environment for learners written for gymnax before 1.0."""

from __future__ import annotations

from gymnax.wrappers import LegacyStepAPIWrapper

from fbx_env.env import ReachEnv


class LegacyReachEnv(LegacyStepAPIWrapper):  # type: ignore[misc]
    """``ReachEnv`` with a ``step`` of five values, as Rejax and PureJaxRL unpack it.

    ``obs, state, reward, done, info``; all else is that of ``ReachEnv``. Unlike other uses of
    gymnax's wrapper it can be copied, which Rejax does, and equal instances share one compilation.

    Example:
        >>> _, params = fbx_env.make(time_in_observation=True)
        >>> algorithm = rejax.get_algo("ppo").create(env=LegacyReachEnv(), env_params=params)
    """

    def __init__(self) -> None:
        super().__init__(ReachEnv())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __reduce__(self) -> tuple[type[LegacyReachEnv], tuple[()]]:
        return type(self), ()
