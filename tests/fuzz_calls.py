"""Public functions and classes called with one argument that makes no sense: which errors come?

Each is taken, or refused by a check of ours that names the argument.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import agents
import fbx_env
from fbx_env import analysis, plot

Call = tuple[Callable[..., Any], dict[str, Any]]
"""A function, and arguments by name that it takes."""

KEY = jax.random.key(0)
COMPILED = ("env.reset", "env.step", "legacy.step")
"""What is within ``jax.jit``, which refuses before anything of ours is called."""

FUNCTIONS = ("hidden_type", "write", "where_train")
"""Arguments that are functions, whose own errors are theirs."""

OTHER_WORDS = {"id": "environment", "options": "option", "index": "replicates"}
OTHER_WORDS |= dict.fromkeys(["model", "policies"], "policy") | {"values": "params"}
OTHER_WORDS |= {"method": "method of integration", "ax": "axes"}
"""What messages call an argument that has another name."""

REFUSALS = (TypeError, ValueError, AttributeError, gymnasium.error.Error)


def calls() -> dict[str, Call]:
    """What is called, by name."""
    env, params = fbx_env.make(max_steps_in_episode=3)
    policy = agents.GRUPolicy(8, 2, 2, key=KEY)
    trials = params.task.validation_trials()
    trial, (_, state) = fbx_env.tree_take(trials, 0), env.reset(KEY, params)
    trajectory = fbx_env.rollout(env, params, policy, trials, KEY)
    history = agents.History()
    history.extend({"position": [0.2, 0.1], "total": [0.2, 0.1]}, seconds=0.5)
    history.add_validation({"total": 0.1})
    acting = {"key": KEY, "state": state, "action": jnp.zeros(2), "params": params}
    rolling = {"env": env, "params": params, "policy": policy, "trials": trials, "key": KEY}
    config = agents.BPTTConfig(n_batches=1, batch_size=1)
    training = {"policy": policy, "env": env, "params": params, "config": config, "key": KEY}
    quiet = {"write": None, "optimizer": optax.sgd(0.1), "where_train": lambda policy: policy}
    evaluating = {**rolling, "policy_costs": (), "n_starts": 0}
    sizes = {"obs_size": 8, "action_size": 2, "hidden_size": 2, "key": KEY}
    context = agents.point_mass_nn_simple_reaches(
        hidden_size=2, max_steps_in_episode=3, key=KEY, n_replicates=1
    )
    single, many = fbx_env.ReachGymEnv(), fbx_env.ReachVectorEnv(2)
    single.reset(seed=0)
    many.reset(seed=0)
    resetting = {"seed": 1, "options": {"goal": (0.1, 0.1)}}
    exploring = {"policy": policy, "params": params, "folder": tempfile.mkdtemp()}
    shown = {"trajectory": trajectory, "ax": None}
    named: dict[str, Call] = {
        "describe": (fbx_env.describe, {"id": "PointMassReach-v0", "mass": 1.0}),
        "env.reset": (env.reset, {"key": KEY, "params": params}),
        "env.reset_trial": (env.reset_trial, {"key": KEY, "trial": trial, "params": params}),
        "env.step": (env.step, acting),
        "env.step_env": (env.step_env, acting),
        "env.observe": (env.observe, acting),
        "env.transition": (env.transition, acting),
        "env.observation_layout": (env.observation_layout, {"params": params}),
        "env.observation_space": (env.observation_space, {"params": params}),
        "env.state_space": (env.state_space, {"params": params}),
        "env.action_space": (env.action_space, {"params": params}),
        "legacy": (fbx_env.LegacyReachEnv, {"id": "PointMassReach-v0"}),
        "legacy.step": (fbx_env.LegacyReachEnv().step, acting),
        "rollout": (fbx_env.rollout, rolling),
        "measure": (fbx_env.measure, {"trajectory": trajectory, "params": params}),
        "tree_take": (fbx_env.tree_take, {"tree": trials, "index": 0}),
        "check_part": (fbx_env.check_part, {"part": params.plant, "params": None}),
        "gym.reset": (single.reset, resetting),
        "gym.step": (single.step, {"action": np.zeros(2)}),
        "gym.params": (lambda params: setattr(single, "params", params), {"params": params}),
        "vector.reset": (many.reset, resetting),
        "vector.step": (many.step, {"actions": np.zeros((2, 2))}),
        "vector.call": (many.call, {"name": "params"}),
        "vector.get_attr": (many.get_attr, {"name": "params"}),
        "vector.set_attr": (many.set_attr, {"name": "params", "values": params}),
        "train": (agents.train, training | quiet),
        "train_scan": (
            agents.train_scan,
            {name: training[name] for name in training if name != "env"},
        ),
        "train_replicates": (
            agents.train_replicates,
            {
                **{
                    name: value for name, value in training.items() if name not in ("policy", "key")
                },
                "policies": jax.tree.map(lambda leaf: leaf[None], policy),
                "keys": jax.random.split(KEY, 1),
                "write": None,
            },
        ),
        "BPTTConfig": (agents.BPTTConfig, vars(config)),
        "evaluate": (agents.evaluate, evaluating),
        "optimal_loss": (agents.optimal_loss, {"params": params, "trials": trials}),
        "expected_loss": (agents.expected_loss, {"params": params, "trials": trials}),
        "OptimalPolicy": (agents.OptimalPolicy, {"params": params}),
        "OpenLoopPolicy": (agents.OpenLoopPolicy, {"commands": np.zeros((3, 2))}),
        "matrices": (agents.linear_quadratic_matrices, {"params": params, "trial": trial}),
        "GRUPolicy": (agents.GRUPolicy, sizes),
        "LSTMPolicy": (agents.LSTMPolicy, sizes),
        "MLPPolicy": (agents.MLPPolicy, sizes),
        "RNNPolicy": (agents.RNNPolicy, {**sizes, "leak": 0.5}),
        "make_policy": (agents.make_policy, {**sizes, "hidden_type": "gru", "encoding_size": 2}),
        "pairing": (agents.pairing, {"id": "PointMassReach-v0", "hidden_size": 2, "key": KEY}),
        "context.train": (context.train, {"n_batches": 1, "batch_size": 1, "key": KEY}),
        "context.eval": (context.task.eval, {"model": context.model, "key": KEY}),
        "context.evaluate": (context.task.evaluate, {"model": context.model, "key": KEY}),
        "save_model": (agents.save_model, exploring),
        "load_model": (agents.load_model, {"folder": "nowhere"}),
        "Checkpoints": (agents.Checkpoints, {"folder": "a", "every_seconds": 1, "resume": False}),
        "ActivityCost": (agents.ActivityCost, {"weight": 1e-5}),
        "history.replicate": (history.replicate, {"index": 0}),
        "speed": (analysis.speed, {"vel": np.ones((3, 2))}),
        "directions": (analysis.directions, {"start": np.zeros((3, 2)), "goal": np.ones((3, 2))}),
        "principal_components": (analysis.principal_components, {"activity": np.ones((3, 4))}),
        "sample_units": (analysis.sample_units, {"n_units": 1, "available": 2, "key": KEY}),
        "plot.activity_heatmap": (plot.activity_heatmap, shown),
        "plot.sample_units": (
            plot.activity_sample_units,
            {"trajectory": trajectory, "n_units": 1, "key": KEY},
        ),
        "plot.effector_trajectories": (plot.effector_trajectories, {"trajectory": trajectory}),
        "plot.speed_profiles": (plot.speed_profiles, shown),
        "plot.reach_endpoints": (plot.reach_endpoints, {"trials": trials, "ax": None}),
        "plot.loss_history": (plot.loss_history, {"history": history, "ax": None}),
    }
    return named | {kind.__name__: (kind, numbers_of(kind)) for kind in parts()}


def parts() -> list[type[fbx_env.Component]]:
    """The public parts that have numbers, each with a default."""
    kinds = [kind for kind in vars(fbx_env).values() if isinstance(kind, type)]
    found = [kind for kind in kinds if issubclass(kind, fbx_env.Component)]
    found.remove(fbx_env.Component)
    return [kind for kind in found if not inspect.isabstract(kind) and numbers_of(kind)]


def numbers_of(kind: type[fbx_env.Component]) -> dict[str, Any]:
    """The arguments of a part, if all have defaults; draws also take what they draw."""
    given = {"number": "plant.mass"} if issubclass(kind, fbx_env.Draw) else {}
    fields = {field.name: field.default for field in dataclasses.fields(kind)} | given
    return {} if dataclasses.MISSING in fields.values() else fields


def outcome_of_call(name: str, call: Call, values: list[Any]) -> str:
    """What a call leads to, one argument of which is random.

    Raises:
        AssertionError: for an error that is not raised by a check of ours.
    """
    function, arguments = call
    argument, value = random.choice(sorted(arguments)), random.choice(values)
    if callable(value) and argument in FUNCTIONS:
        return "not called"
    try:
        function(**{**arguments, argument: value})
    except Exception as error:
        where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        ours = any(where.is_relative_to(Path(each.__file__).parent) for each in (fbx_env, agents))
        words = argument, OTHER_WORDS.get(argument, argument), str(value)
        named = any(each in str(error) for each in words)
        if name in COMPILED and where == Path(__file__):
            return "refused by jax.jit"
        if not isinstance(error, REFUSALS) or not ours or not named:
            raise AssertionError(f"{name}({argument}={value!r}): {error!r}, in {where}") from error
        return "refused"
    finally:
        plt.close("all")
    return "ran"


def fuzz_calls(count: int, values: list[Any]) -> Counter[str]:
    """Make random calls, and count what they lead to."""
    named = calls()
    return Counter(
        outcome_of_call(name, named[name], values)
        for name in random.choices(sorted(named), k=count)
    )
