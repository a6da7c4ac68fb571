"""Numbers are declared once: ``make``, ``describe`` and the checks follow from that."""

from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import pytest
from strangers.pendulum import Pendulum
from strangers.wall import Wall

from fbx_env import (
    Draw,
    PointMass,
    PositionCost,
    ReachParams,
    SensoryChannel,
    check_part,
    describe,
    make,
    number,
    rollout,
)
from fbx_env.parts.component import Component
from fbx_env.parts.numbers import with_number
from fbx_env.registration import show

KEYWORDS = {
    "mass": ("plant.mass", 2.0),
    "damping": ("plant.damping", 0.5),
    "max_force": ("plant.max_force", 3.0),
    "workspace": ("task.workspace", ((-2.0, -1.0), (1.0, 1.0))),
    "eval_n_directions": ("task.eval_n_directions", 5),
    "sensory_delay": ("sensory.delay", 3),
    "sensory_noise": ("sensory.noise_std", 0.2),
    "motor_delay": ("motor.delay", 1),
    "motor_noise": ("motor.noise_std", 0.3),
    "signal_noise": ("motor.signal_noise", 0.1),
    "time_exponent": ("loss.terms.position.exponent", 2.0),
    "command_weight": ("loss.terms.command.weight", 1e-4),
    "dt": ("dt", 0.01),
    "max_steps_in_episode": ("max_steps_in_episode", 7),
    "time_in_observation": ("time_in_observation", True),
}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_make_takes_every_number_by_its_keyword(keyword):
    name, value = KEYWORDS[keyword]
    _, params = make(**{keyword: value})
    assert jnp.allclose(jnp.asarray(params.number(name).value), jnp.asarray(value))
    for other in params.numbers():
        if other.name != name:
            assert show(other.value) == show(ReachParams().number(other.name).value)


def test_every_number_of_the_original_task_is_described():
    table = describe("PointMassReach-v0")
    assert len(table.rows()) == 21
    row = next(row for row in table.rows() if row["keyword"] == "mass")
    assert row == {
        "keyword": "mass",
        "name": "plant.mass",
        "default": "1",
        "unit": "kg",
        "allowed": "greater than 0",
        "meaning": "mass of the point",
    }
    n_steps = next(row for row in table.rows() if row["keyword"] == "max_steps_in_episode")
    assert n_steps["allowed"] == "at least 1, at most 2147483647"
    assert "command_weight" in repr(table)
    assert table.lines() == [
        "PointMassReach-v0",
        "trial: 99 steps of 0.05 s",
        "observation: goal_position [0:2], goal_velocity [2:4], vision_position [4:6], "
        "vision_velocity [6:8]",
        "action: force x -10 to 10 N, force y -10 to 10 N",
    ]
    arm = describe("TwoLinkArmReach-v0", time_in_observation=True).lines()
    assert arm[2].endswith("proprioception_rate [10:12], time [12:13]")
    assert arm[3].startswith("action: shoulder torque -")
    assert "1e-05" in repr(table)


def test_a_notebook_shows_the_numbers_as_a_table():
    table = describe("PointMassReach-v0")
    shown = ElementTree.fromstring(table._repr_html_())
    (caption,) = shown.findall("caption")
    assert list(caption.itertext()) == table.lines()
    header, *rows = ([cell.text or "" for cell in row] for row in shown.findall("tr"))
    assert [dict(zip(header, row, strict=True)) for row in rows] == table.rows()


def test_parts_bring_their_own_numbers():
    _, params = make(plant=Pendulum(), length=0.4, loads=(Wall(),), stiffness=3.0)
    assert params.plant.length == jnp.float32(0.4)
    assert params.loads[0].stiffness == 3
    names = [row["name"] for row in describe(plant=Pendulum(), loads=(Wall(),)).rows()]
    assert {"plant.length", "plant.friction", "loads.wall.stiffness"} <= set(names)
    assert "plant.mass" not in names


def test_numbers_of_one_keyword_go_by_their_dotted_names():
    _, params = make(proprioception=SensoryChannel(), sensory_delay=1, proprioception_delay=2)
    assert (params.sensory.delay, params.proprioception.delay) == (1, 2)

    class Twin(Wall):
        name = "twin"

    _, params = make(loads=(Wall(), Twin()), **{"loads.twin.stiffness": 5.0})
    assert [float(load.stiffness) for load in params.loads] == [10, 5]
    shared = (
        "stiffness is the keyword of several numbers here: give 'loads.wall.stiffness' or 'loads"
    )
    with pytest.raises(TypeError, match=shared):
        make(loads=(Wall(), Twin()), stiffness=5.0)


def test_a_declaration_has_only_known_bounds():
    with pytest.raises(TypeError, match=r"number\(\) .*'greater_than'; allowed are unit, above, "):
        number("stiffness", default=1.0, greater_than=0)


def test_every_declaration_has_a_text_and_bounds_hold():
    def all_kinds(kind):
        return {kind, *(each for sub in kind.__subclasses__() for each in all_kinds(sub))}

    shipped = [
        kind for kind in all_kinds(Component) - {Component} if kind.__module__.startswith("fbx_env")
    ]
    n_numbers = 0
    for kind in shipped:
        for name, declaration in kind.declarations().items():
            n_numbers += 1
            assert len(declaration.text) > 8, (kind, name)
            if declaration.at_least is not None:
                with pytest.raises(ValueError, match=f"{name} must be"):
                    declaration.check(name, int(declaration.at_least) - 1)
    assert n_numbers > 15


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"mas": 1.0}, TypeError, r"unexpected keyword argument 'mas'; did you mean .*mass"),
        ({"mass": -1.0}, ValueError, "mass must be finite and greater than 0, got -1.0"),
        ({"mass": []}, ValueError, "mass must have numbers, got an array of shape"),
        ({"time_exponent": -1.0}, ValueError, "time_exponent must be finite and at least 0"),
        ({"sensory_delay": 1.5}, TypeError, "sensory_delay must be a whole number, got 1.5"),
        ({"time_in_observation": 1}, TypeError, "time_in_observation must be True or False"),
        ({"loss_weights": {"comand": 1}}, ValueError, "no loss term 'comand'"),
        ({"loss_weights": 3}, TypeError, "loss_weights must be a Mapping, got 3"),
        ({"plant": 3}, TypeError, "plant must be a Plant, got 3"),
        ({"loads": (PointMass(),)}, TypeError, "each of loads must be a Load"),
        ({"loads": (Wall(), Wall())}, ValueError, "each of loads must have another name"),
        ({"id": "PointMasReach-v0"}, ValueError, "did you mean PointMassReach-v0"),
    ],
)
def test_mistakes_are_named(keywords, error, message):
    with pytest.raises(error, match=message):
        make(**keywords)


class UniformMass(Draw):
    def sample(self, key, default):
        return jax.random.uniform(key, default.shape, minval=0.5, maxval=2.0)


class Still:
    """A policy that does nothing."""

    def __call__(self, obs, carry, *, key=None):
        return jnp.ones(2), carry

    def initial_carry(self):
        return jnp.zeros(0)

    def activity(self, carry):
        return carry


jax.tree_util.register_static(Still)


def test_a_draw_gives_each_trial_a_number_of_its_own(key):
    check_part(UniformMass("plant.mass"))
    env, params = make(draws=(UniformMass("plant.mass", told=True),), max_steps_in_episode=9)
    layout = env.observation_layout(params)
    assert layout["plant.mass"] == slice(8, 9)
    trajectory = rollout(env, params, Still(), params.task.validation_trials(), key)
    mass = trajectory.drawn["plant.mass"]
    assert mass.shape == (7,)
    assert len(set(mass.tolist())) == 7
    assert jnp.array_equal(trajectory.obs[..., 8], jnp.tile(mass[:, None], 9))
    # Under 1 N along each axis, each mass accelerates by its own number.
    assert jnp.allclose(trajectory.vel[:, -1], (9 * 0.05 / mass)[:, None], rtol=1e-5)


def test_a_draw_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"no number 'plant\.mas'; did you mean plant\.mass"):
        make(draws=(UniformMass("plant.mas"),))
    with pytest.raises(ValueError, match="each of draws must have another name, got plant.mass"):
        make(draws=(UniformMass("plant.mass"), UniformMass("plant.mass")))


def test_without_draws_and_loads_nothing_is_stored(key):
    env, params = make()
    _, state = env.reset(key, params)
    # Time, start, goal, position, velocity, control, what is sensed, whether the trial can succeed.
    assert len(jax.tree.leaves(state)) == 8


def test_a_number_is_replaced_at_its_path():
    params = ReachParams()
    path = params.number("loss.terms.position.exponent").path
    changed = with_number(params, path, 2.0)
    assert changed.loss["position"].exponent == 2
    assert isinstance(changed.loss["position"], PositionCost)
    assert params.loss["position"].exponent == 6
