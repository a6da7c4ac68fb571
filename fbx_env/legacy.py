"""The environment for learners written for gymnax before 1.0."""

from __future__ import annotations

from gymnax.wrappers import LegacyStepAPIWrapper

from fbx_env.registration import ENV_ID, environment


class LegacyReachEnv(LegacyStepAPIWrapper):  # type: ignore[misc]
    """``ReachEnv`` with a ``step`` of five values, as Rejax and PureJaxRL unpack it.

    ``obs, state, reward, done, info``; all else is that of ``ReachEnv``. Unlike other uses of
    gymnax's wrapper it can be copied, which Rejax does, and equal instances share one compilation.

    Args:
        id: which environment, one of ``fbx_env.registration.IDS``.

    Example:
        >>> _, params = fbx_env.make(time_in_observation=True)
        >>> algorithm = rejax.get_algo("ppo").create(env=LegacyReachEnv(), env_params=params)
    """

    def __init__(self, id: str = ENV_ID) -> None:
        super().__init__(environment(id))
        self._id = id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LegacyReachEnv) and self._id == other._id

    def __hash__(self) -> int:
        return hash((type(self), self._id))

    def __reduce__(self) -> tuple[type[LegacyReachEnv], tuple[str]]:
        return type(self), (self._id,)
