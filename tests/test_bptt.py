"""Training: it learns, it is what it says, and it stops when numbers fail."""

import contextlib
import dataclasses
import gc
import re
import weakref
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents import (
    ActivityCost,
    BPTTConfig,
    Checkpoints,
    GRUPolicy,
    PolicyCost,
    TrainingError,
    train,
    train_replicates,
    train_scan,
)
from agents.bptt.algorithm import (
    Rates,
    default_optimizer,
    init_state,
    make_setup,
    update,
)
from agents.bptt.compilation import MAX_PROGRAMS, compile_for, compile_updates
from agents.objective import make_objective, mean_loss
from fbx_env import make

SMALL = BPTTConfig(n_batches=12, batch_size=4, log_step=5)


@pytest.fixture
def experiment():
    return make(max_steps_in_episode=10)


@pytest.fixture
def policy(key):
    return GRUPolicy(8, 2, 6, key=key)


def break_third_step():
    def update(updates, count, params=None):
        scale = jnp.where(count == 2, jnp.inf, -0.01)
        return jax.tree.map(lambda update: scale * update, updates), count + 1

    return optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)


@contextlib.contextmanager
def compilations():
    """The time each of them takes, noted while the context lasts."""
    noted = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            noted.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield noted
    finally:
        jax.monitoring.clear_event_listeners()


def test_training_brings_the_loss_down_a_hundredfold(key):
    env, params = make(dt=0.1, max_steps_in_episode=30)
    config = BPTTConfig(n_batches=300, batch_size=16)
    _, history = train(GRUPolicy(8, 2, 20, key=key), env, params, config, key=key, write=None)
    assert history["validation_total"][-1] < history["validation_total"][0] / 100


def test_chunks_of_updates_are_the_updates_one_by_one(experiment, policy, key):
    setup = make_setup(policy, *experiment, SMALL, None, None)
    state = start = init_state(policy, setup, key)
    totals = []
    for _ in range(3):
        state, report = eqx.filter_jit(update)(state, setup)
        totals.append(report["total"])
    together, reports = compile_updates(start, setup)(start, 3)
    np.testing.assert_allclose(reports["total"][:3], totals, rtol=1e-5)
    assert np.isnan(reports["total"][3:]).all()
    assert together.iteration == 3
    for one, other in zip(
        jax.tree.leaves(state.policy), jax.tree.leaves(together.policy), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_pure_function_makes_the_updates_of_the_trainer(experiment, policy, key):
    env, params = experiment
    where = {"where_train": lambda policy: (policy.cell, policy.readout.weight)}
    trained, history = train(policy, env, params, SMALL, key=key, write=None, **where)
    pure, reports = eqx.filter_jit(train_scan)(policy, params, SMALL, key=key, **where)
    for name in (*history.terms, "total"):
        np.testing.assert_allclose(reports[name], history[f"training_{name}"], rtol=1e-5)
    np.testing.assert_allclose(reports["gradient_norm"], history["gradient_norm"], rtol=1e-5)
    for one, other in zip(jax.tree.leaves(pure), jax.tree.leaves(trained), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert not pure.readout.bias.any()


def test_whole_trainings_are_mapped_over(experiment, policy, key):
    """Over masses, keys and policies, each as it would be trained alone."""
    _, params = experiment
    masses, keys = jnp.array([0.5, 2.0]), jax.random.split(key, 2)

    def train_for(mass, key):
        own = params.replace(plant=params.plant.replace(mass=mass))
        return train_scan(GRUPolicy(8, 2, 6, key=key), own, SMALL, key=key)

    policies, reports = jax.jit(jax.vmap(train_for))(masses, keys)
    assert reports["total"].shape == (2, SMALL.n_batches)
    alone, report = jax.jit(train_for)(masses[1], keys[1])
    np.testing.assert_allclose(reports["total"][1], report["total"], rtol=1e-4)
    for one, other in zip(jax.tree.leaves(policies), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(one[1], other, rtol=1e-3, atol=1e-5)


def test_the_pure_function_stops_at_a_fault(experiment, policy, key):
    """An optimiser that breaks the weights in its third step."""
    _, params = experiment
    broken, reports = train_scan(policy, params, SMALL, key=key, optimizer=break_third_step())
    sound, _ = train_scan(
        policy, params, BPTTConfig(n_batches=2, batch_size=4), key=key, optimizer=optax.sgd(0.01)
    )
    assert np.isfinite(reports["total"]).tolist() == 3 * [True] + 9 * [False]
    for one, other in zip(jax.tree.leaves(broken), jax.tree.leaves(sound), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_one_update_is_plain_gradient_descent_on_fresh_trials(experiment, policy, key):
    env, params = experiment
    setup = make_setup(policy, env, params, SMALL, None, optax.sgd(0.1))
    start = init_state(policy, setup, key)
    after, report = update(start, setup)
    keys = jax.random.split(jax.random.fold_in(key, 0))
    keys_trials, keys_noise = (jax.random.split(key, 4) for key in keys)
    trials = jax.vmap(params.task.sample)(keys_trials)
    (total, terms), gradient = eqx.filter_value_and_grad(mean_loss, has_aux=True)(
        policy, setup.objective, trials, keys_noise
    )
    np.testing.assert_allclose(report["total"], total, rtol=1e-5)
    np.testing.assert_allclose(sum(terms.values()), total, rtol=1e-5)
    np.testing.assert_allclose(report["gradient_norm"], optax.tree.norm(gradient), rtol=1e-5)
    expected = jax.tree.map(lambda weight, slope: weight - 0.1 * slope, policy, gradient)
    for one, other in zip(jax.tree.leaves(after.policy), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_beyond_the_limit_count_as_if_at_it():
    """Adam, for vectors, forgets the scale of the first gradient at once, but not of the second."""
    optimizer = default_optimizer(Rates.of(BPTTConfig(clip_norm=1.0)))

    def second_step(first, second):
        weights = jnp.zeros(2)
        _, state = optimizer.update(jnp.array(first), optimizer.init(weights), weights)
        return optimizer.update(jnp.array(second), state, weights)[0]

    small = [0.3, -0.2]
    at_limit = second_step([0.6, 0.8], small)
    np.testing.assert_allclose(second_step([600.0, 800.0], small), at_limit, rtol=1e-5)
    assert not np.allclose(second_step([0.06, 0.08], small), at_limit, rtol=1e-2)


def test_longer_trainings_take_smaller_steps_unless_set():
    for n_batches, rate in ((1, 0.01), (1250, 0.01), (1500, 0.01), (3000, 0.005), (6000, 0.0025)):
        schedule = Rates.of(BPTTConfig(n_batches=n_batches)).schedule
        assert schedule(0) == pytest.approx(rate)
        expected = optax.linear_schedule(rate, 0.0, n_batches)(np.arange(n_batches + 3))
        np.testing.assert_allclose(
            schedule(np.arange(n_batches + 3)), expected, rtol=1e-6, atol=1e-9
        )
    given = Rates.of(BPTTConfig(n_batches=3000, learning_rate=0.3))
    assert given.schedule(0) == pytest.approx(0.3)
    assert given.schedule(3000) == 0


def test_biases_take_smaller_steps_than_matrices():
    """A first step of Muon has singular values near its rate."""
    optimizer = default_optimizer(Rates.of(BPTTConfig(learning_rate=0.1)))
    weights = {"matrix": jnp.zeros((3, 3)), "bias": jnp.zeros(3)}
    gradient = {"matrix": jnp.diag(jnp.array([0.3, 0.2, 0.4])), "bias": jnp.array([0.1, -0.2, 0.3])}
    steps, _ = optimizer.update(gradient, optimizer.init(weights), weights)
    adam = optax.adam(0.07, b2=0.95, nesterov=True)
    expected, _ = adam.update(gradient["bias"], adam.init(weights["bias"]))
    np.testing.assert_allclose(steps["bias"], expected, rtol=1e-5)
    singular = np.linalg.svd(steps["matrix"], compute_uv=False)
    assert (np.abs(singular - 0.1) < 0.04).all()


def test_every_update_has_trials_of_its_own(experiment, policy, key):
    _, history = train(policy, *experiment, SMALL, key=key, optimizer=optax.sgd(0.0), write=None)
    assert len(np.unique(history["training_position"])) == SMALL.n_batches


def test_computing_steps_anew_changes_no_loss_and_stores_less(policy, key):
    env, params = make(max_steps_in_episode=400, sensory_delay=2, motor_noise=0.1)
    config = BPTTConfig(n_batches=3, batch_size=4)
    keys = jax.random.split(key, 4)
    trials = jax.vmap(params.task.sample)(keys)

    def total_loss(objective, policy):
        return mean_loss(policy, objective, trials, keys)[0]

    losses, memory = [], []
    for rematerialise in (False, True):
        chosen = dataclasses.replace(config, rematerialise=rematerialise)
        losses.append(train(policy, env, params, chosen, key=key, write=None)[1]["training_total"])
        objective = make_objective(env, params, rematerialise=rematerialise)
        gradient = jax.jit(jax.grad(partial(total_loss, objective)))
        compiled = gradient.lower(policy).compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert memory[1] < 0.7 * memory[0]


def test_same_key_same_training_and_the_given_policy_stays(experiment, policy, key):
    before = jax.tree.map(jnp.copy, policy)
    first, history = train(policy, *experiment, SMALL, key=key, write=None)
    second, again = train(policy, *experiment, SMALL, key=key, write=None)
    assert eqx.tree_equal(first, second)
    assert eqx.tree_equal(policy, before)
    np.testing.assert_array_equal(history["training_total"], again["training_total"])
    other, _ = train(policy, *experiment, SMALL, key=jax.random.key(1), write=None)
    assert not eqx.tree_equal(first, other)


def test_history_has_every_term_and_validation_at_intervals(experiment, policy, key):
    _, history = train(policy, *experiment, SMALL, key=key, write=None)
    assert len(history) == 12
    assert set(history.terms) == {"position", "final_velocity", "command", "hidden"}
    parts = sum(history[f"training_{term}"] for term in history.terms)
    np.testing.assert_allclose(parts, history["training_total"], rtol=1e-5)
    seen = np.flatnonzero(np.isfinite(history["validation_total"]))
    assert seen.tolist() == [0, 5, 10, 11]
    schedule = optax.linear_schedule(0.01, 0.0, 12)
    np.testing.assert_allclose(history["learning_rate"], schedule(np.arange(12)), rtol=1e-5)
    assert (history["gradient_norm"] > 0).all()


def test_printed_lines(experiment, policy, key):
    lines = []
    train(policy, *experiment, SMALL, key=key, write=lines.append)
    text = "\n".join(lines)
    assert re.search(r"Training step compiled in \d+\.\d\d seconds\.", text)
    assert re.search(r"Validation step compiled in \d+\.\d\d seconds\.", text)
    loss = r"\d\.\d\de[+-]\d\d"
    for label in ("Training iteration 0", "Training iteration 5", "Training iteration 10"):
        assert re.search(
            f"{label}:\n    training loss: {loss}\n    validation loss: {loss}\n", text
        )
    assert "Final training iteration (11):" in text
    assert lines[-1] == "Completed training run on a total of 48 trials."


def test_nothing_is_compiled_after_training_has_begun(experiment, policy, key):
    counts = []
    config = BPTTConfig(n_batches=33, batch_size=4, log_step=8)
    with compilations() as noted:
        train(
            *(policy, *experiment, config),
            key=key,
            optimizer=optax.sgd(1e-3),
            write=lambda _: counts.append(len(noted)),
        )
    # The lines: two on compilation, iterations 0, 8, 16, 24 and 32, the closing one.
    assert counts[0] > 0
    assert len(set(counts[3:])) == 1


def test_trainings_of_equal_structure_share_what_is_compiled(experiment, policy, key):
    env, params = experiment
    optimizer = optax.sgd(1e-3)

    def n_compiled(params=params, key=key, optimizer=None, **settings):
        config = BPTTConfig(**{"n_batches": 2, "batch_size": 4} | settings)
        with compilations() as noted:
            train(policy, env, params, config, key=key, optimizer=optimizer, write=None)
        return len(noted)

    n_compiled()
    heavier = params.replace(plant=params.plant.replace(mass=2.0))
    settings = {"n_batches": 7, "learning_rate": 0.1, "clip_norm": 3.0, "log_step": 3}
    settings["policy_costs"] = (ActivityCost(weight=1e-3),)
    assert n_compiled(heavier, jax.random.key(8), **settings) == 0
    assert n_compiled(optimizer=optimizer) > 0
    assert n_compiled(optimizer=optimizer, n_batches=3) == 0
    assert n_compiled(optimizer=optax.sgd(1e-3)) > 0
    assert n_compiled(params.replace(motor=params.motor.replace(delay=1))) > 0


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_policy(policy, key):
    env, params = make(max_steps_in_episode=10)
    loud = eqx.tree_at(lambda policy: policy.readout.bias, policy, jnp.full(2, 10.0))
    huge = params.replace(loss=params.loss.with_weights(command=1e38))
    config = BPTTConfig(n_batches=12, batch_size=4, log_step=5)
    with pytest.raises(
        TrainingError, match="stopped at iteration 0: the .*command.* not finite"
    ) as e:
        train(loud, env, huge, config, key=key, write=None)
    assert eqx.tree_equal(e.value.policy, loud)
    assert len(e.value.history) == 0


def test_the_last_good_policy_is_the_one_before_the_fault(experiment, policy, key):
    """An optimiser that breaks the weights in its third step."""
    env, params = experiment
    with pytest.raises(TrainingError, match="stopped at iteration 3:") as error:
        train(policy, env, params, SMALL, key=key, optimizer=break_third_step(), write=None)
    assert len(error.value.history) == 3
    setup = make_setup(policy, env, params, SMALL, None, optax.sgd(0.01))
    expected = init_state(policy, setup, jax.random.split(key)[0])
    for _ in range(2):
        expected, _ = update(expected, setup)
    kept = error.value.policy
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(expected.policy), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_fault_in_one_replicate_is_named(experiment, key):
    env, params = experiment
    params = params.replace(loss=params.loss.with_weights(command=1e10))
    policies = eqx.filter_vmap(lambda key: GRUPolicy(8, 2, 6, key=key))(jax.random.split(key, 3))
    biases = jnp.zeros((3, 2)).at[1].set(1e15)
    policies = eqx.tree_at(lambda policy: policy.readout.bias, policies, biases)
    with pytest.raises(
        TrainingError, match="at iteration 0: the loss term command of replicate 1 is not finite"
    ) as error:
        train_replicates(policies, env, params, SMALL, keys=jax.random.split(key, 3), write=None)
    assert eqx.tree_equal(error.value.policy, policies)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_batches", 0, "n_batches must be at least 1, got 0"),
        ("batch_size", -1, "batch_size must be at least 1, got -1"),
        ("learning_rate", 0.0, "learning_rate must be finite and greater than 0, got 0.0"),
        ("clip_norm", float("nan"), "clip_norm must be finite and greater than 0, got nan"),
        ("log_step", 0, "log_step must be at least 1, got 0"),
    ],
)
def test_config_refuses_nonsense(field, value, message):
    with pytest.raises(ValueError, match=message):
        BPTTConfig(**{field: value})


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_and_jax_will_do(experiment, policy, key, tmp_path):
    plain = BPTTConfig(n_batches=2, batch_size=1, learning_rate=0.5, clip_norm=2.0)
    given = BPTTConfig(
        n_batches=np.int64(2),
        batch_size=np.uint8(1),
        learning_rate=jnp.array(0.5),
        clip_norm=np.float32(2.0),
    )
    assert repr(given) == repr(plain)
    checkpoints = Checkpoints(tmp_path)
    trained, _ = train(policy, *experiment, given, key=key, checkpoints=checkpoints, write=None)
    same, _ = train(policy, *experiment, plain, key=key, write=None)
    assert eqx.tree_equal(trained, same)


def test_a_validation_loss_that_is_not_finite_stops_training_too(experiment, policy, key):
    config = BPTTConfig(n_batches=1, batch_size=2, learning_rate=1e30)
    with pytest.raises(
        TrainingError, match="at iteration 0: the validation loss term command is not finite"
    ) as e:
        train(policy, *experiment, config, key=key, write=None)
    assert eqx.tree_equal(e.value.policy, policy)


def test_only_the_last_programs_are_kept(experiment, policy, key):
    """Otherwise a process that trains a thousand models runs out of memory."""
    optimizer = optax.sgd(0.1)
    update_function = weakref.ref(optimizer.update)
    config = BPTTConfig(n_batches=1, batch_size=1)
    train(policy, *experiment, config, key=key, optimizer=optimizer, write=None)
    del optimizer
    for size in range(MAX_PROGRAMS):
        compile_for(jnp.sum, jnp.zeros(size))
    gc.collect()
    assert update_function() is None


def test_what_cannot_be_compared_is_compiled_all_the_same():
    unhashable = {1, 2, 3}
    scaled = compile_for(lambda items, x: len(items) * x, unhashable, jnp.ones(2))
    np.testing.assert_array_equal(scaled(unhashable, jnp.ones(2)), [3, 3])


@pytest.mark.parametrize("setting", ["strict promotion", "no compilation"])
def test_settings_of_jax_that_find_careless_code_change_nothing(setting, key):
    env, params = make(max_steps_in_episode=2, motor_noise=0.1)
    config = BPTTConfig(n_batches=2, batch_size=2)
    arguments = (GRUPolicy(8, 2, 3, key=key), env, params, config)
    _, expected = train(*arguments, key=key, write=None)
    settings = {
        "strict promotion": jax.numpy_dtype_promotion("strict"),
        "no compilation": jax.disable_jit(),
    }
    with settings[setting]:
        _, history = train(*arguments, key=key, write=None)
    for column in ("training_total", "validation_total", "learning_rate"):
        np.testing.assert_allclose(history[column], expected[column], rtol=1e-4)


class ReadoutCost(PolicyCost):
    """Squared weights of the readout."""

    name = "readout"

    def cost(self, policy, trajectory):
        return jnp.sum(jnp.square(policy.readout.weight))


def test_costs_of_the_policy_are_part_of_the_loss(experiment, policy, key):
    costs = (ActivityCost(weight=0.0), ReadoutCost(weight=1e6))
    config = dataclasses.replace(SMALL, policy_costs=costs)
    trained, history = train(policy, *experiment, config, key=key, write=None)
    assert history.terms == ("position", "final_velocity", "command", "hidden", "readout")
    expected = 1e6 * np.square(policy.readout.weight).sum()
    np.testing.assert_allclose(history["training_readout"][0], expected, rtol=1e-5)
    assert not history["training_hidden"].any()
    parts = sum(history[f"training_{term}"] for term in history.terms)
    np.testing.assert_allclose(parts, history["training_total"], rtol=1e-5)
    assert history["validation_readout"][-1] < history["validation_readout"][0]
    assert jnp.abs(trained.readout.weight).sum() < jnp.abs(policy.readout.weight).sum()


def test_optimizers_get_the_arguments_they_take(experiment, policy, key):
    def losses(optimizer):
        _, history = train(policy, *experiment, SMALL, key=key, optimizer=optimizer, write=None)
        return history["training_total"]

    sgd = optax.sgd(1e-3)
    accumulating = losses(optax.MultiSteps(sgd, every_k_schedule=4))
    assert np.isfinite(accumulating).all()
    for opaque_mode in (False, True):
        adversary = optax.chain(optax.contrib.normalize(), optax.sgd(1e-3))
        sam = optax.contrib.sam(sgd, adversary, opaque_mode=opaque_mode)
        assert np.isfinite(losses(sam)).all()
    assert np.isfinite(losses(optax.polyak_sgd())).all()
    plateau = optax.chain(sgd, optax.contrib.reduce_on_plateau())
    assert np.isfinite(losses(plateau)).all()


def test_the_learning_rate_of_another_optimizer_is_unknown(experiment, policy, key):
    _, history = train(policy, *experiment, SMALL, key=key, optimizer=optax.sgd(1e-6), write=None)
    assert np.isnan(history["learning_rate"]).all()
