"""Gymnasium: what its own tests ask of every environment, asked of every id.

With the extra `render`; ran with Gymnasium 1.3.0. Its distribution has no tests of environments:
these are written anew from what its repository tests.
"""

import os
import pickle
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fbx_env import make
from fbx_env.registration import IDS

os.environ["SDL_VIDEODRIVER"] = "dummy"
EXPECTED = ("minimum value is -infinity", "maximum value is infinity", "normalized space")
"""Warnings that are right: observations have no bounds, and commands have units."""


def short(id):
    """Keywords for trials of four steps, with at most one before the go."""
    step = float(make(id)[1].dt)
    waits = {name: [0.0, step] for name in ("hold_duration", "target_on_duration")}
    return {"max_steps_in_episode": 4, **(waits if "Delayed" in id else {})}


def the_checker_finds_nothing(id):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(id, disable_env_checker=True).unwrapped)
    messages = [str(warning.message) for warning in caught]
    assert all(any(text in message for text in EXPECTED) for message in messages), messages


def the_passive_checker_finds_nothing(id):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = gymnasium.make(id, **short(id))
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2] for _ in range(4)]
    messages = [str(warning.message) for warning in caught]
    assert all(any(text in message for text in EXPECTED) for message in messages), messages
    assert ends == [False, False, False, True]


def equal_seeds_give_equal_trials(id):
    one, other = (gymnasium.make(id) for _ in range(2))
    assert data_equivalence(one.reset(seed=3), other.reset(seed=3))
    one.action_space.seed(3)
    for _ in range(50):
        action = one.action_space.sample()
        step, same = one.step(action), other.step(action)
        assert data_equivalence(step, same)
        assert step[0] in one.observation_space
    assert not np.array_equal(one.reset()[0], one.reset()[0])


def every_render_mode_draws(id):
    for mode in ("rgb_array", "rgb_array_list", "human"):
        env = gymnasium.make(id, render_mode=mode)
        env.reset(seed=0)
        for drawn in (env.render(), env.step(env.action_space.sample()) and env.render()):
            frames = {"rgb_array": [drawn], "rgb_array_list": drawn, "human": []}[mode]
            assert all(frame.dtype == np.uint8 and frame.shape[2] == 3 for frame in frames)
        env.close()


def a_pickle_goes_on_alike(id):
    env = gymnasium.make(id)
    env.reset(seed=1)
    env.step(env.action_space.sample())
    again = pickle.loads(pickle.dumps(env))
    action = env.action_space.sample()
    assert data_equivalence(env.step(action), again.step(action))
    assert data_equivalence(env.reset(), again.reset())


def a_spec_makes_the_same_again(id):
    spec = gymnasium.make(id, **short(id)).spec
    for same in (EnvSpec.from_json(spec.to_json()), pickle.loads(pickle.dumps(spec))):
        assert same == spec
        env = gymnasium.make(same)
        assert env.spec.kwargs["max_steps_in_episode"] == 4
        assert data_equivalence(env.reset(seed=2), gymnasium.make(spec).reset(seed=2))


def unknown_keywords_are_named(id):
    message = "got an unexpected keyword argument 'no_such'"
    with pytest.raises(TypeError, match=message):
        gymnasium.make(id, no_such=1)
    with pytest.raises(TypeError, match=message):
        gymnasium.make_vec(id, num_envs=2, no_such=1)


def vectors_are_as_gymnasiums_own(id):
    """In every mode, beside a loop over single environments."""
    for mode in AutoresetMode:
        envs = gymnasium.make_vec(id, num_envs=3, autoreset_mode=mode, **short(id))
        plain = SyncVectorEnv([lambda: gymnasium.make(id, **short(id))] * 3, autoreset_mode=mode)
        assert envs.observation_space == plain.observation_space
        assert envs.action_space == plain.action_space
        # Sines and the like are rounded otherwise in a batch.
        first, other = envs.reset(seed=4)[0], plain.reset(seed=4)[0]
        np.testing.assert_allclose(first, other, rtol=3e-7, atol=1e-7)
        envs.action_space.seed(0)
        for _ in range(4 if mode is AutoresetMode.DISABLED else 11):
            actions = envs.action_space.sample()
            for one, other in zip(envs.step(actions)[:4], plain.step(actions)[:4], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        envs.close()


CHECKS = (
    the_checker_finds_nothing,
    the_passive_checker_finds_nothing,
    equal_seeds_give_equal_trials,
    every_render_mode_draws,
    a_pickle_goes_on_alike,
    a_spec_makes_the_same_again,
    unknown_keywords_are_named,
    vectors_are_as_gymnasiums_own,
)
CANNOT = """
Cannot pass: tests that read `spec.max_episode_steps`, which is None, as the horizon is part of the
task, and its end a termination; and Gymnasium 1.3's vector wrappers under SameStep, which fail on
its own environments too.
"""

for id in sys.argv[1:] or IDS:
    for check in CHECKS:
        check(id)
    print(f"{id}: {len(CHECKS)} checks pass", flush=True)
print(CANNOT)
