"""Draws have their distributions, and their numbers act on each trial alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fbx_env import (
    ActiveDraw,
    ChoiceDraw,
    CurlField,
    NormalDraw,
    UniformDraw,
    check_part,
    make,
)

DRAWS = [
    UniformDraw("plant.mass", 0.5, 2.0),
    NormalDraw("plant.damping", 1.0, 0.1, cut_off=3.0),
    ChoiceDraw("plant.mass", (1.0, 2.0), (0.2, 0.8)),
    ActiveDraw("plant.damping", 0.5),
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: type(draw).__name__)
def test_nothing_is_wrong_with(draw):
    check_part(draw)


def sampled(draw, default=3.0, n=20_000):
    keys = jax.random.split(jax.random.key(1), n)
    return np.asarray(jax.vmap(lambda key: draw.sample(key, jnp.asarray(default)))(keys))


def test_distributions():
    uniform = sampled(UniformDraw("plant.mass", 0.5, 2.0))
    assert stats.kstest(uniform, stats.uniform(0.5, 1.5).cdf).pvalue > 0.01
    normal = sampled(NormalDraw("loads.curl.strength", 1.0, 2.0))
    assert stats.kstest(normal, stats.norm(1, 2).cdf).pvalue > 0.01
    cut = sampled(NormalDraw("loads.curl.strength", 1.0, 2.0, cut_off=1.0))
    assert np.abs(cut - 1).max() <= 2
    chosen = sampled(ChoiceDraw("plant.mass", (1.0, 2.0, 4.0), (0.2, 0.3, 0.5)))
    shares = [np.mean(chosen == value) for value in (1, 2, 4)]
    np.testing.assert_allclose(shares, [0.2, 0.3, 0.5], atol=0.012)
    equal = sampled(ChoiceDraw("plant.mass", (1.0, 2.0)))
    np.testing.assert_allclose(np.mean(equal == 1), 0.5, atol=0.012)
    active = sampled(ActiveDraw("plant.damping", 0.3))
    assert set(np.unique(active)) == {0.0, 3.0}
    np.testing.assert_allclose(np.mean(active == 3), 0.3, atol=0.012)


def test_several_draws_are_independent_and_each_trial_keeps_its_own(key):
    draws = (UniformDraw("plant.mass", 0.5, 2.0), UniformDraw("loads.curl.strength", -1.0, 1.0))
    env, params = make(draws=draws, loads=(CurlField(1.0),), max_steps_in_episode=5)
    _, states = jax.vmap(env.reset, (0, None))(jax.random.split(key, 5000), params)
    mass, curl = states.drawn
    assert abs(np.corrcoef(mass, curl)[0, 1]) < 0.05
    _, after, *_ = jax.vmap(env.step_env, (0, 0, 0, None))(
        jax.random.split(key, 5000), states, jnp.ones((5000, 2)), params
    )
    np.testing.assert_array_equal(after.drawn[0], mass)
    np.testing.assert_allclose(after.plant.vel[:, 0], 0.05 / mass, rtol=1e-5)


def test_a_draw_of_the_task_changes_the_trials(key):
    env, params = make(draws=(ChoiceDraw("sensory.noise_std", (0.1, 0.5), told=True),))
    obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, 2000), params)
    noise = np.asarray(state.drawn[0])
    seen = np.asarray(obs[:, 4:6] - state.trial.start)
    np.testing.assert_allclose(seen[noise < 0.3].std(), 0.1, rtol=0.1)
    np.testing.assert_allclose(seen[noise > 0.3].std(), 0.5, rtol=0.1)
    np.testing.assert_array_equal(obs[:, 8], noise)


def test_a_catch_trial_has_no_field(key):
    env, params = make(draws=(ActiveDraw("loads.curl.strength", 0.5),), loads=(CurlField(2.0),))
    _, states = jax.vmap(env.reset, (0, None))(jax.random.split(key, 200), params)
    states = states.replace(plant=states.plant.replace(vel=jnp.ones((200, 2))))
    _, transition = jax.vmap(env.transition, (0, 0, 0, None))(
        jax.random.split(key, 200), states, jnp.zeros((200, 2)), params
    )
    is_caught = states.drawn[0] == 0
    assert 60 < is_caught.sum() < 140
    assert (np.abs(transition.load).max(-1) == np.where(is_caught, 0, 2)).all()


def test_without_draws_the_step_is_one_that_knows_of_none(monkeypatch, key):
    env, params = make(loads=(CurlField(1.0),))
    state = env.reset(key, params)[1]
    assert state.drawn == ()
    steps = {"as it is": str(jax.make_jaxpr(env.step)(key, state, jnp.zeros(2), params))}
    monkeypatch.setattr("fbx_env.env.with_drawn", lambda params, drawn: params)
    monkeypatch.setattr("fbx_env.env.draw", lambda key, params: ())
    steps["without"] = str(jax.make_jaxpr(env.step)(key, state, jnp.zeros(2), params))
    assert steps["as it is"] == steps["without"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make(draws=(UniformDraw("plant.mass", -1, 2.0),)), "plant.mass must be greater"),
        (lambda: make(draws=(NormalDraw("plant.mass", 1.0, 0.1),)), "goes from -inf to inf"),
        (lambda: make(draws=(UniformDraw("motor.delay", 1, 2),)), "motor.delay is part of the str"),
        (lambda: make(draws=(UniformDraw("plant.mas", 1, 2),)), "did you mean plant.mass"),
        (lambda: ChoiceDraw("plant.mass", (1, 2), (0.2, 0.7)), "sum of probabilities must be 1"),
        (lambda: ChoiceDraw("plant.mass", (1, 2), (0.2,)), "probabilities must be one for each"),
        (
            lambda: make(draws=(ActiveDraw("plant.mass", 0.5),)),
            "plant.mass must be greater than 0, ActiveDraw goes from 0 to 0",
        ),
        (lambda: ActiveDraw("plant.mass", 1.2), "probability must be finite and .* at most 1"),
        (lambda: UniformDraw("plant.mass", 3.0, 2.0), "low must be at most high, got 3 and 2"),
    ],
)
def test_nonsense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
