"""Components: pytrees that check what people write, and not what JAX rebuilds."""

import jax
import jax.numpy as jnp
import pytest

from fbx_env import PointMass, ReachParams, SensoryChannel, SimpleReaches, Trial, checks


def test_every_float_is_a_strong_array_leaf():
    leaves = jax.tree.leaves(ReachParams())
    assert len(leaves) == 12
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == jnp.float32 for leaf in leaves)
    assert not any(leaf.weak_type for leaf in leaves)


def test_static_fields_are_structure():
    one, two = ReachParams(), ReachParams(sensory=SensoryChannel(delay=1))
    assert jax.tree.structure(one) == jax.tree.structure(ReachParams(dt=0.01))
    assert jax.tree.structure(one) != jax.tree.structure(two)


def test_leaf_paths_name_the_fields():
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(ReachParams())
    ]
    assert ".plant.mass" in paths
    assert ".loss.terms[0].exponent" in paths


def test_a_gradient_may_hold_what_a_component_may_not():
    gradient = jax.grad(lambda plant: -plant.mass)(PointMass(mass=3.0))
    assert isinstance(gradient, PointMass)
    assert gradient.mass == -1.0


def test_replace_checks_and_names_the_fields():
    assert PointMass().replace(mass=2).mass == 2.0
    with pytest.raises(ValueError, match="mass must be finite and greater than 0, got -2"):
        PointMass().replace(mass=-2)
    with pytest.raises(TypeError, match="no field 'weight'; it has mass, damping, max_force"):
        PointMass().replace(weight=2.0)


@pytest.mark.parametrize("value", ["1", None, True, 1j, object()])
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(TypeError, match="mass must be a number or an array of numbers, got"):
        PointMass(mass=value)


@pytest.mark.parametrize("value", [0, -1.0, 1e-50, 1e39, float("nan"), float("inf"), [1.0, 0.0]])
def test_what_is_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match="greater than 0, got"):
        PointMass(mass=value)


@pytest.mark.parametrize("value", [1.5, "1", True, 2.0])
def test_whole_numbers_are_whole(value):
    with pytest.raises(TypeError, match="delay must be a whole number, got"):
        SensoryChannel(delay=value)


def test_components_can_be_made_inside_transformations():
    batched = jax.vmap(lambda mass: PointMass(mass=mass).mass * 2)(jnp.array([1.0, 2.0]))
    assert batched.tolist() == [2.0, 4.0]
    trial = jax.jit(lambda x: Trial(start=[x, 0.0], goal=[0.0, x]))(1.0)
    assert trial.goal.tolist() == [0.0, 1.0]


def test_params_refuse_parts_of_the_wrong_kind():
    with pytest.raises(TypeError, match="plant must be a Plant, got"):
        ReachParams(plant=SimpleReaches())
    with pytest.raises(TypeError, match="loss must be a Loss, got"):
        ReachParams(loss=1.0)
    with pytest.raises(TypeError, match="time_in_observation must be True or False, got 1"):
        ReachParams(time_in_observation=1)
    with pytest.raises(ValueError, match="dt must be finite and greater than 0, got 0"):
        ReachParams(dt=0)


def test_shape_is_checked_and_batches_are_welcome():
    assert checks.real("x", [[1.0, 2.0]], shape=(2,)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"x must have shape \(2,\), got \(3,\)"):
        checks.real("x", [1.0, 2.0, 3.0], shape=(2,))
