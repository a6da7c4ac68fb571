"""agents: learners for fbx_env, and the exact optimum beside them; ``agents.public`` lists them.

They are imported when one of them is first used: the list of commands needs none, and JAX seconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.public import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module("agents.public"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *vars(importlib.import_module("agents.public"))})
