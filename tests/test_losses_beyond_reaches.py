"""The costs of other tasks than simple reaches, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbx_env import (
    Clock,
    ControlRateCost,
    Effector,
    EffortCost,
    FixationCost,
    PositionCost,
    ReachParams,
    StraightnessCost,
    TargetWindowCost,
    Transition,
    Trial,
    VelocityCost,
    check_part,
)

TERMS = [
    FixationCost(),
    VelocityCost(),
    StraightnessCost(),
    ControlRateCost(),
    EffortCost(share=(1.0, 2.0)),
    TargetWindowCost(),
]


@pytest.fixture
def transition():
    """After step 3 of 4, the first of the second of two epochs."""
    return Transition(
        trial=Trial(start=(1, 0), goal=(1, 2)),
        target=Effector(pos=jnp.array([1.0, 2.0]), vel=jnp.array([0.0, 1.0])),
        before=Effector(pos=jnp.array([9.0, 9.0]), vel=jnp.array([9.0, 9.0])),
        after=Effector(pos=jnp.array([1.3, 1.6]), vel=jnp.array([0.0, 3.0])),
        plant_before=None,
        plant_after=None,
        command=jnp.array([9.0, 9.0]),
        control=jnp.array([1.0, 2.0]),
        previous_control=jnp.array([3.0, 1.0]),
        load=jnp.zeros(2),
        clock=Clock(jnp.array(3), jnp.array(0.1), 4, jnp.array([0, 3]), ("hold", "movement")),
        epoch=jnp.array(1),
    )


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_nothing_is_wrong_with(term):
    check_part(term)


@pytest.mark.parametrize(
    ("term", "cost"),
    [
        (FixationCost(), 0.25),
        (VelocityCost(), 4),
        (StraightnessCost(), 0.09),
        (ControlRateCost(), 500),
        (EffortCost(), 5),
        (EffortCost(share=(1.0, 3.0)), 13),
        (TargetWindowCost(radius=0.1, max_speed=1.0, duration=0.2), 4**2 + 1),
        (TargetWindowCost(radius=0.5, max_speed=2.0, duration=0.2), 0),
        (TargetWindowCost(radius=0.1, max_speed=1.0, duration=0.1), 0),
    ],
)
def test_terms_by_hand(transition, term, cost):
    np.testing.assert_allclose(term.cost(transition), cost, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose((2 * term).weighted(transition), 2 * term.weight * cost, rtol=1e-5)


def test_there_is_no_line_where_the_goal_is_the_start(transition):
    nowhere = transition.replace(trial=Trial(start=(1, 0), goal=(1, 0)))
    assert StraightnessCost().cost(nowhere) == 0


@pytest.mark.parametrize("at", [(0.0, 0.0), (0.02, 0.0), (0.05, 0.0), (0.06, 0.0), (2.0, 1.0)])
def test_the_window_pulls_from_everywhere_outside_and_not_inside(transition, at):
    def cost(pos):
        after = Effector(transition.target.pos + pos, transition.target.vel)
        return TargetWindowCost().cost(transition.replace(after=after))

    pull = -jax.grad(cost)(jnp.asarray(at))
    assert jnp.isfinite(pull).all()
    is_outside = np.linalg.norm(at) > 0.051
    assert (float(pull @ jnp.asarray(at)) < 0) == is_outside


def test_costs_count_in_their_epochs(transition):
    assert FixationCost(epochs="hold").weighted(transition) == 0
    np.testing.assert_allclose(
        FixationCost(epochs="movement").weighted(transition), 0.25, rtol=1e-6
    )
    np.testing.assert_allclose(
        FixationCost(epochs=("hold", "movement")).weighted(transition), 0.25, rtol=1e-6
    )
    for step, progress in ((3, 0.0), (4, 1.0)):
        later = transition.replace(clock=transition.clock.replace(step=jnp.array(step)))
        cost = PositionCost(exponent=1.0, epochs="movement").weighted(later)
        np.testing.assert_allclose(cost, progress * 0.25, rtol=1e-5)
    with pytest.raises(ValueError, match="no epoch 'go'; there are hold, movement"):
        FixationCost(epochs="go").weighted(transition)


def test_epochs_stay_with_a_term_that_is_scaled_and_weighted():
    loss = (2 * FixationCost(epochs="hold") + PositionCost()).with_weights(fixation=3.0)
    assert loss["fixation"].epochs == ("hold",)


@pytest.mark.parametrize(
    ("make_part", "message"),
    [
        (lambda: EffortCost(share=-1.0), "share must be finite and at least 0"),
        (lambda: ReachParams(loss=PositionCost() + EffortCost(share=(1, 2, 3))), "2 controls"),
        (lambda: TargetWindowCost(radius=0.0), "radius must be finite and greater than 0"),
        (lambda: TargetWindowCost(duration=-1.0), "duration must be finite and greater than 0"),
        (
            lambda: ReachParams(loss=PositionCost() + TargetWindowCost(duration=5.0)),
            "window must be within the trial, which lasts 4.95 s",
        ),
    ],
)
def test_nonsense_is_refused(make_part, message):
    with pytest.raises(ValueError, match=message):
        make_part()
