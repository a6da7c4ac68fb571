"""The network of a model of Stable-Baselines3, as a policy of this package."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import Array, Float
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from agents.policies.actor import ActorPolicy
from agents.sb3.environments import ScaledCommands
from agents.sb3_vec_env import ReachVecEnv

ACTIVATIONS = {torch.nn.Tanh: "tanh", torch.nn.ReLU: "relu"}


class Network(NamedTuple):
    """The parts of an actor that a policy is made of."""

    hidden: list[Any]
    readout: Any
    lstm: Any
    squashed: bool


def actor_policy(model: BaseAlgorithm) -> ActorPolicy:
    """Return what a model does without exploring, as a policy for ``rollout`` and ``evaluate``.

    Args:
        model: PPO, A2C, RecurrentPPO, SAC, TQC, TD3 or DDPG with layers of tanh or ReLU, in a
            ``ReachVecEnv``, with or without ``VecNormalize`` and ``VecMonitor`` around it.

    Raises:
        TypeError: for a model, a network or an environment of another kind; it says which.

    Example:
        >>> envs = VecNormalize(ReachVecEnv(32, time_in_observation=True))
        >>> model = PPO("MlpPolicy", envs).learn(100_000)
        >>> metrics, _ = evaluate(actor_policy(model), env, params, trials, key=key)
    """
    network = _network(model)
    env: Any = model.get_env()
    layers = [layer for layer in network.hidden if isinstance(layer, torch.nn.Linear)]
    policy = ActorPolicy(
        env.observation_space.shape[0],
        env.action_space.shape[0],
        tuple(layer.out_features for layer in layers),
        None if network.lstm is None else network.lstm.hidden_size,
        _activation(network.hidden),
        squashed=network.squashed,
        key=jax.random.key(0),
    )
    values = [*_normalisation(env), env.action_space.low, env.action_space.high, _scale(env)]
    values += [
        array for layer in (*layers, network.readout) for array in (layer.weight, layer.bias)
    ]
    if (lstm := network.lstm) is not None:
        values += [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0]
    filled: ActorPolicy = eqx.tree_at(
        lambda policy: _arrays(policy, len(layers)), policy, [_as_jax(value) for value in values]
    )
    return filled


def _network(model: BaseAlgorithm) -> Network:
    """The actor of a model, by the parts that its policy has."""
    policy: Any = model.policy
    actor: Any = getattr(policy, "actor", None)
    lstm = getattr(policy, "lstm_actor", None)
    if hasattr(policy, "mlp_extractor") and not policy.squash_output:
        network = Network([*policy.mlp_extractor.policy_net], policy.action_net, lstm, False)
    elif hasattr(actor, "latent_pi"):
        network = Network([*actor.latent_pi], actor.mu, None, True)
    elif isinstance(getattr(actor, "mu", None), torch.nn.Sequential):
        *hidden, readout, _ = actor.mu
        network = Network(hidden, readout, None, True)
    else:
        raise TypeError(f"model must have an actor of layers, got {type(policy).__name__}")
    if not isinstance(network.readout, torch.nn.Linear):
        raise TypeError(f"the actor must end in a linear layer, got {network.readout}")
    if policy.features_extractor_class is not FlattenExtractor:
        got = policy.features_extractor_class.__name__
        raise TypeError(f"features must be the observation itself, got those of {got}")
    if lstm is not None and lstm.num_layers > 1:
        raise TypeError(f"long short-term memory must have one layer, got {lstm.num_layers}")
    return network


def _activation(hidden: list[Any]) -> Any:
    kinds = {type(layer) for layer in hidden} - {torch.nn.Linear}
    if len(kinds) > 1 or not kinds <= ACTIVATIONS.keys():
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"layers must all be of Tanh or all of ReLU, got {names}")
    return ACTIVATIONS[kinds.pop()] if kinds else "tanh"


def _normalisation(env: Any) -> tuple[Any, Any, Any]:
    """Mean, standard deviation and limit of observations, as far as a wrapper normalises them."""
    mean, std, clip = np.zeros(env.observation_space.shape), np.ones(()), np.inf
    while not isinstance(env, ReachVecEnv):
        if not isinstance(env, VecNormalize | VecMonitor | ScaledCommands):
            raise TypeError(f"the model must learn in a ReachVecEnv, got {type(env).__name__}")
        if isinstance(env, VecNormalize) and env.norm_obs:
            statistics: Any = env.obs_rms
            mean, std = statistics.mean, np.sqrt(statistics.var + env.epsilon)
            clip = env.clip_obs
        env = env.venv
    return mean, np.broadcast_to(std, mean.shape), clip


def _scale(env: Any) -> Float[np.ndarray, " action"]:
    while not isinstance(env, ReachVecEnv | ScaledCommands):
        env = env.venv
    if isinstance(env, ScaledCommands):
        return env.scale
    return np.ones(env.action_space.shape)  # type: ignore[arg-type]


def _arrays(policy: ActorPolicy, n_layers: int) -> list[Any]:
    """The arrays of a policy, in the order in which ``actor_policy`` fills them."""
    arrays: list[Any] = [policy.obs_mean, policy.obs_std, policy.obs_clip]
    arrays += [policy.low, policy.high, policy.scale]
    for layer in (*(policy.layers[index] for index in range(n_layers)), policy.readout):
        arrays += [layer.weight, layer.bias]
    if policy.cell is not None:
        arrays += [policy.cell.weight_ih, policy.cell.weight_hh, policy.cell.bias]
    return arrays


def _as_jax(value: Any) -> Float[Array, "..."]:
    return jnp.asarray(value.detach().numpy() if torch.is_tensor(value) else value, float)
