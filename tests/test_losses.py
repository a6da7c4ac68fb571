"""Cost terms by hand, and how they compose."""

import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    CommandCost,
    Effector,
    FinalVelocityCost,
    Loss,
    LossTerm,
    PositionCost,
    Transition,
    Trial,
)


@pytest.fixture
def transition():
    return Transition(
        trial=Trial(start=(0, 0), goal=(1, 1)),
        target=Effector(pos=jnp.array([1.0, 1.0]), vel=jnp.zeros(2)),
        before=Effector(pos=jnp.array([9.0, 9.0]), vel=jnp.array([9.0, 9.0])),
        after=Effector(pos=jnp.array([0.0, 3.0]), vel=jnp.array([3.0, -4.0])),
        plant_before=None,
        plant_after=None,
        command=jnp.array([1.0, 2.0]),
        control=jnp.array([7.0, 7.0]),
        previous_control=jnp.array([5.0, 5.0]),
        load=jnp.zeros(2),
        clock=Clock(jnp.array(2), jnp.array(0.1), 4),
        epoch=jnp.array(0),
    )


def test_terms_by_hand(transition):
    assert PositionCost().cost(transition) == 5 / 64
    assert PositionCost(exponent=0.0).cost(transition) == 5
    assert FinalVelocityCost().cost(transition) == 0
    last = transition.replace(clock=transition.clock.replace(step=jnp.array(4)))
    assert FinalVelocityCost().cost(last) == 25
    assert CommandCost().cost(transition) == 5


def test_a_loss_weighs_its_terms(transition):
    losses = (2 * PositionCost() + CommandCost(weight=0.5))(transition)
    assert losses == {"position": 10 / 64, "command": 2.5}


class Jerk(LossTerm):
    """Squared change of force: what a user would write."""

    name = "jerk"

    def cost(self, transition):
        change = transition.control - transition.previous_control
        return jnp.sum(jnp.square(change / transition.clock.dt))


def test_terms_compose_under_their_names(transition):
    loss = PositionCost() + CommandCost(weight=1e-2) + 1e-3 * Jerk()
    assert loss.names == ("position", "command", "jerk")
    np.testing.assert_allclose(loss(transition)["jerk"], 1e-3 * 800, rtol=1e-6)
    assert (0.5 * loss).weights == {"position": 0.5, "command": 0.005, "jerk": 0.0005}
    assert loss.without("command").names == ("position", "jerk")
    assert loss.with_weights(jerk=3).weights["jerk"] == 3.0
    assert (PositionCost() + (CommandCost() + Jerk())).names == ("position", "command", "jerk")


def test_mistakes_are_named():
    loss = PositionCost() + CommandCost()
    for mistake in (lambda: loss["comand"], lambda: loss.without("comand")):
        with pytest.raises(ValueError, match="no loss term 'comand'; there are position, command"):
            mistake()
    with pytest.raises(ValueError, match="no loss term 'hidden'"):
        loss.with_weights(hidden=1.0)
    with pytest.raises(ValueError, match="each name may occur once in a loss"):
        loss + PositionCost()
    with pytest.raises(ValueError, match="weight must be finite and at least 0"):
        CommandCost(weight=-1e-5)
    with pytest.raises(TypeError, match="a term of the loss must be a LossTerm, got 3"):
        Loss((3,))


@pytest.mark.parametrize("name", ["hidden", "total", "environment", "gradient_norm"])
def test_names_of_reports_are_reserved(name):
    term = type("Term", (Jerk,), {"name": name})
    with pytest.raises(ValueError, match=f"a loss term cannot be named '{name}'"):
        term()
