"""Parts of strangers, one class in one file each, through everything there is for the shipped ones.

No line of the packages knows of them. See ``strangers/``.
"""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strangers.activated_mass import ActivatedMass
from strangers.drifting_motor import DriftingMotor
from strangers.go_cue import GoCue
from strangers.pendulum import Pendulum
from strangers.speed_cost import SpeedCost
from strangers.wall import Wall

from agents import BPTTConfig, evaluate, load_model, make_policy, save_model, train
from agents.__main__ import main
from agents.sb3_vec_env import ReachVecEnv
from fbx_env import ReachEnv, SensoryChannel, make, rollout

N_STEPS = 8
EXPERIMENTS = {
    "pendulum": {"plant": Pendulum(), "proprioception": SensoryChannel(delay=1)},
    "activated mass": {"plant": ActivatedMass()},
    "go cue": {"task": GoCue()},
    "wall": {"loads": (Wall(),)},
    "drifting motor": {"motor": DriftingMotor()},
    "speed cost": {"loss": make()[1].loss + SpeedCost()},
}


@pytest.fixture(params=EXPERIMENTS)
def experiment(request):
    return {**EXPERIMENTS[request.param], "max_steps_in_episode": N_STEPS}


def test_in_gymnax(experiment, key):
    env, params = make(**experiment)
    keys = jax.random.split(key, 5)
    obs, state = jax.vmap(env.reset, (0, None))(keys, params)
    actions = jnp.ones((5, *env.action_space(params).shape))
    for _ in range(N_STEPS):
        obs, state, reward, ended, *_ = jax.vmap(env.step, (0, 0, 0, None))(
            keys, state, actions, params
        )
        assert jnp.isfinite(obs).all()
        assert jnp.isfinite(reward).all()
    assert ended.all()
    assert obs.shape == (5, *env.observation_space(params).shape)


@pytest.mark.optimised
def test_in_gymnasium_one_trial_and_many_have_the_same_numbers(experiment):
    env = gymnasium.make("PointMassReach-v0", **experiment)
    envs = gymnasium.make_vec("PointMassReach-v0", num_envs=3, **experiment)
    sb3 = ReachVecEnv(3, **experiment)
    sb3.seed(4)
    obs, _ = env.reset(seed=4)
    many, _ = envs.reset(seed=4)
    np.testing.assert_array_equal(obs, many[0])
    np.testing.assert_array_equal(many, sb3.reset())
    action = np.full(env.action_space.shape, 0.5, np.float32)
    for step in range(N_STEPS - 1):
        obs, reward, ended, _, info = env.step(action)
        many, rewards, *_ = envs.step(np.tile(action, (3, 1)))
        same, same_rewards, *_ = sb3.step(np.tile(action, (3, 1)))
        np.testing.assert_array_equal(obs, many[0])
        np.testing.assert_array_equal(many, same)
        assert np.float32(reward) == rewards[0] == same_rewards[0]
        assert env.observation_space.contains(obs)
        assert not ended, step
    np.testing.assert_allclose(reward, -sum(info["losses"].values()), rtol=1e-5)
    *_, ended, _, info = env.step(action)
    assert ended
    assert "is_success" in info


def test_drawn_while_it_runs(experiment):
    env = gymnasium.make("PointMassReach-v0", render_mode="rgb_array", **experiment)
    env.reset(seed=0)
    env.step(np.full(env.action_space.shape, 0.5, np.float32))
    frame = env.render()
    assert frame.dtype == np.uint8
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 10


def test_trained_saved_loaded_evaluated_and_plotted(experiment, key, tmp_path, capsys):
    env, params = make(**experiment)
    size = env.observation_space(params).shape[0]
    policy = make_policy("gru", size, len(params.plant.controls), 4, key=key)
    config = BPTTConfig(n_batches=3, batch_size=2)
    trained, history = train(policy, env, params, config, key=key, write=None)
    assert len(history) == 3
    assert np.isfinite(history["training_total"]).all()
    trials = params.task.validation_trials()
    metrics, trajectory = evaluate(trained, env, params, trials, key=key)
    assert set(metrics["losses"]) == {*params.loss.names, "hidden", "total", "environment"}

    save_model(tmp_path / "run", trained, params)
    again, same_params = load_model(tmp_path / "run")
    repeated = rollout(ReachEnv(), same_params, again, trials, key)
    for one, other in zip(jax.tree.leaves(trajectory), jax.tree.leaves(repeated), strict=True):
        np.testing.assert_array_equal(one, other)

    main(["evaluate", str(tmp_path / "run")])
    main(["plot", str(tmp_path / "run")])
    assert "Validation loss" in capsys.readouterr().out
    pictures = {path.name for path in (tmp_path / "run").glob("*.png")}
    assert {"evaluation.png", "reaches.png"} <= pictures
