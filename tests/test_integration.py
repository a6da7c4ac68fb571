"""How near integration comes to the exact movement, and how fast it comes nearer."""

import jax.numpy as jnp
import numpy as np
import pytest
from bodies import PLANTS, largest_error

from fbx_env import Integration, MuscleArm, ReluMuscle, TwoLinkArm

# The defaults, but for the least accurate, leave a factor of three to 0.1 mm.
LIMIT = {"arm26_relu": 0.05e-3}


@pytest.mark.parametrize("name", PLANTS)
def test_the_hand_is_where_the_differential_equation_puts_it(name):
    """Over 1 s, by default and in float32."""
    assert largest_error(name, PLANTS[name]()) < LIMIT.get(name, 0.033e-3)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("method", "order", "substeps"),
    [("euler", 1, (8, 16, 32)), ("heun", 2, (4, 8, 16)), ("rk4", 4, (2, 4, 8))],
)
@pytest.mark.parametrize("name", ["arm_torques_curl", "arm26_relu"])
def test_the_order_of_convergence_is_that_of_the_method(name, method, order, substeps):
    make_plant = {
        "arm_torques_curl": TwoLinkArm,
        "arm26_relu": lambda: MuscleArm(muscle=ReluMuscle()),
    }
    errors = [
        largest_error(name, make_plant[name]().replace(integration=Integration(method, n)), (0,))
        for n in substeps
    ]
    slope = -np.polyfit(np.log(substeps), np.log(errors), 1)[0]
    assert order - 0.25 < slope < order + 0.4


def test_a_drive_is_seen_at_the_time_of_each_stage():
    """x' = a, a' = 1: x gains dt^2 / 2, which every method but Euler's finds exactly."""
    for method, gained in (("euler", 0.0), ("heun", 0.5), ("rk4", 0.5)):
        x, a = Integration(method).advance_driven(
            lambda x, a: a, jnp.zeros(()), jnp.ones_like, jnp.zeros(()), jnp.asarray(1.0)
        )
        assert (float(x), float(a)) == pytest.approx((gained, 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"substeps": 0}, r"substeps must be at least 1, got 0"),
        ({"method": "rk5"}, r"no method of integration 'rk5'; did you mean rk4"),
    ],
)
def test_what_is_not_allowed_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Integration(**arguments)
