"""Pairings of a model with a task, ready for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from agents.bptt import select_trainable
from agents.contexts import TrainingContext, TrainingTask
from agents.objective import ActivityCost
from agents.recipes import recipe
from fbx_env import checks, make
from fbx_env.reach import check_task
from fbx_env.registration import known_id

POINT_MASS_REACH = "PointMassReach-v0"


def pairing(
    id: str = POINT_MASS_REACH,
    *,
    n_replicates: int = 1,
    hidden_type: str | Callable[..., Any] = "gru",
    hidden_size: int = 50,
    encoding_size: int | None = None,
    where_train: Callable[[Any], Any] | None = None,
    key: PRNGKeyArray,
    **settings: Any,
) -> TrainingContext:
    """Pair a neural network with an environment.

    The form of the network, the weight of its activity, and the settings of training that are not
    given to ``train``, are those of the id's recipe; see ``agents.recipes``.
    A muscle arm that reaches sees and feels with delays, if no others are given.

    Args:
        id: of the environment; see ``fbx_env.describe``.
        n_replicates: models to train at once, with different initial weights.
        hidden_type: ``"gru"``, ``"lstm"``, ``"rnn"`` or ``"mlp"``, or a function that makes a
            recurrent cell of your own, as of ``make_policy``.
        hidden_size: units of the hidden layer.
        encoding_size: units of a tanh layer before the hidden one; ``None`` for no such layer.
        where_train: from the model to the part of it that learns, as
            ``lambda model: model.readout``; ``None`` for all of it.
        key: for the initial weights.
        **settings: keywords of ``fbx_env.make``, such as ``mass``, ``motor_delay`` or
            ``max_steps_in_episode``.

    Returns:
        The context: ``context.model``, ``context.task`` and ``context.train(...)``.

    Raises:
        TypeError, ValueError: for an argument that is not allowed, or trials that lead out of the
            plant's reach.

    Example:
        >>> context = pairing("PointMassReach-v0", hidden_size=100, damping=0.5, key=key)
        >>> model, history = context.train(n_batches=100, key=key)
    """
    n_replicates = checks.whole("n_replicates", n_replicates, at_least=1)
    checks.key("key", key)
    known = recipe(known_id(id))
    try:
        env, params = make(id, **{**known.experiment, **settings})
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        own = "n_replicates, hidden_type, hidden_size, encoding_size, where_train"
        raise TypeError(f"{error}; those of the network are {own}") from error

    def make_model(key: PRNGKeyArray) -> Any:
        return known.network(env, params, hidden_type, hidden_size, encoding_size, key=key)

    keys = jax.random.split(key, n_replicates)
    model = make_model(keys[0]) if n_replicates == 1 else eqx.filter_vmap(make_model)(keys)
    select_trainable(model, where_train)
    check_task(params)
    costs = (ActivityCost(known.hidden_weight),)
    task = TrainingTask(env, params, params.task.validation_trials(), costs)
    return TrainingContext(model, task, where_train, n_replicates, known.settings)


def point_mass_nn_simple_reaches(
    n_replicates: int = 1,
    n_steps: int = 100,
    dt: float = 0.05,
    mass: float = 1.0,
    workspace: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, -1.0), (1.0, 1.0)),
    encoding_size: int | None = None,
    hidden_size: int = 50,
    hidden_type: str | Callable[..., Any] = "gru",
    where_train: Callable[[Any], Any] | None = None,
    feedback_delay_steps: int = 0,
    eval_grid_n: int = 1,
    eval_n_directions: int = 7,
    *,
    key: PRNGKeyArray,
    **settings: Any,
) -> TrainingContext:
    """Pair a neural network with simple reaches of a point mass.

    Args:
        n_replicates, encoding_size, hidden_size, hidden_type, where_train, key: as of ``pairing``.
        n_steps: states of a trial, the initial one included: one more than
            ``max_steps_in_episode``, which counts steps.
        dt: duration of a step [s].
        mass: of the point [kg].
        workspace: corners of the rectangle in which starts and goals lie [m].
        feedback_delay_steps: steps from the plant to what the network senses; ``sensory_delay`` of
            ``make``.
        eval_grid_n: starts of the validation reaches along each axis of the workspace.
        eval_n_directions: validation reaches from each start.
        **settings: further keywords of ``fbx_env.make``, such as ``damping`` or ``motor_delay``.

    Returns:
        The context: ``context.model``, ``context.task`` and ``context.train(...)``.

    Raises:
        TypeError, ValueError: for an argument that is not allowed, or given by both its names.

    Example:
        >>> context = point_mass_nn_simple_reaches(key=jax.random.key(0))
        >>> model, history = context.train(n_batches=100, key=jax.random.key(1))
        >>> trajectory = context.task.eval(model, key=jax.random.key(2))
    """
    n_steps = checks.whole("n_steps", n_steps, at_least=2)
    own: dict[str, tuple[Any, Any]] = {
        "max_steps_in_episode": (n_steps - 1, 99),
        "dt": (dt, 0.05),
        "mass": (mass, 1.0),
        "workspace": (workspace, ((-1.0, -1.0), (1.0, 1.0))),
        "sensory_delay": (feedback_delay_steps, 0),
        "eval_grid_n": (eval_grid_n, 1),
        "eval_n_directions": (eval_n_directions, 7),
    }
    # What has its default is left to ``make``, so that a part can be given that lacks it.
    given = {name: value for name, (value, default) in own.items() if not _equal(value, default)}
    return pairing(
        POINT_MASS_REACH,
        n_replicates=n_replicates,
        hidden_type=hidden_type,
        hidden_size=hidden_size,
        encoding_size=encoding_size,
        where_train=where_train,
        key=key,
        **given,
        **settings,
    )


def _equal(value: Any, default: Any) -> bool:
    return not isinstance(value, jax.core.Tracer) and np.array_equal(value, default)
