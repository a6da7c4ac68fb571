"""Interventions change the units they name, when they say so, and nothing else."""

import json
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import agents.__main__ as command_line
from agents import (
    BPTTConfig,
    GRUPolicy,
    Ramp,
    evaluate,
    load_model,
    make_policy,
    save_model,
    train_scan,
)
from agents.commands import options
from agents.commands.train import Train
from agents.experiment import Experiment, named_parts
from fbx_env import (
    ActiveDraw,
    ClampUnits,
    Intervention,
    ScaleWeights,
    SilenceUnits,
    UniformDraw,
    UnitGain,
    UnitInput,
    UnitNoise,
    check_part,
    describe,
    make,
    rollout,
)

N_UNITS, N_STEPS, ONSET = 6, 20, 10
DT = 0.05


def gru_cell(input_size, hidden_size, *, key):
    return eqx.nn.GRUCell(input_size, hidden_size, key=key)


POLICIES = {"gru": "gru", "lstm": "lstm", "rnn": "rnn", "mlp": "mlp", "custom": gru_cell}
ALL = [
    SilenceUnits((1, 3)),
    ClampUnits((2, 0), (0.4, -0.2)),
    UnitGain((2,), 0.5),
    UnitNoise(std=0.1),
    UnitInput((2,), 0.4),
    ScaleWeights("readout.weight", columns=(1,)),
]


def network(kind, key=0):
    return make_policy(POLICIES[kind], 8, 2, N_UNITS, key=jax.random.key(key))


def acted(policy, *interventions, trials=None, **settings):
    env, params = make(max_steps_in_episode=N_STEPS, interventions=interventions, **settings)
    trials = params.task.validation_trials() if trials is None else trials
    return rollout(env, params, policy, trials, jax.random.key(7))


@pytest.mark.parametrize("part", ALL[:4], ids=lambda part: part.name)
def test_nothing_is_wrong_with(part):
    check_part(part)


@pytest.mark.parametrize("part", ALL, ids=lambda part: part.name)
def test_nothing_changes_before_the_onset_and_something_after(part):
    policy = network("gru")
    intact, changed = acted(policy), acted(policy, part.replace(onset=ONSET * DT))
    for name in ("activity", "command"):
        one, other = getattr(intact, name), getattr(changed, name)
        np.testing.assert_array_equal(one[:, :ONSET], other[:, :ONSET])
    assert not np.allclose(intact.command[:, ONSET], changed.command[:, ONSET], atol=1e-4)


@pytest.mark.parametrize("kind", POLICIES)
def test_units_are_silent_for_as_long_as_they_are_silenced(kind):
    policy = network(kind)
    silence = SilenceUnits((1, 3), onset=ONSET * DT, duration=5 * DT)
    intact, silenced = acted(policy).activity, acted(policy, silence).activity
    during = silenced[:, ONSET : ONSET + 5]
    np.testing.assert_array_equal(during[..., jnp.array([1, 3])], 0)
    assert np.all(during[..., jnp.array([0, 2, 4, 5])] != 0)
    assert np.all(silenced[:, ONSET + 5 :] != 0)
    np.testing.assert_array_equal(silenced[:, :ONSET], intact[:, :ONSET])


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_clamp_to_the_activity_that_there_is_changes_nothing(kind, key):
    policy = network(kind)
    trial = make()[1].task.sample(key)
    intact = acted(policy, trials=trial)
    own = ClampUnits(value=intact.activity[ONSET], onset=ONSET * DT, duration=DT)
    clamped = acted(policy, own, trials=trial)
    np.testing.assert_array_equal(clamped.activity, intact.activity)
    np.testing.assert_array_equal(clamped.pos, intact.pos)


def bias_of(policy):
    return (policy.hidden if hasattr(policy, "hidden") else policy.cell).bias


@pytest.mark.parametrize("kind", POLICIES)
def test_an_input_is_a_change_of_the_bias(kind):
    policy = network(kind)
    # Of gates, the third is the candidate's in equinox's cells.
    first = 0 if kind in ("rnn", "mlp") else 2 * N_UNITS
    where = first + jnp.array([4, 1])
    other = eqx.tree_at(bias_of, policy, bias_of(policy).at[where].add(jnp.array([0.3, -0.2])))
    driven = acted(policy, UnitInput((4, 1), (0.3, -0.2)))
    np.testing.assert_allclose(driven.activity, acted(other).activity, rtol=1e-5, atol=1e-7)
    assert not np.allclose(driven.activity, acted(policy).activity, atol=1e-3)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_a_lesion_is_the_network_without_the_units(kind):
    policy, left = network(kind), np.array([0, 2, 4, 5])
    n_gates = len(policy.cell.weight_hh) // N_UNITS
    rows = np.concatenate([left + N_UNITS * gate for gate in range(n_gates)])
    smaller = make_policy(kind, 8, 2, len(left), key=jax.random.key(1))
    weights = lambda policy: (  # noqa: E731
        policy.cell.weight_ih,
        policy.cell.weight_hh,
        policy.cell.bias,
        policy.readout.weight,
        policy.readout.bias,
    )
    ih, hh, bias, readout, readout_bias = weights(policy)
    kept = (ih[rows], hh[rows][:, left], bias[rows], readout[:, left], readout_bias)
    smaller = eqx.tree_at(weights, smaller, kept)
    if kind == "gru":
        smaller = eqx.tree_at(lambda gru: gru.cell.bias_n, smaller, policy.cell.bias_n[left])
    lesioned = acted(policy, SilenceUnits((1, 3)))
    np.testing.assert_allclose(
        lesioned.activity[..., left], acted(smaller).activity, rtol=1e-4, atol=1e-6
    )


def test_the_memory_of_an_lstm_goes_on_while_its_output_is_held(key):
    policy = network("lstm")
    carry = (0.1 * jnp.arange(6.0), jnp.linspace(-1, 1, 6))
    held = policy.with_activity(carry, jnp.zeros(6))
    np.testing.assert_array_equal(policy.activity(held), 0)
    np.testing.assert_array_equal(held[1], carry[1])


def test_weights_are_scaled_and_cut():
    policy = network("gru")
    half = eqx.tree_at(lambda p: p.cell.weight_hh, policy, 0.5 * policy.cell.weight_hh)
    scaled = acted(policy, ScaleWeights(factor=0.5))
    np.testing.assert_allclose(scaled.activity, acted(half).activity, rtol=1e-5, atol=1e-7)
    # Nothing of the units' activity, but what their neighbours and commands hear of it.
    deaf = [
        ScaleWeights("cell.weight_hh", columns=(3,)),
        ScaleWeights("readout.weight", columns=(3,), name="out"),
    ]
    others = jnp.array([0, 1, 2, 4, 5])
    np.testing.assert_allclose(
        acted(policy, *deaf).activity[..., others],
        acted(policy, SilenceUnits((3,))).activity[..., others],
        rtol=1e-5,
        atol=1e-7,
    )


def test_gains_and_interventions_act_one_after_another():
    policy = network("mlp")
    both = acted(policy, ClampUnits(value=0.4), UnitGain((2,), 0.5)).activity
    np.testing.assert_allclose(both[..., 2], 0.2, rtol=1e-6)
    np.testing.assert_allclose(both[..., 3], 0.4, rtol=1e-6)
    other = acted(policy, UnitGain((2,), 0.5), ClampUnits(value=0.4)).activity
    np.testing.assert_allclose(other, 0.4, rtol=1e-6)


def test_noise_has_its_size_and_differs_between_units_steps_and_trials():
    policy = network("gru")
    trials = jax.vmap(make()[1].task.sample)(jax.random.split(jax.random.key(2), 200))
    intact = acted(policy, trials=trials).activity
    std = (0.1, 0.2, 0.1, 0.1, 0.1, 0.1)
    noisy = acted(policy, UnitNoise(std=std, onset=5 * DT), trials=trials).activity
    np.testing.assert_array_equal(noisy[:, :5], intact[:, :5])
    noise = np.asarray(noisy - intact)[:, 5] / np.array(std)
    assert stats.kstest(noise.ravel(), stats.norm.cdf).pvalue > 0.01
    assert len(np.unique(noise)) == noise.size
    later = np.asarray(noisy - intact)[:, 6]
    assert abs(np.corrcoef(noise[:, 0], later[:, 1])[0, 1]) < 0.2


def test_a_drawn_strength_acts_on_its_trial_and_is_in_the_trajectory():
    draws = (
        UniformDraw("interventions.clamp.value", -0.5, 0.5),
        ActiveDraw("interventions.input.current", 0.5),
    )
    parts = (ClampUnits((2,), 0.1), UnitInput((4,), 1.0))
    policy = network("rnn")
    trajectory = acted(policy, *parts, draws=draws)
    value = trajectory.drawn["interventions.clamp.value"]
    assert len(np.unique(value)) == 7
    np.testing.assert_array_equal(trajectory.activity[..., 2], np.tile(value[:, None], N_STEPS))
    active = trajectory.drawn["interventions.input.current"] == 1
    assert 0 < active.sum() < 7
    without = acted(policy, ClampUnits((2,), 0.1), UnitInput((4,), 0.0), draws=draws[:1])
    same = np.isclose(trajectory.activity[..., 4], without.activity[..., 4], atol=1e-6).all(-1)
    np.testing.assert_array_equal(same, ~np.asarray(active))


def test_a_schedule_brings_noise_into_training(key):
    _, params = make(max_steps_in_episode=5, interventions=(UnitNoise(std=0.3),))
    ramp = Ramp("interventions.unit_noise.std", 0.0, 0.5)

    def losses(params, *schedules):
        config = BPTTConfig(n_batches=4, batch_size=4, schedules=schedules)
        return train_scan(network("rnn"), params, config, key=key)[1]["total"]

    plain, ramped = losses(params.replace(interventions=())), losses(params, ramp)
    np.testing.assert_allclose(ramped[0], plain[0], rtol=1e-5)
    assert not np.allclose(ramped[1:], plain[1:], rtol=1e-4)


def test_the_gradient_by_the_value_of_a_clamp_is_that_of_finite_differences():
    with jax.enable_x64(True):
        policy = network("gru")
        env, params = make(max_steps_in_episode=N_STEPS)
        trial = params.task.sample(jax.random.key(3))

        def loss(value):
            clamp = ClampUnits((2,), value, onset=ONSET * DT)
            changed = params.replace(interventions=(clamp,))
            return -rollout(env, changed, policy, trial, jax.random.key(0)).reward.sum()

        at, step = jnp.asarray(0.3), 1e-5
        difference = (loss(at + step) - loss(at - step)) / (2 * step)
        np.testing.assert_allclose(jax.grad(loss)(at), difference, rtol=1e-6)


def test_they_are_saved_and_loaded(tmp_path):
    policy = network("gru")
    env, params = make(max_steps_in_episode=N_STEPS, interventions=tuple(ALL))
    save_model(tmp_path, policy, params)
    loaded_policy, loaded = load_model(tmp_path)
    assert repr(loaded.interventions) == repr(params.interventions)
    trials, key = params.task.validation_trials(), jax.random.key(0)
    np.testing.assert_array_equal(
        rollout(env, loaded, loaded_policy, trials, key).command,
        rollout(env, params, policy, trials, key).command,
    )


def test_onsets_and_times_are_those_of_a_duration_of_steps_that_is_drawn(key):
    policy = GRUPolicy(8, 2, 5, key=key)
    silence, draw = SilenceUnits(onset=0.3), UniformDraw("dt", 0.03, 0.2)
    env, params = make(max_steps_in_episode=40, interventions=(silence,), draws=(draw,))
    reaches = rollout(env, params, policy, params.task.validation_trials(), key)
    dt = np.asarray(reaches.drawn["dt"])
    np.testing.assert_allclose(reaches.time, dt[:, None] * np.arange(41), rtol=1e-6)
    is_silent = np.asarray((reaches.activity == 0).all(axis=-1))
    np.testing.assert_array_equal(is_silent, np.asarray(reaches.time)[:, :-1] >= 0.3)


def test_weights_are_named_on_the_command_line(tmp_path, key):
    policy, (env, params) = GRUPolicy(8, 2, 5, key=key), make(max_steps_in_episode=9)
    save_model(tmp_path, policy, params)
    words = ["--intervene", "weights", "--weights-in", "readout.weight", "--weights-columns", "3"]
    command_line.main(["evaluate", str(tmp_path), *words])
    cut = params.replace(interventions=(ScaleWeights("readout.weight", columns=(3,)),))
    trials = params.task.validation_trials()
    reward = rollout(env, cut, policy, trials, key).reward.sum(axis=1).mean()
    metrics = json.loads((tmp_path / "evaluation.json").read_text())
    np.testing.assert_allclose(metrics["losses"]["environment"], -reward, rtol=1e-5)
    with pytest.raises(TypeError, match="weights must be a str, got 3"):
        ScaleWeights(3)


def test_the_command_line_evaluates_under_interventions(tmp_path, key):
    policy = network("gru")
    env, params = make(max_steps_in_episode=N_STEPS)
    save_model(tmp_path, policy, params)
    words = ["--intervene", "silence", "clamp", "--silence-units", "1", "3", "--silence-onset"]
    words += ["0.5", "--clamp-units", "2", "--clamp-value", "0.4"]
    command_line.main(["evaluate", str(tmp_path), *words])
    found = json.loads((tmp_path / "evaluation.json").read_text())
    parts = (SilenceUnits((1, 3), onset=0.5), ClampUnits((2,), 0.4))
    expected, _ = evaluate(
        policy,
        env,
        params.replace(interventions=parts),
        params.task.validation_trials(),
        key=jax.random.key(0),
    )
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert found["optimum"] == pytest.approx(expected["optimum"], rel=1e-5)
    assert found["changes"]["interventions"] == ["silence", "clamp"]


def test_options_follow_the_interventions_that_are_chosen():
    words = ["--intervene", "unit_noise", "--unit-noise-std", "0.2", "--unit-noise-units", "4", "2"]
    experiment = options.parse(Train, words, "train").experiment
    assert experiment.interventions == ("unit_noise",)
    assert experiment.numbers == {"unit_noise_std": 0.2, "unit_noise_units": [4, 2]}
    assert options.parse(Train, options.words_of(experiment), "train").experiment == experiment
    (noise,) = experiment.make()[1].interventions
    assert (noise.units, float(noise.std)) == ((4, 2), pytest.approx(0.2))
    assert Experiment(interventions=("none",)).applied_to(experiment.make()[1]).interventions == ()
    assert {part.name for part in ALL} <= named_parts(Intervention).keys()


def test_every_number_is_described_with_its_part():
    rows = {row["keyword"]: row for row in describe(interventions=(SilenceUnits((1, 3)),)).rows()}
    assert rows["silence_units"]["default"] == "(1, 3)"
    assert rows["silence_duration"]["default"] == "none"
    assert rows["silence_onset"]["unit"] == "s"


class NoUnits(eqx.Module):
    def __call__(self, obs, carry, *, key=None):
        return jnp.zeros(2), carry

    def initial_carry(self):
        return None

    def activity(self, carry):
        return jnp.zeros(3)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (SilenceUnits((2, 6, 9)), r"units of SilenceUnits .* from 0 to 5, .* 6 units, got 6, 9"),
        (UnitInput((6,)), "units of UnitInput .* 6 units, got 6"),
        (ClampUnits((1, 2), (0.1, 0.2, 0.3)), "value of ClampUnits .* 2 units, got 3"),
        (UnitNoise(std=(0.1, 0.2)), "std of UnitNoise .* 6 units, got 2"),
        (ScaleWeights("cell.weight_h"), "no weights 'cell.weight_h'; did you mean cell.weight_ih"),
        (ScaleWeights("readout.weight", rows=(2,)), r"rows .* below 2, .* \(2, 6\), got 2"),
    ],
)
def test_units_and_weights_that_there_are_not_are_named(part, named):
    with pytest.raises(ValueError, match=named):
        acted(network("gru"), part)


def test_what_cannot_be_is_refused():
    with pytest.raises(TypeError, match="policy must have advance, .*NoUnits has not"):
        acted(NoUnits(), SilenceUnits((1,)))
    for units, error in (((-1,), ValueError), ((1, 1), ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="units"):
            SilenceUnits(units)
    with pytest.raises(ValueError, match="silence must be within the trial, which lasts 1 s"):
        acted(network("gru"), SilenceUnits((1,), onset=1.5))
    with pytest.raises(ValueError, match="interventions must have another name, got silence"):
        acted(network("gru"), SilenceUnits((1,)), SilenceUnits((2,)))
    with pytest.raises(TypeError, match="interventions must be an Intervention, got 3"):
        acted(network("gru"), 3)
    cell = partial(eqx.nn.GRUCell, use_bias=False)
    unbiased = make_policy(cell, 8, 2, 6, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"needs a bias of shape \(6,\).* has None"):
        acted(unbiased, UnitInput((1,)))
