"""agents: learners for fbx_env, and the exact optimum beside them.

Functions, each with help of its own, as ``help(agents.pairing)``:

- ``pairing(id, key=...)`` makes a ``TrainingContext`` of a model and a ``TrainingTask``;
  ``point_mass_nn_simple_reaches`` does so with the keywords of the original tutorial
- ``train`` trains a policy by backpropagation through time, ``train_replicates`` several, and
  ``train_scan`` as one pure function, by a ``BPTTConfig`` with a ``Freeze`` or a ``Ramp``; they
  give a ``History``, write ``Checkpoints``, and raise ``TrainingError`` or ``Interrupted``
- ``evaluate`` and ``evaluate_replicates`` measure any policy beside the optimum
- ``optimal_loss``, ``expected_loss`` and ``best_known_loss`` are what policies are compared with;
  ``linear_quadratic_matrices`` gives the ``LinearQuadraticMatrices`` A, B, Q, R of a trial; they
  raise ``NoOptimumError`` where the optimum is not known
- ``adapt`` to a force field, for an ``Adaptation``; ``lesion`` units, for ``Lesions``
- ``save_model`` and ``load_model`` keep a policy with its experiment
- ``agents.analysis`` takes networks apart, ``agents.sb3`` and ``agents.sb3_vec_env`` are for
  Stable-Baselines3, and ``python -m agents`` is the command line

Policies: ``GRUPolicy``, ``LSTMPolicy``, ``RNNPolicy``, ``MLPPolicy`` and ``CustomCellPolicy``,
which ``make_policy`` makes; ``OptimalPolicy``, and ``OpenLoopPolicy`` for commands given in
advance. Costs of a policy itself: ``ActivityCost``, ``ActivityRateCost``, ``WeightCost``, and
subclasses of ``PolicyCost``.

All are imported when one of them is first used: the list of commands needs none, and JAX seconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.public import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            return _public_names()
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module("agents.public"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_public_names()})

    def _public_names() -> list[str]:
        """Return the names of functions and classes."""
        public = vars(importlib.import_module("agents.public"))
        return sorted(name for name in public if not name.startswith("_"))
