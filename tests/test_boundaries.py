"""What users hand in is checked where it enters, and refused in our words."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents import (
    ActivityCost,
    BPTTConfig,
    GRUPolicy,
    History,
    RNNPolicy,
    evaluate,
    evaluate_replicates,
    load_model,
    make_policy,
    point_mass_nn_simple_reaches,
    save_model,
    train,
    train_replicates,
)
from agents.storage.runs import write_json
from fbx_env import (
    CommandCost,
    Component,
    Integration,
    LegacyReachEnv,
    Load,
    Loss,
    PointMass,
    Trial,
    analysis,
    make,
    rollout,
    tree_take,
)

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)
ENV, PARAMS = make(max_steps_in_episode=2)
POLICY = GRUPolicy(8, 2, 2, key=KEY)
STATE = ENV.reset(KEY, PARAMS)[1]
TRIALS = PARAMS.task.validation_trials()
ONE = BPTTConfig(n_batches=1, batch_size=1)
NEGATIVE = jax.tree.map(jnp.negative, PARAMS)


class Nudge(Load):
    name = "nudge"

    def force_on(self, effector, trial, clock):
        return jnp.ones(2)


def with_(**changes):
    return make(**{"max_steps_in_episode": 2, **changes})[1]


def stepped(key=KEY, state=STATE, action=(0.0, 0.0), params=PARAMS):
    return ENV.step_env(key, state, action, params)


class Odd(eqx.Module):
    """A policy one of whose results is not what it should be."""

    command: Any
    carry: Any
    shown: Any

    def __init__(self, **odd):
        usual = {"command": jnp.zeros(2), "carry": jnp.zeros(1), "activity": jnp.zeros(1)}
        self.command, self.carry, self.shown = {**usual, **odd}.values()

    def __call__(self, obs, carry, *, key=None):
        return self.command, self.carry

    def initial_carry(self):
        return jnp.zeros(1)

    def activity(self, carry):
        return self.shown


class Nameless(CommandCost):
    name = ""


class Slashed(CommandCost):
    name = "a/b"


def trained(policy=POLICY, env=ENV, params=PARAMS, config=ONE, key=KEY, **options):
    return train(policy, env, params, config, key=key, write=None, **options)


def scored(params=PARAMS, n_starts=0):
    return evaluate(POLICY, ENV, params, TRIALS, n_starts=n_starts, key=KEY)


def replicates(policies=POLICY, keys=KEYS):
    return train_replicates(policies, ENV, PARAMS, ONE, keys=keys, write=None)


def rolled(env=ENV, params=PARAMS, policy=POLICY, trials=TRIALS, key=KEY):
    return rollout(env, params, policy, trials, key)


def context(**arguments):
    return point_mass_nn_simple_reaches(**{"n_steps": 3, "hidden_size": 2, "key": KEY, **arguments})


def explained(rows):
    """A history to which these rows are added."""
    history = History()
    history.extend(rows, 1.0)
    return history


CASES = [
    (lambda: rolled(env=3), TypeError, "env must be a ReachEnv, got 3"),
    (lambda: rolled(params=3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: rolled(policy=None), TypeError, "policy must have __call__, initial_carry, activity"),
    (
        lambda: rolled(policy=GRUPolicy(8, 3, 2, key=KEY)),
        ValueError,
        "policy must return a command of shape (2,), got (3,)",
    ),
    (
        lambda: rolled(policy=Odd(command=None)),
        ValueError,
        "must return a command of shape (2,)",
    ),
    (
        lambda: rolled(policy=Odd(carry=jnp.zeros(3))),
        ValueError,
        "policy must return a carry like the one it is given, float32[1], got float32[3]",
    ),
    (
        lambda: rolled(policy=Odd(activity=1.0)),
        ValueError,
        "policy must give activity of shape (units,), got ()",
    ),
    (lambda: rolled(policy=Odd(activity=None)), ValueError, "activity of shape (units,), got None"),
    (lambda: rolled(key=3), TypeError, "key must be a random key, as jax.random.key(0), got 3"),
    (lambda: rolled(key=KEYS), ValueError, "key must be one key, got keys of shape (2,)"),
    (
        lambda: rolled(params=with_(mass=[1.0, 2.0])),
        ValueError,
        "mass must have shape () in one experiment, got (2,); map over several with jax.vmap",
    ),
    (
        lambda: rolled(params=with_(motor_noise=[1, 2, 3])),
        ValueError,
        "noise_std of MotorChannel must be one number or 2, got 3",
    ),
    (
        lambda: rolled(params=with_(loss_weights={"command": [1, 2]})),
        ValueError,
        "weight must have shape () in one",
    ),
    (lambda: rolled(params=NEGATIVE), ValueError, "mass must be finite and greater than 0, got -1"),
    (
        lambda: ENV.reset(KEY, with_(dt=[0.1, 0.2])),
        ValueError,
        "dt must have shape () in one experiment, got (2,)",
    ),
    (lambda: ENV.reset(KEY, 3), TypeError, "params must be a ReachParams"),
    (lambda: ENV.step_env(KEY, 3, jnp.zeros(2), PARAMS), TypeError, "state must be a ReachState"),
    (lambda: ENV.reset(3, PARAMS), TypeError, "key must be a random key"),
    (lambda: ENV.reset(KEYS, PARAMS), ValueError, "key must be one key, got keys of shape (2,)"),
    (lambda: ENV.reset_trial(3, tree_take(TRIALS, 0), PARAMS), TypeError, "key must be a random"),
    (lambda: PARAMS.task.sample(KEYS), ValueError, "key must be one key, got keys of shape (2,)"),
    (lambda: stepped(key=jnp.zeros(3, jnp.uint32)), TypeError, "key must be a random key"),
    (lambda: stepped(action=None), TypeError, "action must be an array of numbers, got None"),
    (lambda: stepped(action="up"), TypeError, "action must be an array of numbers, got 'up'"),
    (lambda: stepped(action=jnp.array([1j, 0])), TypeError, "action must be an array of numbers"),
    (lambda: stepped(action=[0.0] * 3), ValueError, "action must have shape (2,), got (3,)"),
    (
        lambda: stepped(params=with_(motor_delay=2)),
        ValueError,
        "delay of MotorChannel is 2, but the state comes from a trial with a delay of 0",
    ),
    (
        lambda: ENV.step(KEY, STATE, jnp.zeros(2), with_(sensory_delay=1)),
        ValueError,
        "delay of SensoryChannel is 1, but the state comes from a trial with a delay of 0",
    ),
    (lambda: ENV.observe(KEY, 3, None, PARAMS), TypeError, "state must be a ReachState, got 3"),
    (lambda: STATE.replace(time=1.5), TypeError, "time must be a whole number, got 1.5"),
    (lambda: STATE.replace(time=jnp.ones(())), TypeError, "time must be a whole number, got 1.0"),
    (lambda: STATE.replace(time=-1), ValueError, "time must be at least 0, got -1"),
    (lambda: ENV.observe(KEY, STATE, None, 3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: ENV.observation_space(3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: ENV.action_space(3), TypeError, "params must be a ReachParams, got 3"),
    (
        lambda: Trial(start=np.zeros((0, 2)), goal=np.zeros((0, 2))),
        ValueError,
        "start must have numbers, got an array of shape (0, 2)",
    ),
    (
        lambda: rolled(params=with_(eval_distance=[1, 2])),
        ValueError,
        "eval_distance must have shape () in one experiment, got (2,)",
    ),
    (
        lambda: make(loss=Loss((CommandCost(),)), time_exponent=3),
        TypeError,
        "unexpected keyword argument 'time_exponent'",
    ),
    (
        lambda: make(loss_weights={"1": 2}),
        ValueError,
        "no loss term '1'; there are position, ",
    ),
    (lambda: Loss(3), TypeError, "terms must be a tuple of loss terms, got 3"),
    (lambda: tree_take(None, 0), ValueError, "tree must be a group of arrays, got none in None"),
    (
        lambda: make(workspace=((0, 0), (1,))),
        TypeError,
        "workspace must be a number or an array of numbers, got ((0, 0), (1,))",
    ),
    (lambda: Nameless(), TypeError, "Nameless must define a class attribute 'name'"),
    (lambda: Slashed(), ValueError, "the name of a loss term cannot have a '/', got 'a/b'"),
    (lambda: CommandCost() * "a", TypeError, "what a loss is multiplied with must be a number"),
    (lambda: CommandCost() * -1, ValueError, "multiplied with must be finite and at least 0"),
    (
        lambda: make(loss_weights={"command": [1, 2]})[1].loss.weights,
        ValueError,
        "weight must be one number",
    ),
    (lambda: make(max_steps_in_episode=10**12), ValueError, "must be at most 2147483647"),
    (lambda: make(loads=Nudge()), TypeError, "Nudge(); write loads=(...,)"),
    (
        lambda: ENV.step(KEY, 0, jnp.zeros(2), PARAMS),
        TypeError,
        "state must be a ReachState, got an array of int32 and shape ()",
    ),
    (
        lambda: train(GRUPolicy, ENV, PARAMS, ONE, key=KEY, write=None),
        TypeError,
        "policy must be an instance, GRUPolicy(...), got the class",
    ),
    (lambda: trained(env=3), TypeError, "env must be a ReachEnv, got 3"),
    (lambda: trained(params=3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: trained(params=NEGATIVE), ValueError, "mass must be finite and greater than 0"),
    (lambda: trained(params=with_(mass=[1, 2])), ValueError, "mass must have shape () in one"),
    (lambda: trained(config={"n_batches": 1}), TypeError, "config must be a BPTTConfig"),
    (lambda: trained(key=3), TypeError, "key must be a random key"),
    (lambda: trained(key=KEYS), ValueError, "key must be one key"),
    (lambda: trained(validation_trials=3), TypeError, "validation_trials must be a Trial, got 3"),
    (
        lambda: trained(validation_trials=tree_take(TRIALS, 0)),
        ValueError,
        "validation_trials must have one leading axis, got start of shape (2,)",
    ),
    (
        lambda: trained(where_train=3),
        TypeError,
        "where_train must be a function of",
    ),
    (lambda: trained(optimizer=optax.adam), TypeError, "optimizer must be a GradientTransform"),
    (lambda: trained(checkpoints="here"), TypeError, "checkpoints must be a Checkpoints"),
    (lambda: trained(policy=3), TypeError, "policy must have __call__, initial_carry, activity"),
    (lambda: rolled(policy=np.float64(1)), TypeError, "policy must have __call__"),
    (lambda: scored(params=3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: scored(n_starts=10**9), ValueError, "n_starts must be at most 1000, got 1000000000"),
    (lambda: scored(n_starts=-1), ValueError, "n_starts must be at least 0, got -1"),
    (
        lambda: train(POLICY, ENV, PARAMS, ONE, key=KEY, write=3),
        TypeError,
        "write must be None or a function that takes a text, got 3",
    ),
    (lambda: LegacyReachEnv(3), TypeError, "id must be a str, got 3"),
    (lambda: LegacyReachEnv("Reach"), ValueError, "no environment 'Reach'; there are"),
    (lambda: ENV.step(jnp.zeros(()), STATE, jnp.zeros(2), PARAMS), TypeError, "key must be a ran"),
    (lambda: ENV.state_space(3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: stepped(action=10**400), TypeError, "action must be an array of numbers, got 10"),
    (lambda: Integration(method=3), TypeError, "method of integration must be a str, got 3"),
    (lambda: analysis.speed(KEY), TypeError, "vel must be an array of numbers"),
    (lambda: analysis.speed(3.0), ValueError, "vel must have shape (..., 2), got ()"),
    (
        lambda: analysis.directions(np.zeros((2, 2)), np.zeros((3, 2))),
        ValueError,
        "start and goal must have one shape, got (2, 2) and (3, 2)",
    ),
    (lambda: trained(policy=GRUPolicy(9, 2, 2, key=KEY)), ValueError, "does not take an observ"),
    (lambda: replicates(keys=KEY), ValueError, "keys must be several keys along a leading axis"),
    (lambda: replicates(), ValueError, "policies must have a leading axis of 2 entries"),
    (
        lambda: evaluate(POLICY, ENV, PARAMS, TRIALS, policy_costs=(ActivityCost(-1),), key=KEY),
        ValueError,
        "weight must be finite and at least 0, got -1",
    ),
    (lambda: evaluate(POLICY, ENV, PARAMS, 3, key=KEY), TypeError, "trials must be a Trial, got 3"),
    (
        lambda: evaluate_replicates(POLICY, ENV, PARAMS, TRIALS, key=KEY),
        ValueError,
        "tree must be a group whose arrays share their leading axis",
    ),
    (lambda: save_model(".", POLICY, 3), TypeError, "params must be a ReachParams, got 3"),
    (lambda: save_model(".", 3, PARAMS), TypeError, "policy must be a Module, got 3"),
    (lambda: save_model(3, POLICY, PARAMS), TypeError, "folder must be a path, got 3"),
    (lambda: load_model(None), TypeError, "folder must be a path, got None"),
    (lambda: History().save(3), TypeError, "path must be a path, got 3"),
    (lambda: History.load(None), TypeError, "path must be a path, got None"),
    (lambda: GRUPolicy(8, 2, 2, key=3), TypeError, "key must be a random key"),
    (lambda: make_policy(3, 8, 2, 2, key=KEY), TypeError, "hidden_type must be a name or make a c"),
    (
        lambda: make_policy(eqx.nn.LSTMCell, 8, 2, 2, key=KEY),
        ValueError,
        "a cell must take inputs and hidden activity: ",
    ),
    (lambda: RNNPolicy(8, 2, 2, leak="a", key=KEY), TypeError, "leak must be a number"),
    (lambda: context(key=3), TypeError, "key must be a random key"),
    (lambda: context().replace(task=3), TypeError, "task must be a TrainingTask, got 3"),
    (lambda: context().replace(n_replicates=0), ValueError, "n_replicates must be at least 1"),
    (
        lambda: context().task.with_weights(hidden=-1.0),
        ValueError,
        "weight must be finite and at least 0, got -1.0",
    ),
    (
        lambda: context().task.eval_replicates(POLICY, key=KEY),
        ValueError,
        "tree must be a group whose arrays share their leading axis",
    ),
    (lambda: BPTTConfig(learning_rate=[1, 2]), ValueError, "learning_rate must be one number"),
    (lambda: BPTTConfig(n_batches=10**12), ValueError, "n_batches must be at most 2147483647"),
    (
        lambda: explained({"total": np.zeros(3), "position": np.zeros(2)}),
        ValueError,
        "all one entry an update, got total (3,), position (2,)",
    ),
    (lambda: explained({"position": np.zeros(2)}), ValueError, "rows must have total"),
    (lambda: explained({"total": 1.0}), ValueError, "one entry an update, got total ()"),
    (lambda: History().add_validation({"total": 1.0}), ValueError, "there is no update yet"),
    (
        lambda: analysis.principal_components(np.zeros((0, 3))),
        ValueError,
        "of one sample or more, got shape (0, 3)",
    ),
    (lambda: analysis.sample_units(1, 2.5, KEY), TypeError, "available must be a whole number"),
]


@pytest.mark.parametrize(("call", "error", "message"), CASES)
def test_nonsense_is_refused_in_our_words(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_both_kinds_of_key_are_welcome():
    one, other = (rolled(key=key).pos for key in (KEY, jax.random.PRNGKey(0)))
    assert one.shape == other.shape


def test_a_mass_driven_below_zero_by_gradient_steps_is_caught():
    """System identification with steps that are far too long."""

    start = with_(max_steps_in_episode=4, damping=0.5)

    def final_distance(params):
        return jnp.sum(rolled(params=params).pos[:, -1] ** 2)

    def step(params):
        slopes = jax.grad(final_distance)(params)
        return jax.tree.map(lambda number, slope: number - 1e6 * slope, params, slopes)

    with pytest.raises(ValueError, match="must be finite and"):
        step(step(start))
    mass = jax.tree.map(lambda mass: mass - 1.0, PointMass(mass=1.0))
    with pytest.raises(ValueError, match="mass must be finite and greater than 0, got 0.0"):
        mass.checked()


def test_what_is_checked_again_is_the_same():
    params = with_(mass=1.7, sensory_delay=2, motor_noise=0.3, loss_weights={"command": 3e-6})
    same = jax.tree.map(np.array_equal, params, params.checked())
    assert jax.tree.all(same)
    assert jax.tree.structure(params) == jax.tree.structure(params.checked())


def test_a_batch_of_experiments_goes_through_vmap():
    masses = jnp.array([0.5, 1.0, 2.0])
    mapped = jax.vmap(lambda mass: rolled(params=with_(mass=mass)).pos)(masses)
    for mass, pos in zip(masses, mapped, strict=True):
        np.testing.assert_allclose(pos, rolled(params=with_(mass=mass)).pos, atol=1e-6)


def test_two_classes_of_one_name_are_not_confused(tmp_path):
    def define(module):
        return type("Lighter", (PointMass,), {"__module__": module})

    try:
        lighter = define("one")
        save_model(tmp_path, POLICY, with_(plant=lighter(mass=0.5)))
        define("another")
        plant = load_model(tmp_path)[1].plant
        assert (type(plant), float(plant.mass)) == (lighter, 0.5)
        Component.registry["Lighter"].pop("one.Lighter")
        with pytest.raises(ValueError, match="class Lighter is not imported; import one"):
            load_model(tmp_path)
    finally:
        del Component.registry["Lighter"]


def test_what_json_cannot_say_is_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": [float("inf"), 1.0], "b": {"c": float("nan")}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.0], "b": {"c": None}}
