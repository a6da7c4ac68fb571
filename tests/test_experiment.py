"""Experiments as configurations and the command line name them."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from agents.commands import options
from agents.commands.train import Train
from agents.experiment import ROLES, Experiment, named_parts, plain_value
from fbx_env import CurlField, Load, Scalar, make, number
from fbx_env.registration import IDS

CORNERS = ("-1", "-1", "1", "1")


def parsed(*words: str) -> Experiment:
    command: Any = options.parse(Train, words, "python -m agents train")
    return command.experiment


def test_an_experiment_is_an_id_and_what_differs_from_it():
    experiment = Experiment(loads=("curl",), numbers={"mass": 2.0, "strength": 13.0})
    _, params = experiment.make()
    assert params.plant.mass == 2
    assert isinstance(params.loads[0], CurlField)
    assert params.loads[0].strength == 13
    same = make(loads=(CurlField(13.0),), mass=2.0)[1]
    assert repr(same.numbers()) == repr(params.numbers())
    assert experiment.applied_to(make(dt=0.1)[1]).dt == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Experiment("PointMassFly-v0"), "'PointMassFly-v0'"),
        (Experiment(loads=("curly",)), "no load 'curly'; did you mean curl"),
        (Experiment(loads=("curl", "curl")), "curl, curl"),
        (Experiment(numbers={"mas": 1.0}), "no number 'mas'; did you mean mass"),
        (Experiment(numbers={"mass": -1.0}), "mass must be finite and greater than 0, got -1.0"),
    ],
)
def test_what_there_is_not_is_refused_by_name(experiment, message):
    with pytest.raises(ValueError, match=message):
        experiment.make()


def another_value(each):
    """A value of the same kind that differs."""
    value, shape = plain_value(each), each.declaration.shape
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value + 1
    if value is None:
        return np.ones(shape or ()).tolist()
    return (2.0 * np.asarray(value) + (not np.any(value))).tolist()


@pytest.mark.parametrize("id", IDS)
def test_every_number_of_every_environment_is_an_option(id):
    """Given other values, they are found in the experiment, in the order of the numbers."""
    values = {each.keyword: another_value(each) for each in make(id)[1].numbers()}
    experiment = Experiment(id, numbers=values)
    assert parsed(*options.words_of(experiment)) == experiment


def test_options_of_loads_follow_the_loads_that_are_chosen():
    experiment = parsed(
        "--load", "curl", "pulse", "--strength", "13", "--pulse-onset", "1", "--mass=2"
    )
    assert experiment.loads == ("curl", "pulse")
    assert experiment.numbers == {"mass": 2.0, "strength": 13.0, "pulse_onset": 1.0}
    assert parsed(*options.words_of(experiment)) == experiment
    assert {"curl", "channel", "velocity"} <= named_parts(Load).keys()


def test_costs_of_the_policy_are_options():
    words = ["--hidden-rate-weight", "1e-6", "--weights-weight", "0.5"]
    costs = options.parse(Train, words, "train").policy_costs
    assert {cost.name: float(cost.weight) for cost in costs} == pytest.approx(
        {"hidden": 1e-5, "hidden_rate": 1e-6, "weights": 0.5}
    )
    assert [cost.name for cost in options.parse(Train, [], "train").policy_costs] == ["hidden"]


def test_numbers_that_several_parts_have_are_distinguished_by_their_places():
    class Wind(Load):
        name = "wind"
        strength: Scalar = number("strength of the wind", default=1.0, unit="N")

        def force_on(self, effector, trial, clock):
            return jnp.array([self.strength, 0.0])

    experiment = parsed("--load", "wind", "curl", "--loads.wind.strength", "3")
    assert experiment.numbers == {"loads.wind.strength": 3.0}
    assert experiment.make()[1].loads[0].strength == 3
    assert parsed(*options.words_of(experiment)) == experiment


def test_loads_of_an_experiment_stay_are_replaced_or_taken_off():
    params = make(loads=(CurlField(13.0),))[1]
    assert Experiment().applied_to(params).loads == params.loads
    assert [load.name for load in Experiment(loads=("pulse",)).applied_to(params).loads] == [
        "pulse"
    ]
    assert Experiment(loads=("none",)).applied_to(params).loads == ()
    with pytest.raises(ValueError, match="no load 'none'"):
        Experiment(loads=("none", "curl")).applied_to(params)


def test_one_number_for_each_that_is_sensed():
    assert parsed("--sensory-noise", "0.1").numbers == {"sensory_noise": 0.1}
    each = [0.1, 0.1, 0.5, 0.5]
    assert parsed("--sensory-noise", *map(str, each)).numbers == {"sensory_noise": each}


def test_what_is_given_as_it_is_by_default_makes_no_difference():
    assert parsed("--mass", "1", "--sensory-delay", "0", "--workspace", *CORNERS) == (Experiment())


def test_json_holds_an_experiment():
    experiment = parsed("--load", "curl", "--workspace", "-0.5", "-1", "0.25", "2", "--dt", "0.01")
    content = json.loads(json.dumps(vars(experiment)))
    parts = {role: tuple(content[role]) for role in ROLES}
    again = Experiment(**{**content, **parts})
    assert again == experiment
    assert again.numbers["workspace"] == [[-0.5, -1.0], [0.25, 2.0]]
