"""Commands that are given in advance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import OpenLoopPolicy, best_known_loss, load_model, save_model
from fbx_env import make, rollout


@pytest.fixture
def commands(key):
    return jax.random.normal(key, (5, 2))


def test_it_commands_what_it_was_given_whatever_it_observes(commands, key):
    env, params = make(max_steps_in_episode=5, sensory_noise=0.1)
    trials = params.task.validation_trials()
    played = rollout(env, params, OpenLoopPolicy(commands), trials, key)
    np.testing.assert_array_equal(played.command, jnp.broadcast_to(commands, (7, 5, 2)))


def test_past_its_last_command_it_commands_nothing_that_could_be_taken_for_one(commands, key):
    env, params = make(max_steps_in_episode=6)
    trial = jax.tree.map(lambda leaf: leaf[0], params.task.validation_trials())
    played = rollout(env, params, OpenLoopPolicy(commands), trial, key)
    assert np.isfinite(played.command[:5]).all()
    assert np.isnan(played.command[5]).all()


def test_the_best_known_commands_of_trials_cost_the_best_known_loss(key):
    env, params = make("TwoLinkArmReach-v0", max_steps_in_episode=5, eval_n_directions=2)
    trials = params.task.validation_trials()
    best = best_known_loss(params, trials, n_starts=1)
    played = jax.vmap(
        lambda commands, trial: rollout(env, params, OpenLoopPolicy(commands), trial, key)
    )(jnp.asarray(best.commands), trials)
    np.testing.assert_allclose(-played.reward.sum(-1).mean(), best.total, rtol=1e-4)


def test_it_is_saved_and_loaded(commands, tmp_path):
    save_model(tmp_path, OpenLoopPolicy(commands), make()[1])
    np.testing.assert_array_equal(load_model(tmp_path)[0].commands, commands)


@pytest.mark.parametrize(
    ("commands", "error", "message"),
    [
        ("push", TypeError, "commands must be .* numbers, got 'push'"),
        (
            np.zeros(3),
            ValueError,
            r"commands must have shape \(-1, -1\) \(steps, controls\), got \(3,\)",
        ),
        (np.zeros((2, 3, 2)), ValueError, r"of one trial.*jax\.vmap; got \(2, 3, 2\)"),
        (np.full((3, 2), np.nan), ValueError, "commands must be finite"),
    ],
)
def test_commands_that_cannot_be_played_are_refused(commands, error, message):
    with pytest.raises(error, match=message):
        OpenLoopPolicy(commands)
