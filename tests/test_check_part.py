"""What ``check_part`` finds, and that it finds nothing in the parts that are shipped."""

import jax.numpy as jnp
import numpy as np
import pytest
from strangers.activated_mass import ActivatedMass
from strangers.drifting_motor import DriftingMotor
from strangers.go_cue import GoCue
from strangers.pendulum import Pendulum
from strangers.speed_cost import SpeedCost
from strangers.wall import Wall

from fbx_env import (
    Channel,
    CommandCost,
    Control,
    Draw,
    Effector,
    FinalVelocityCost,
    KistemakerMuscle,
    Load,
    LossTerm,
    MotorChannel,
    PointMass,
    PositionCost,
    ReachParams,
    Scalar,
    ScaleWeights,
    SensoryChannel,
    SimpleReaches,
    Task,
    Trial,
    UniformDraw,
    check_part,
    number,
)

SHIPPED = [
    PointMass(mass=2.0, damping=0.3),
    SensoryChannel(),
    SensoryChannel(delay=2, noise_std=0.1),
    MotorChannel(delay=1, noise_std=0.1, signal_noise=0.2),
    SimpleReaches(eval_grid_n=2),
    PositionCost(),
    FinalVelocityCost(),
    CommandCost(),
]
STRANGERS = [ActivatedMass(), DriftingMotor(), GoCue(), Pendulum(), SpeedCost(), Wall()]


@pytest.mark.parametrize("part", SHIPPED + STRANGERS, ids=lambda part: type(part).__name__)
def test_nothing_is_wrong_with(part):
    check_part(part)


def test_a_plant_that_starts_at_the_origin_wherever_it_is_put_is_found_out_by_itself():
    with pytest.raises(ValueError, match=r"Stuck\.init must put the effector at \[0\.0, 0\.3"):
        check_part(broken("Stuck", init=lambda self, place: Effector(0 * place, 0 * place)))


def broken(name, base=PointMass, **methods):
    return type(name, (base,), methods)()


def wrong_shape(self, state, control, load, dt):
    return Effector(state.pos[:1], state.vel)


def no_tree(self, state, control, load, dt):
    return object()


def wrong_type(self, state, control, load, dt):
    return Effector(state.pos, state.vel.astype(jnp.int32))


def kinked(self, state, control, load, dt):
    return Effector(state.pos, state.vel + jnp.linalg.norm(control) * dt)


def rooted(self, state, control, load, dt):
    return Effector(state.pos + jnp.sqrt(self.damping), state.vel)


def motionless(self, state, control, load, dt):
    return state


def choosing(self, state, control, load, dt):
    return state if control[0] > 0 else Effector(state.pos, state.vel * 2)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (broken("Shape", step=wrong_shape), r"Shape\.step must keep structure, shapes and types"),
        (broken("Type", step=wrong_type), r"Type\.step must keep structure, shapes and types"),
        (broken("Tree", step=no_tree), r"Tree\.step must return arrays of JAX.* got object"),
        (
            broken("Kink", step=kinked),
            r"Kink\.step must have finite gradients; that of its result\.vel with respect to "
            r"control is \[nan nan\] where control is \[0\. 0\.\]",
        ),
        (
            broken("Root", step=rooted),
            r"Root\.step .* result\.pos with respect to plant\.damping is inf where plant\.damp",
        ),
        (broken("Choice", step=choosing), r"Choice\.step .*jit must work.*jnp\.where instead of"),
        (
            broken("Blind", feedback=lambda self, state: {"smell": {"all": state.pos}}),
            r"Blind\.feedback must be a dict with .* vision",
        ),
        (
            broken("Stuck", init=lambda self, position: Effector(0 * position, 0 * position)),
            r"Stuck\.init must put the effector at",
        ),
        (
            broken("Far", init=lambda self, position: Effector(position * jnp.nan, 0 * position)),
            r"Far\.init must put .* where the first validation trial of SimpleReaches starts, got "
            r"\[nan, nan\]; if that is out of its reach, give check_part params",
        ),
        (
            broken("Coasting", init=lambda self, position: Effector(position, 0 * position + 1)),
            r"Coasting\.init must be at rest, got velocity \[1\.0, 1\.0\]",
        ),
        (
            broken("Idle", controls=property(lambda self: ())),
            r"Idle\.controls must have one or more",
        ),
        (
            broken("Twins", controls=property(lambda self: 2 * (Control("x", "N", -1.0, 1.0),))),
            r"Twins\.controls must have one or more, each with a name of its own",
        ),
        (broken("Frozen", step=motionless), r"Frozen\.step must move the effector"),
        (
            broken("Numb", effector=lambda self, state: Effector(state.pos, 0 * state.vel)),
            r"Numb\.effector must give the rate of change of its position .* got \[0\.0, 0\.0\]",
        ),
        (
            broken("Hasty", effector=lambda self, state: Effector(state.pos, 2 * state.vel)),
            r"Hasty\.effector must give the rate of change of its position as its velocity",
        ),
        (
            broken("Lost", effector=lambda self, state: state.pos),
            r"Lost\.effector must be an Effector",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, PointMass) else "",
)
def test_the_fault_of_a_wrong_plant_is_named(part, message):
    with pytest.raises(ValueError, match=message):
        check_part(part, ReachParams(task=SimpleReaches(workspace=((0.1, 0.1), (0.4, 0.4)))))


class Undeclared(LossTerm):
    name = "undeclared"
    factor: float = 3.0

    def cost(self, transition):
        return self.factor * jnp.sum(transition.after.pos)


class Vector(LossTerm):
    name = "vector"

    def cost(self, transition):
        return transition.after.pos


class RootOfSpeed(LossTerm):
    name = "root_of_speed"

    def cost(self, transition):
        return jnp.linalg.norm(transition.after.vel)


class RootOfControl(LossTerm):
    name = "root_of_control"

    def cost(self, transition):
        return jnp.linalg.norm(transition.control)


class RootOfDistance(LossTerm):
    name = "root_of_distance"

    def cost(self, transition):
        return jnp.linalg.norm(transition.after.pos - transition.target.pos)


class Timeless(Load):
    name = "timeless"

    def force_on(self, effector, trial):
        return effector.vel


class Nameless(Load):
    def force_on(self, effector, trial, clock):
        return jnp.zeros(2)


class Growing(Channel):
    def init(self, signal):
        return signal

    def step(self, key, state, signal, clock):
        return signal, jnp.concatenate([state, signal])


class Weak(Channel):
    def init(self, signal):
        return jnp.array(0.0)

    def step(self, key, state, signal, clock):
        return signal, state


class Taken(Load):
    name = "taken"
    dt: Scalar = number("a second time step", default=1.0)

    def force_on(self, effector, trial, clock):
        return jnp.zeros(2)


class NumPyForce(Load):
    name = "numpy"

    def force_on(self, effector, trial, clock):
        return np.asarray(effector.vel)


class PythonForce(Load):
    name = "python"

    def force_on(self, effector, trial, clock):
        return float(effector.pos[0]) * effector.vel


class Single(SimpleReaches):
    def validation_trials(self):
        return Trial(start=(0.0, 0.0), goal=(0.1, 0.0))


class LateEpochs(SimpleReaches):
    epoch_names = ("hold", "movement")

    def epoch(self, trial, clock):
        return jnp.asarray(7)


class WideDraw(Draw):
    def sample(self, key, default):
        return jnp.stack([default, default])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Undeclared(), r"Undeclared\.factor must be declared"),
        (Vector(), r"Vector\.cost must be a floating-point array of shape \(\), got .* \(2,\)"),
        (
            RootOfSpeed(),
            r"RootOfSpeed\.cost must have finite gradients; .* t.*\.after\.vel is \[nan",
        ),
        (RootOfControl(), r"RootOfControl\.cost must have finite gradients; .*\.control is \[nan"),
        (RootOfDistance(), r"RootOfDistance\.cost must have finite gradients; .*\.pos is \[nan"),
        (
            Timeless(),
            r"Timeless\.force_on must work, got TypeError: .* it is called as "
            r"force_on\(effector, trial, clock\)$",
        ),
        (
            UniformDraw("loads.curl.strength", -1, 1),
            r"^no number 'loads\.curl\.strength' .*; give check_part params that have it$",
        ),
        (Nameless(), r"Nameless must define a class attribute 'name'"),
        (Growing(), r"Growing\.step must keep structure, shapes and types"),
        (Weak(), r"Weak\.init must give numbers with a type of their own"),
        (Taken(), r"Taken\.dt must have another name or keyword"),
        (NumPyForce(), r"NumPyForce\.force_on under .* use jax\.numpy instead of"),
        (PythonForce(), r"PythonForce\.force_on under .* without float"),
        (Single(), r"Single\.validation_trials must return a batch of trials"),
        (LateEpochs(), r"LateEpochs's trials .* is in epoch 7"),
        (WideDraw("plant.mass"), r"WideDraw\.sample must be .* shape \(\), got .* \(2,\)"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_the_fault_of_a_wrong_part_is_named(part, message):
    with pytest.raises(ValueError, match=message):
        check_part(part)


def test_what_is_no_part_is_refused():
    with pytest.raises(TypeError, match=r"part must be a Plant, Load, Channel, .* got 3"):
        check_part(3)
    with pytest.raises(TypeError, match="abstract"):
        Task()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (PositionCost, r"give an instance, PositionCost\(\), not the class$"),
        (
            KistemakerMuscle(),
            "part of another part, as muscles of a plant, it is checked with that$",
        ),
        (ScaleWeights(), "checked by rollout, with a policy that has what it changes$"),
    ],
    ids=["class", "muscle", "weights"],
)
def test_where_else_it_is_checked_is_said(part, message):
    with pytest.raises(TypeError, match=message):
        check_part(part)
