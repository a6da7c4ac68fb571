"""The id, and what ``make`` takes."""

import importlib
import pickle
import subprocess
import sys

import gymnasium
import gymnax
import jax
import numpy as np
import pytest
from ids import EACH_PART

import fbx_env
from fbx_env import CurlField, DelayedReaches, LegacyReachEnv, PointMass, ReachParams, make
from fbx_env.registration import IDS


def test_every_keyword_reaches_its_number():
    _, params = make(
        "PointMassReach-v0",
        mass=2,
        damping=0.5,
        workspace=((0, 0), (1, 2)),
        sensory_delay=1,
        sensory_noise=0.1,
        motor_delay=2,
        motor_noise=0.2,
        signal_noise=0.3,
        max_force=4,
        time_exponent=3,
        loss_weights={"command": 1e-3},
        dt=0.01,
        max_steps_in_episode=10,
        time_in_observation=True,
    )
    assert params.plant.mass == 2
    assert params.plant.damping == 0.5
    assert params.task.workspace.tolist() == [[0, 0], [1, 2]]
    assert (params.sensory.delay, params.motor.delay) == (1, 2)
    assert float(params.sensory.noise_std) == pytest.approx(0.1)
    assert float(params.motor.noise_std) == pytest.approx(0.2)
    assert float(params.motor.signal_noise) == pytest.approx(0.3)
    assert params.plant.max_force == 4
    assert params.loss["position"].exponent == 3
    assert params.loss.weights == {"position": 1.0, "final_velocity": 1.0, "command": 1e-3}
    assert float(params.dt) == pytest.approx(0.01)
    assert params.max_steps_in_episode == 10
    assert params.time_in_observation is True


def test_numbers_apply_to_the_part_that_is_given():
    _, params = make(plant=PointMass(damping=0.5), mass=3.0)
    assert (params.plant.mass, params.plant.damping) == (3.0, 0.5)


def test_numbers_that_go_together_are_checked_together():
    _, params = make("PointMassTrack-v0", amplitude=(0.3,), frequency=(0.5,))
    assert params.task.path.n_phases == 2
    short = {"hold_duration": (0.1, 0.2), "target_on_duration": (0.1, 0.3)}
    _, params = make("PointMassDelayedReach-v0", max_steps_in_episode=20, **short)
    assert params.max_steps_in_episode == 20
    task = DelayedReaches(hold_duration=(1.0, 6.0))
    loss = make("PointMassDelayedReach-v0")[1].loss
    _, params = make(task=task, loss=loss, max_steps_in_episode=300, target_on_duration=(0.2, 0.4))
    np.testing.assert_allclose(params.task.hold_duration, (1.0, 6.0))
    np.testing.assert_allclose(params.task.target_on_duration, (0.2, 0.4))
    _, params = make(loads=[CurlField(1.0)], strength=3.0)
    assert float(params.loads[0].strength) == 3


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="no environment 'Reach-v1'; .*PointMassReach-v0"):
        make("Reach-v1")
    # The wording of Python's own error, by which TorchRL probes.
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'mas'; did you .*mass"):
        make(mas=1.0)
    with pytest.raises(TypeError, match=r"argument 'colour'; numbers .*describe\('Mus.*Hold"):
        make("MuscleArmHold-v0", colour=1.0)
    with pytest.raises(ValueError, match=r"mass .* shape \(2,\) \(mass of .* and forearm\)"):
        make("TwoLinkArmReach-v0", mass=1.0)
    with pytest.raises(ValueError, match="no loss term 'hidden'; there are position"):
        make(loss_weights={"hidden": 1.0})
    with pytest.raises(TypeError, match="loss_weights must be a Mapping, got 3"):
        make(loss_weights=3)
    with pytest.raises(TypeError, match="motor_delay must be a whole number, got 0.5"):
        make(motor_delay=0.5)


def test_registration_survives_a_reload():
    importlib.reload(fbx_env)
    for id in IDS:
        assert gymnax.registered_envs.count(id) == 1
    _, params = gymnax.make("PointMassReach-v0")
    assert isinstance(params, ReachParams)


@pytest.mark.parametrize("id", EACH_PART)
def test_an_id_is_the_same_environment_everywhere(id, key):
    """Its params are used where none are given, and equal instances share one compilation."""
    env, params = make(id)
    its_env, its_params = gymnax.make(id)
    assert env == its_env
    assert hash(env) == hash(its_env)
    assert jax.tree.structure(params) == jax.tree.structure(its_params)
    np.testing.assert_array_equal(env.reset(key)[0], its_env.reset(key, params)[0])
    assert LegacyReachEnv(id) == pickle.loads(pickle.dumps(LegacyReachEnv(id)))
    assert gymnasium.spec(id).max_episode_steps is None
    single = gymnasium.make(f"fbx_env:{id}")
    assert single.unwrapped.params.max_steps_in_episode == params.max_steps_in_episode
    assert single.observation_space.shape == env.observation_space(params).shape


def test_import_brings_nothing_from_above():
    """What fbx_env imports beyond gymnax: no agents, no learners, no pictures."""
    code = (
        "import sys, gymnax; before = set(sys.modules); import fbx_env;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "assert not new & {'agents', 'torch', 'equinox', 'optax', 'matplotlib'}, new;"
        "assert 'fbx_env.plot' not in sys.modules;"
        "import agents; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
