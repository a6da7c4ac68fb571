"""Lesions of each unit in one compiled call, and their figure."""

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from agents import ActivityCost, GRUPolicy, lesion, make_policy
from agents.lesions import _losses
from fbx_env import SilenceUnits, UnitNoise, make, plot, rollout


@pytest.fixture
def problem(key):
    env, params = make(max_steps_in_episode=15, sensory_noise=0.01)
    return GRUPolicy(8, 2, 5, key=key), env, params, params.task.validation_trials()


def test_each_lesion_is_the_silenced_unit_with_the_same_noise(problem, key):
    policy, env, params, trials = problem
    params = params.replace(interventions=(UnitNoise(std=0.05),))
    lesions = lesion(policy, env, params, trials, key)
    assert lesions.lesioned.shape == (5, 7)

    def losses(*more):
        changed = params.replace(interventions=(*params.interventions, *more))
        return -rollout(env, changed, policy, trials, key).reward.sum(-1)

    np.testing.assert_allclose(lesions.intact, losses(), rtol=1e-5)
    for unit in (0, 3):
        np.testing.assert_allclose(lesions.lesioned[unit], losses(SilenceUnits((unit,))), rtol=1e-5)
    ratio = lesions.lesioned[3].mean() / lesions.intact.mean()
    np.testing.assert_allclose(lesions.ratio[3], ratio, rtol=1e-6)


def test_all_lesions_are_one_program_that_other_weights_share(problem, key):
    policy, env, params, trials = problem
    before = _losses._cached._cache_size()
    lesion(policy, env, params, trials, key)
    assert _losses._cached._cache_size() == before + 1
    other = jax.tree.map(lambda leaf: 0.5 * leaf, policy)
    lesion(other, env, params, trials, jax.random.key(9))
    assert _losses._cached._cache_size() == before + 1


def test_a_unit_to_which_nothing_listens_costs_nothing(problem, key):
    policy, env, params, trials = problem
    readout = policy.readout.weight.at[:, 2].set(0.0)
    recurrent = policy.cell.weight_hh.at[:, 2].set(0.0)
    deaf = eqx.tree_at(lambda p: (p.readout.weight, p.cell.weight_hh), policy, (readout, recurrent))
    ratio = lesion(deaf, env, params, trials, key).ratio
    np.testing.assert_allclose(ratio[2], 1, rtol=1e-6)
    assert np.all(np.abs(ratio[np.array([0, 1, 3, 4])] - 1) > 1e-6)


def test_replicates_are_mapped_over(problem, key):
    policy, env, params, trials = problem
    other = GRUPolicy(8, 2, 5, key=jax.random.key(5))
    both = jax.tree.map(lambda a, b: np.stack([a, b]), policy, other)
    lesions = eqx.filter_vmap(lambda one: lesion(one, env, params, trials, key))(both)
    assert lesions.lesioned.shape == (2, 5, 7)
    alone = lesion(other, env, params, trials, key)
    np.testing.assert_allclose(lesions.ratio[1], alone.ratio, rtol=1e-4)


def test_what_cannot_be_lesioned_is_named(problem, key):
    policy, env, params, trials = problem
    with pytest.raises(ValueError, match=r"trials must have one leading axis, got .* \(2,\)"):
        lesion(policy, env, params, params.task.sample(key), key)
    with pytest.raises(TypeError, match="policy must have"):
        lesion(ActivityCost(), env, params, trials, key)
    with pytest.raises(TypeError, match="trials must be a Trial, got 3"):
        lesion(make_policy("lstm", 8, 2, 3, key=key), env, params, 3, key)


@pytest.mark.parametrize("sort", [False, True])
def test_costs_are_drawn_as_ratios_by_index_or_in_order(sort):
    intact = np.array([1.0, 3.0])
    lesioned = np.array([[1.0, 3.0], [4.0, 12.0], [2.0, 6.0]])
    _, ax = plot.lesion_costs(lesioned, intact, sort=sort)
    expected = [4, 2, 1] if sort else [1, 4, 2]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected)
    if sort:
        assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "0"]
    plt.close("all")


def test_losses_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(3,\)"):
        plot.lesion_costs(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="intact must be greater than 0, got 0"):
        plot.lesion_costs(np.ones((3, 2)), np.zeros(2))
