"""Pairings: what a reader of the tutorial does, and what can go wrong."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fbx_env
from agents import (
    ActivityCost,
    BPTTConfig,
    History,
    PolicyCost,
    load_model,
    pairing,
    point_mass_nn_simple_reaches,
    train,
)
from fbx_env import (
    GivenPath,
    LossTerm,
    PointMass,
    SensoryChannel,
    Track,
    TwoLinkArm,
    tree_take,
)
from fbx_env.registration import IDS

SHORT = {"n_batches": 8, "batch_size": 4, "log_step": 4, "write": None}


@pytest.fixture
def context(key):
    return point_mass_nn_simple_reaches(n_steps=11, hidden_size=6, key=key)


@pytest.fixture
def replicates(key):
    return point_mass_nn_simple_reaches(3, n_steps=11, hidden_size=6, key=key)


class Jerk(LossTerm):
    """Squared rate of change of the force."""

    name = "jerk"

    def cost(self, transition):
        rate = (transition.control - transition.previous_control) / transition.clock.dt
        return jnp.sum(jnp.square(rate))


def test_the_pairing_is_what_its_arguments_say(key):
    context = point_mass_nn_simple_reaches(
        n_steps=21,
        dt=0.1,
        mass=2.0,
        workspace=((0.0, 0.0), (0.5, 0.25)),
        encoding_size=4,
        hidden_size=7,
        hidden_type="lstm",
        feedback_delay_steps=2,
        eval_grid_n=2,
        eval_n_directions=3,
        key=key,
    )
    params = context.task.params
    assert params.max_steps_in_episode == 20
    assert (float(params.dt), float(params.plant.mass)) == pytest.approx((0.1, 2.0))
    assert (params.sensory.delay, params.motor.delay) == (2, 0)
    assert context.model.encoder.out_features == 4
    assert context.model.cell.hidden_size == 7
    trajectory = context.task.eval(context.model, key=key)
    assert trajectory.pos.shape == (2 * 2 * 3, 21, 2)
    assert trajectory.activity.shape == (12, 20, 7)
    assert set(map(tuple, np.asarray(trajectory.trial.start))) == {
        (x, y) for x in map(np.float32, (1 / 6, 1 / 3)) for y in map(np.float32, (1 / 12, 1 / 6))
    }


def test_the_pairing_takes_all_keywords_of_make(key):
    context = point_mass_nn_simple_reaches(
        hidden_size=4,
        damping=0.5,
        motor_delay=1,
        sensory_delay=2,
        max_steps_in_episode=7,
        time_in_observation=True,
        plant=PointMass(max_force=3.0),
        loss_weights={"command": 1e-3},
        key=key,
    )
    params = context.task.params
    assert (params.motor.delay, params.sensory.delay, params.max_steps_in_episode) == (1, 2, 7)
    assert (float(params.plant.damping), float(params.plant.max_force)) == (0.5, 3.0)
    assert context.task.weights["command"] == 1e-3
    assert context.task.eval(context.model, key=key).obs.shape == (7, 7, 9)
    for twice in ({"n_steps": 8, "max_steps_in_episode": 7}, {"feedback_delay_steps": 1}):
        with pytest.raises(TypeError, match="multiple values for keyword argument"):
            point_mass_nn_simple_reaches(**twice, sensory_delay=2, key=key)


@pytest.mark.parametrize("id", IDS)
def test_every_id_is_paired(id, key):
    context = pairing(id, n_replicates=2, hidden_type="rnn", hidden_size=4, key=key)
    task = context.task
    assert context.model.readout.weight.shape[0] == 2
    trajectory, losses = task.eval_with_loss(tree_take(context.model, 1), key=key)
    assert trajectory.command.shape[-1] == len(task.params.plant.controls)
    assert list(losses) == [*task.weights, "total"]


def test_a_path_out_of_reach_is_refused_before_it_is_trained_on(key):
    for path, centre, message in (
        ([(0.0, 0.0), (0.1, 0.0)], (3.0, 3.0), r"start .* reach of TwoLinkArm, got \[3\.0, 3\.0\]"),
        ([(0.0, 0.0), (0.0, 0.8)], (0.0, 0.4), r"target .* reach of TwoLinkArm, got \[0\.0, 0\.6"),
    ):
        task = Track(path=GivenPath(path), centre=centre, ease=0.0)
        with pytest.raises(ValueError, match=message):
            pairing("TwoLinkArmTrack-v0", task=task, key=key)


def test_a_recipe_counts_where_nothing_else_is_said(key):
    context = pairing("PointMassDelayedReach-v0", hidden_size=4, key=key)
    assert context.task.weights["hidden"] == 1e-7
    settings = {"n_batches": 3, "batch_size": 2, "learning_rate": 0.25, "clip_norm": 0.5}
    context = context.replace(settings=settings)
    _, history = context.train(key=key, write=None)
    np.testing.assert_allclose(history["learning_rate"][0], 0.25)
    assert len(history) == 3
    _, history = context.train(n_batches=2, learning_rate=0.5, key=key, write=None)
    np.testing.assert_allclose(history["learning_rate"][0], 0.5)
    assert len(history) == 2
    _, history = context.train(optimizer=optax.sgd(1e-3), key=key, write=None)
    assert np.isnan(history["learning_rate"]).all()


def test_a_muscle_arm_sees_and_feels_late_and_begins_with_small_commands(key):
    context = pairing("MuscleArmReach-v0", hidden_size=4, key=key)
    params = context.task.params
    assert (params.sensory.delay, params.proprioception.delay) == (7, 3)
    assert context.task.weights["hidden"] == 0.0
    # What is given instead counts, as a number or as a part.
    other = pairing("MuscleArmReach-v0", hidden_size=4, sensory_delay=0, key=key).task.params
    assert (other.sensory.delay, other.proprioception.delay) == (0, 3)
    swift = pairing("MuscleArmReach-v0", proprioception=SensoryChannel(), key=key).task.params
    assert (swift.sensory.delay, swift.proprioception.delay) == (7, 0)
    torques = pairing("TwoLinkArmReach-v0", hidden_size=4, key=key)
    assert torques.task.params.sensory.delay == 0
    # A muscle is hardly excited by a network that is not active; torques are zero then.
    none = jnp.zeros(4)
    np.testing.assert_allclose(context.model.readout(none), 0.01, rtol=1e-6)
    np.testing.assert_array_equal(torques.model.readout(none), 0.0)
    # Torques also go backwards where they are given to the id of muscles.
    other = pairing("MuscleArmReach-v0", plant=TwoLinkArm(), hidden_size=4, key=key)
    assert other.model.readout(100 * jnp.ones(4)).min() < 0
    # Both are drawn from as wide a range.
    largest, smallest = (
        float(jnp.abs(each.model.readout.weight).max()) for each in (torques, context)
    )
    assert smallest < 0.1 / 4**0.5 < largest


def test_what_an_arm_senses_is_standardised_by_how_trials_begin(key):
    context = pairing("TwoLinkArmReach-v0", hidden_size=4, n_replicates=2, key=key)
    env, params = context.task.env, context.task.params
    starts = jax.vmap(lambda key: env.reset(key, params)[0])(jax.random.split(key, 2000))
    standardised = jax.vmap(context.model.standardisation)(starts)
    layout = env.observation_layout(params)
    for name, part in layout.items():
        if jnp.ptp(starts[:, part], axis=0).max() > 0:
            np.testing.assert_allclose(standardised[:, part].mean(0), 0.0, atol=0.1)
            np.testing.assert_allclose(standardised[:, part].std(0), 1.0, atol=0.1)
        else:  # At rest there is no velocity.
            assert name.endswith(("velocity", "rate"))
            np.testing.assert_array_equal(standardised[:, part], starts[:, part])
    before = context.model.standardisation
    assert context.train(n_batches=2, key=key, write=None)[0].standardisation == before
    assert pairing(hidden_size=4, key=key).model.standardisation is None


def test_unknown_keywords_are_named(key):
    with pytest.raises(TypeError, match="hiden_size.*hidden_size"):
        pairing(hiden_size=3, key=key)
    with pytest.raises(ValueError, match="PointMassReech-v0.*PointMassReach-v0"):
        pairing("PointMassReech-v0", key=key)


@pytest.mark.parametrize("n_replicates", [1, 2])
def test_a_trained_model_is_saved_and_loaded(n_replicates, key, tmp_path):
    context = point_mass_nn_simple_reaches(n_replicates, n_steps=6, hidden_size=3, mass=2, key=key)
    model, history = context.train(**SHORT, key=key)
    folder = tmp_path / "models" / "mine"
    context.save(folder, model, history)
    loaded, params = load_model(folder)
    assert eqx.tree_equal(loaded, model)
    assert float(params.plant.mass) == 2
    np.testing.assert_allclose(
        History.load(folder / "history.csv")["training_total"],
        history["training_total"],
        rtol=1e-6,
    )
    context.save(tmp_path / "alone", model)
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["policy.model"]


def test_training_leaves_the_untrained_model(context, key):
    before = jax.tree.map(jnp.copy, context.model)
    model, history = context.train(**SHORT, key=key)
    assert eqx.tree_equal(context.model, before)
    assert not eqx.tree_equal(model, before)
    assert len(history) == 8
    config = BPTTConfig(n_batches=8, batch_size=4, log_step=4)
    task = context.task
    same, _ = train(before, task.env, task.params, config, key=key, write=None)
    assert eqx.tree_equal(model, same)


def test_old_keys_train_like_new_ones(key):
    """A ``PRNGKey`` and the key that wraps it are the same key."""
    old = jax.random.key_data(key)
    models = [
        point_mass_nn_simple_reaches(2, n_steps=5, hidden_size=3, key=k).train(**SHORT, key=k)[0]
        for k in (key, old)
    ]
    assert eqx.tree_equal(*models)


@pytest.mark.parametrize(
    "where", [lambda model: model.readout, lambda model: (model.readout.weight, model.cell.bias)]
)
@pytest.mark.parametrize("n_replicates", [1, 2])
def test_only_the_selected_part_learns(n_replicates, where, key):
    context = point_mass_nn_simple_reaches(
        n_replicates, n_steps=11, hidden_size=6, where_train=where, key=key
    )
    model, _ = context.train(**SHORT, key=key)
    chosen = {id(leaf) for leaf in jax.tree.leaves(where(context.model))}
    before, after = jax.tree.leaves(context.model), jax.tree.leaves(model)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old, new) == (id(old) not in chosen)


def test_validation_losses_are_those_of_eval(context, key):
    model, history = context.train(**SHORT, key=key)
    trajectory, losses = context.task.eval_with_loss(model, key=key)
    for term in (*history.terms, "total"):
        np.testing.assert_allclose(losses[term], history[f"validation_{term}"][-1], rtol=1e-5)
    squares = jnp.square(trajectory.activity).sum((-2, -1)).mean()
    np.testing.assert_allclose(losses["hidden"], 1e-5 * squares, rtol=1e-6)
    others = context.task.params.task.replace(eval_n_directions=4).validation_trials()
    assert context.task.eval(model, key=key, trials=others).pos.shape == (4, 11, 2)


def test_weights_and_terms_can_be_changed(context, key):
    task = context.task.with_weights(command=1e-3, hidden=0.0)
    assert task.weights == {"position": 1, "final_velocity": 1, "command": 1e-3, "hidden": 0}
    assert context.task.weights["command"] == 1e-5
    task = task.with_loss(task.loss.without("final_velocity") + 1e-4 * Jerk())
    assert list(task.weights) == ["position", "command", "jerk", "hidden"]
    _, history = context.replace(task=task).train(**SHORT, key=key)
    assert history.terms == ("position", "command", "jerk", "hidden")
    assert not history["training_hidden"].any()
    trajectory, losses = task.eval_with_loss(context.model, key=key)
    steps = np.diff(np.asarray(trajectory.control), axis=1, prepend=0) / 0.05
    np.testing.assert_allclose(losses["jerk"], 1e-4 * np.square(steps).sum() / 7, rtol=1e-4)


class Speed(PolicyCost):
    """Squared speed, as a cost that users add to the policy's own."""

    name = "speed"

    def cost(self, policy, trajectory):
        return jnp.sum(jnp.square(trajectory.vel))


def test_costs_of_the_policy_are_part_of_the_task(context, key):
    task = context.task.replace(policy_costs=(ActivityCost(), Speed(weight=1e-2)))
    assert list(task.weights) == ["position", "final_velocity", "command", "hidden", "speed"]
    task = task.with_weights(speed=0.5)
    assert (task.weights["speed"], task.weights["hidden"]) == (0.5, 1e-5)
    model, history = context.replace(task=task).train(**SHORT, key=key)
    assert history.terms == tuple(task.weights)
    trajectory, losses = task.eval_with_loss(model, key=key)
    expected = 0.5 * jnp.square(trajectory.vel).sum((-2, -1)).mean()
    np.testing.assert_allclose(losses["speed"], expected, rtol=1e-5)
    np.testing.assert_allclose(losses["speed"], history["validation_speed"][-1], rtol=1e-5)
    metrics, _ = task.evaluate(model, key=key)
    ours = metrics["losses"]
    assert ours["total"] == pytest.approx(ours["environment"] + ours["hidden"] + ours["speed"])
    with pytest.raises(ValueError, match="policy_costs .* loss term, got jerk"):
        context.task.with_loss(context.task.loss + Jerk()).replace(policy_costs=(JerkToo(),))


class JerkToo(Speed):
    name = "jerk"


def test_replicates_begin_and_train_differently(replicates, key):
    models, history = replicates.train(**SHORT, key=key)
    assert history.n_replicates == 3
    assert history["training_total"].shape == (8, 3)
    assert history["learning_rate"].shape == (8,)
    assert len(set(history["training_total"][0].tolist())) == 3
    task = replicates.task
    together = task.eval_replicates(models, key=key)
    assert together.pos.shape == (3, 7, 11, 2)
    for index in range(3):
        trajectory, losses = task.eval_with_loss(tree_take(models, index), key=key)
        np.testing.assert_allclose(trajectory.pos, together.pos[index], atol=1e-6)
        last = history.replicate(index)["validation_total"][-1]
        np.testing.assert_allclose(losses["total"], last, rtol=1e-5)


def test_shared_trials_are_the_same_for_every_replicate(replicates, key):
    """Copies of one model stay copies if, and only if, they see the same trials."""
    one = tree_take(replicates.model, 0)
    copies = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), one)
    context = replicates.replace(model=copies)
    _, shared = context.train(**SHORT, key=key, shared_trials=True)
    first = shared.replicate(0)["training_total"]
    np.testing.assert_array_equal(shared["training_total"].T, [first] * 3)
    _, different = context.train(**SHORT, key=key)
    assert len(set(different["training_total"][0].tolist())) == 3


@pytest.mark.slow
def test_a_replicate_alone_follows_the_losses_it_has_in_the_group(key, double_precision):
    """Over a hundred updates of the pairing itself; in double precision rounding stays small."""
    context = point_mass_nn_simple_reaches(3, hidden_size=20, key=key)
    settings = {"n_batches": 100, "batch_size": 8, "write": None}
    _, group = context.train(**settings, key=key)
    alone = context.replace(model=tree_take(context.model, 2), n_replicates=1)
    _, history = alone.train(**settings, key=jax.random.split(key, 3)[2])
    for name, values in group.replicate(2).columns.items():
        if name != "seconds":
            np.testing.assert_allclose(history[name], values, rtol=1e-6, err_msg=name)


def test_a_cost_that_is_not_one_number_is_refused(context, key):
    class Effort(LossTerm):
        name = "effort"

        def cost(self, transition):
            return jnp.square(transition.control)

    task = context.task.with_loss(context.task.loss + Effort())
    message = re.escape("the cost of loss term 'effort' must be one number, got shape (2,)")
    with pytest.raises(ValueError, match=message):
        task.eval(context.model, key=key)
    with pytest.raises(ValueError, match=message):
        context.replace(task=task).train(**SHORT, key=key)
    with pytest.raises(ValueError, match="'hidden'.* the activity of hidden units is weighted by"):
        task.loss.without("hidden")


def test_a_task_evaluates_by_its_own_weights(replicates, key):
    task = replicates.task.with_weights(hidden=2.0, command=3.0)
    model = tree_take(replicates.model, 1)
    _, losses = task.eval_with_loss(model, key=key)
    metrics, _ = task.evaluate(model, key=key)
    assert list(metrics["losses"])[:4] == ["position", "final_velocity", "command", "hidden"]
    for name in (*task.weights, "total"):
        np.testing.assert_allclose(metrics["losses"][name], losses[name], rtol=1e-6)
    group = task.evaluate_replicates(replicates.model, key=key)
    assert list(group["losses"]) == list(metrics["losses"])
    assert group["replicates"][1] == metrics


def test_line_searches_get_what_they_ask_for(context, key):
    optimizer = optax.lbfgs()
    _, history = context.train(**SHORT, key=key, optimizer=optimizer)
    assert history["training_total"][-1] < history["training_total"][0]


def test_a_custom_cell_is_named_or_given(key):
    context = point_mass_nn_simple_reaches(
        2, n_steps=6, hidden_size=5, hidden_type=eqx.nn.GRUCell, key=key
    )
    named = point_mass_nn_simple_reaches(2, n_steps=6, hidden_size=5, key=key)
    # Cells of equinox begin with weights of their own.
    model = eqx.tree_at(lambda model: model.cell, named.model, context.model.cell)
    named = named.replace(model=model)
    _, history = context.train(**SHORT, key=key)
    _, same = named.train(**SHORT, key=key)
    # Its derivative is found by JAX, that of the named one is spelt out: they differ by rounding.
    np.testing.assert_allclose(history["training_total"], same["training_total"], rtol=1e-5)


def test_another_optimizer(context, key):
    model, history = context.train(**SHORT, key=key, optimizer=optax.set_to_zero())
    assert eqx.tree_equal(model, context.model)
    assert np.isnan(history["learning_rate"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_replicates": 0}, "n_replicates must be at least 1, got 0"),
        ({"n_steps": 1}, "n_steps must be at least 2, got 1"),
        ({"mass": 0}, "mass must be finite and greater than 0, got 0"),
        (
            {"where_train": lambda model: ()},
            "where_train selects nothing that can learn; there are",
        ),
        ({"where_train": lambda model: model.encoder}, "selects nothing that can learn"),
        (
            {"where_train": lambda model: model.decoder},
            "no attribute 'decoder'.*what can learn: .*cell.weight_hh",
        ),
        ({"where_train": lambda model: model.readout.use_bias}, "must return parts of the model"),
        ({"where_train": lambda model: 0}, "must return parts of the model"),
        ({"where_train": lambda model: model.cell.weight_hh[0]}, "must return parts of the model"),
        ({"where_train": lambda model: model.cell.weight_hh + 1}, "must return parts of the mo"),
        ({"hidden_type": "gro"}, "no hidden_type 'gro'; did you mean gru"),
        (
            {"hidden_type": eqx.nn.LSTMCell},
            "a cell must take inputs and hidden activity: too many values",
        ),
        ({"eval_n_directions": 0}, "eval_n_directions must be at least 1, got 0"),
        ({"feedback_delay_steps": -1}, "delay must be at least 0, got -1"),
    ],
)
def test_mistakes_in_the_pairing_are_named(arguments, message, key):
    with pytest.raises(ValueError, match=message):
        point_mass_nn_simple_reaches(**arguments, key=key)


def test_mistakes_in_training_and_evaluation_are_named(context, replicates, key):
    with pytest.raises(TypeError, match="no training setting 'batches'; there are n_batches, "):
        context.train(batches=3, key=key)
    for setting in ("hidden_weight", "policy_costs"):
        with pytest.raises(TypeError, match=f"{setting}.*task.replace.policy_costs"):
            context.train(**{setting: ()}, key=key)
    for setting in ("learning_rate", "clip_norm"):
        with pytest.raises(ValueError, match=f"{setting} belong to the default optimizer"):
            context.train(**{setting: 0.1}, optimizer=optax.sgd(0.1), key=key)
    with pytest.raises(TypeError, match="optimizer must be a GradientTransformation"):
        context.train(optimizer=optax.adam, key=key)
    with pytest.raises(TypeError, match="shared_trials must be True or False, got 'no'"):
        replicates.train(shared_trials="no", key=key)
    with pytest.raises(ValueError, match="model must hold 3 replicates"):
        replicates.replace(model=tree_take(replicates.model, 0))
    with pytest.raises(ValueError, match="no loss term 'comand'; did you mean command"):
        context.task.with_weights(comand=1.0)
    with pytest.raises(ValueError, match=re.escape("take one with tree_take(policy, 0)")):
        context.task.eval(replicates.model, key=key)
    with pytest.raises(ValueError, match="model must hold 2 replicates"):
        replicates.replace(n_replicates=2)
    _, params = fbx_env.make(time_in_observation=True)
    with pytest.raises(ValueError, match=r"take an observation of .*\(9,\).*time_in_observation"):
        context.replace(task=context.task.replace(params=params)).train(**SHORT, key=key)
