"""Whatever is random in an experiment is independent of all else that is."""

import itertools

import jax
import numpy as np

from fbx_env import (
    CurlField,
    Gain,
    NormalDraw,
    SensoryChannel,
    Series,
    Trial,
    UniformDraw,
    make,
)
from fbx_env.parts.keys import key_of


def test_senses_and_draws_are_independent():
    """With channels in series, which derive keys of their own."""
    noisy = SensoryChannel(noise_std=0.1)
    first, second = NormalDraw("loads.curl.strength", 1.0, 1.0), UniformDraw("dt", 0.01, 0.02)
    env, params = make(
        "TwoLinkArmReach-v0",
        loads=(CurlField(1.0),),
        draws=(first, second),
        sensory=Series((Gain(1.0), Gain(1.0), noisy)),
        proprioception=Series((noisy, Gain(1.0))),
    )
    trial = Trial(start=(0.0, 0.4), goal=(0.1, 0.4))
    keys = jax.random.split(jax.random.key(0), 1000)
    obs, state = jax.vmap(lambda key: env.reset_trial(key, trial, params))(keys)
    drawn = np.stack([np.asarray(each) for each in state.drawn], axis=1)
    everything = np.concatenate([np.asarray(obs), drawn], axis=1)
    everything = everything[:, everything.std(axis=0) > 1e-4]
    assert everything.shape[1] >= 2 + 8
    correlation = np.corrcoef(everything.T) - np.eye(everything.shape[1])
    assert np.abs(correlation).max() < 0.2


def test_no_key_of_a_part_is_one_that_a_part_derives():
    key = jax.random.key(5)
    of_parts = [key_of(key, index) for index in range(20)]
    derived = [key, *jax.random.split(key, 50), *(jax.random.fold_in(key, n) for n in range(50))]
    numbers = [jax.random.key_data(each).tolist() for each in (*of_parts, *derived)]
    pairs = itertools.product(numbers[: len(of_parts)], numbers[len(of_parts) :])
    assert all(one != other for one, other in pairs)
    assert len({tuple(each) for each in numbers[: len(of_parts)]}) == len(of_parts)
