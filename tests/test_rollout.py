"""Whole trials: recordings, the step-by-step environment, and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import ActivityCost, OpenLoopPolicy
from agents.objective import losses_by_term, make_objective, mean_loss
from fbx_env import Trial, make, rollout

TERMS = {
    "position": "effector_position",
    "final_velocity": "effector_final_velocity",
    "command": "nn_output",
    "hidden": "nn_hidden",
}


@pytest.mark.parametrize("trials", ["val", "rand"])
def test_recordings_replay(reference, trials, key):
    recorded = {
        name.removeprefix(f"{trials}_"): array
        for name, array in reference.arrays.items()
        if name.startswith(f"{trials}_")
    }
    env, params = reference.params()
    given = Trial(start=recorded["start"], goal=recorded["goal"])
    trajectory = rollout(env, params, reference.policy(), given, key)
    np.testing.assert_allclose(trajectory.pos, recorded["pos"], atol=5e-6, rtol=0)
    np.testing.assert_allclose(trajectory.vel, recorded["vel"], atol=5e-6, rtol=0)
    np.testing.assert_allclose(trajectory.command, recorded["command"][:, 1:], atol=5e-6, rtol=0)
    np.testing.assert_allclose(trajectory.activity, recorded["hidden"][:, 1:], atol=5e-6, rtol=0)
    losses = losses_by_term(reference.policy(), trajectory, (ActivityCost(),))
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, recorded[f"loss_{TERMS[name]}"], rtol=1e-4)


def test_validation_trials_are_those_of_the_recordings(reference):
    trials = reference.params()[1].task.validation_trials()
    np.testing.assert_allclose(trials.start, reference.arrays["val_start"], atol=1e-7)
    np.testing.assert_allclose(trials.goal, reference.arrays["val_goal"], atol=3e-7)


def test_rollout_is_the_environment_step_by_step(trained, key):
    env, params = trained.params()
    policy, trial = trained.policy(), Trial(start=(0.3, -0.2), goal=(-0.5, 0.6))
    trajectory = rollout(env, params, policy, trial, key)
    obs, state = env.reset_trial(key, trial, params)
    carry = policy.initial_carry()
    for step in range(99):
        np.testing.assert_allclose(trajectory.obs[step], obs, atol=1e-6)
        command, carry = policy(obs, carry)
        obs, state, reward, ended, _ = env.step_env(key, state, command, params)
        np.testing.assert_allclose(trajectory.pos[step + 1], state.plant.pos, atol=1e-6)
        np.testing.assert_allclose(trajectory.control[step], state.control, atol=1e-6)
        np.testing.assert_allclose(trajectory.reward[step], reward, rtol=1e-4, atol=1e-9)
    assert ended
    np.testing.assert_allclose(trajectory.time, 0.05 * np.arange(100), rtol=1e-6)


def test_the_return_is_minus_the_loss(trained, key):
    env, params = trained.params()
    trials = jax.vmap(params.task.sample)(jax.random.split(key, 20))
    trajectory = rollout(env, params, trained.policy(), trials, key)
    loss = sum(cost for cost in trajectory.losses.values())
    np.testing.assert_allclose(trajectory.reward, -loss, rtol=1e-6)
    batch = losses_by_term(trained.policy(), trajectory, ())
    np.testing.assert_allclose(-trajectory.reward.sum(-1).mean(), sum(batch.values()), rtol=1e-6)


def test_delays_are_seen_in_the_trajectory(trained, key):
    env, params = make(sensory_delay=3, motor_delay=2)
    trajectory = rollout(env, params, trained.policy(), Trial((0, 0), (0.5, 0.5)), key)
    np.testing.assert_array_equal(trajectory.obs[3:, 4:6], trajectory.pos[:-4])
    np.testing.assert_array_equal(trajectory.obs[:3, 4:6], 0)
    np.testing.assert_array_equal(trajectory.control[2:], trajectory.command[:-2])
    np.testing.assert_array_equal(trajectory.control[:2], 0)


def test_trials_of_a_batch_have_their_own_noise(trained, key):
    env, params = make(sensory_noise=0.1)
    same = Trial(start=jnp.zeros((2, 2)), goal=jnp.ones((2, 2)))
    trajectory = rollout(env, params, trained.policy(), same, key)
    assert not np.array_equal(trajectory.obs[0], trajectory.obs[1])
    again = rollout(env, params, trained.policy(), same, key)
    np.testing.assert_array_equal(trajectory.obs, again.obs)
    shown = "pos[2, 100, 2], command[2, 99, 2], losses: command, final_velocity, position"
    assert repr(trajectory) == f"Trajectory({shown})"


def test_gradients_agree_with_central_differences(trained, key, double_precision):
    """Along random directions in commands, weights, mass and dt, in float64."""
    env, params = make(
        sensory_delay=1, motor_delay=2, mass=1.3, damping=0.4, max_steps_in_episode=40
    )
    trials = jax.tree.map(
        lambda leaf: leaf.astype(float),
        Trial(start=trained.arrays["rand_start"], goal=trained.arrays["rand_goal"]),
    )

    noise_keys = jax.random.split(key, len(trials.start))

    @eqx.filter_jit
    def loss(policy, mass, dt):
        changed = params.replace(plant=params.plant.replace(mass=mass), dt=dt)
        return mean_loss(policy, make_objective(env, changed), trials, noise_keys)[0]

    commands = OpenLoopPolicy(jax.random.normal(key, (40, 2), float))
    for policy in (trained.policy(), commands):
        point = (policy, params.plant.mass, params.dt)
        gradient = jax.tree.leaves(eqx.filter_grad(lambda point: loss(*point))(point))
        leaves, structure = jax.tree.flatten(point)
        assert all(leaf.dtype == float for leaf in leaves)
        keys = jax.random.split(key, len(leaves))
        directions = {"mass": -2, "dt": -1}
        for name in ("weights", "mass", "dt"):
            chosen = (
                range(len(leaves) - 2) if name == "weights" else [directions[name] % len(leaves)]
            )
            along = [
                jax.random.normal(keys[i], leaf.shape, float)
                if i in chosen
                else jnp.zeros_like(leaf)
                for i, leaf in enumerate(leaves)
            ]

            def moved(step, leaves=leaves, along=along, structure=structure):
                shifted = [leaf + step * way for leaf, way in zip(leaves, along, strict=True)]
                return float(loss(*jax.tree.unflatten(structure, shifted)))

            step = 1e-5
            # Fourth order, so that truncation stays below the bound.
            numeric = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (
                12 * step
            )
            exact = sum(jnp.vdot(g, way) for g, way in zip(gradient, along, strict=True))
            np.testing.assert_allclose(exact, numeric, rtol=1e-6, err_msg=name)


def test_the_whole_params_can_be_differentiated(trained, key):
    env, params = trained.params()
    trials = params.task.validation_trials()
    policy = trained.policy()
    gradient = jax.grad(
        lambda params: -rollout(env, params, policy, trials, key).reward.sum(-1).mean()
    )(params)
    values = {
        jax.tree_util.keystr(path): float(leaf.sum())
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
    }
    assert all(np.isfinite(value) for value in values.values())
    # The loss is linear in its weights: the derivative is the term before weighting.
    terms = losses_by_term(policy, rollout(env, params, policy, trials, key), ())
    np.testing.assert_allclose(values[".loss.terms[0].weight"], terms["position"], rtol=1e-5)
    assert values[".plant.mass"] != 0
    assert values[".dt"] != 0


def test_a_policy_may_hold_functions(key):
    env, params = make(max_steps_in_episode=3)

    class Network(eqx.Module):
        mlp: eqx.nn.MLP

        def __call__(self, obs, carry, *, key=None):
            return self.mlp(obs), carry

        def initial_carry(self):
            return None

        def activity(self, carry):
            return jnp.zeros(0)

    network = Network(eqx.nn.MLP(8, 2, 4, 1, key=key))
    assert rollout(env, params, network, Trial((0, 0), (1, 1)), key).command.shape == (3, 2)


def test_wrong_trials_are_refused(trained, key):
    env, params = trained.params()
    with pytest.raises(TypeError, match="trials must be a Trial, got 3"):
        rollout(env, params, trained.policy(), 3, key)
    with pytest.raises(ValueError, match="no leading axis or one, got start of shape"):
        rollout(
            env, params, trained.policy(), Trial(jnp.zeros((2, 3, 2)), jnp.zeros((2, 3, 2))), key
        )
