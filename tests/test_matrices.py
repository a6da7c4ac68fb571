"""The matrices of a trial, by the recursions of textbooks, and beside the environment's step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import OptimalPolicy, linear_quadratic_matrices, optimal_loss
from fbx_env import ConstantForce, CurlField, ForcePulse, ReachParams, make, tree_take

EXPERIMENTS = {
    "default": ("PointMassReach-v0", {}),
    "delays and a curl": (
        "PointMassReach-v0",
        {"motor_delay": 2, "sensory_delay": 1, "loads": (CurlField(1.0),), "damping": 0.3},
    ),
    "a push and a pull": (
        "PointMassReach-v0",
        {"loads": (ForcePulse((0.0, 2.0), 1.5, 0.5), ConstantForce((0.2, -0.1)))},
    ),
    "motor noise": ("PointMassReach-v0", {"motor_noise": 0.1}),
    "signal-dependent noise": ("PointMassReach-v0", {"signal_noise": 0.3, "motor_noise": 0.05}),
    "epochs": ("PointMassDelayedReach-v0", {}),
    "a target that moves": ("PointMassTrack-v0", {}),
}


@pytest.fixture(params=EXPERIMENTS)
def experiment(request):
    id, settings = EXPERIMENTS[request.param]
    params = make(id, max_steps_in_episode=40, **settings)[1]
    return params, tree_take(params.task.validation_trials(), 0)


def augmented(matrices, t):
    """Step, noise and loss of step t as functions of state, a 1, and command, without drift."""
    n, m = matrices.B.shape[1:]
    step = np.zeros((n + 1, n + 1 + m))
    step[:n, :n], step[:n, n], step[:n, n + 1 :] = matrices.A[t], matrices.drift[t], matrices.B[t]
    step[n, n] = 1
    responses = np.zeros((matrices.noise.shape[2], *step.shape))
    responses[:, :n, n] = matrices.noise[t].T
    for response, scaled in zip(responses, matrices.scaled_noise[t], strict=False):
        response[:n, :n], response[:n, n + 1 :] = scaled[:, :n], scaled[:, n:]
    cost = np.zeros((n + 1 + m, n + 1 + m))
    cost[:n, :n], cost[n + 1 :, n + 1 :], cost[n, n] = (
        matrices.Q[t],
        matrices.R[t],
        matrices.constant[t],
    )
    cost[:n, n + 1 :], cost[n + 1 :, :n] = matrices.N[t], matrices.N[t].T
    cost[n, :n] = cost[:n, n] = matrices.q[t] / 2
    cost[n, n + 1 :] = cost[n + 1 :, n] = matrices.r[t] / 2
    return step, responses, cost


def riccati(matrices):
    """Gains of a regulator that knows the state, and its expected loss."""
    n = len(matrices.initial_state) + 1
    ahead, gains = np.zeros((n, n)), []
    for t in reversed(range(len(matrices.A))):
        step, responses, cost = augmented(matrices, t)
        cost = cost + step.T @ ahead @ step + sum(each.T @ ahead @ each for each in responses)
        gains.append(np.linalg.solve(cost[n:, n:], cost[n:, :n]))
        ahead = cost[:n, :n] - cost[:n, n:] @ gains[-1]
    start = np.append(matrices.initial_state, 1)
    return np.array(gains[::-1])[..., :-1], start @ ahead @ start


def test_riccatis_recursion_finds_the_optimal_loss_and_the_optimal_policys_gains(experiment):
    params, trial = experiment
    matrices = linear_quadratic_matrices(params, trial)
    gains, loss = riccati(matrices)
    assert loss == pytest.approx(optimal_loss(params, trial).total, rel=1e-9)
    with jax.enable_x64(True):
        policy = OptimalPolicy(params, trial=trial)
    assert policy.regulator_gains.dtype == np.float64
    np.testing.assert_allclose(policy.regulator_gains, gains, rtol=1e-7, atol=1e-9)


def test_kalmans_recursion_finds_the_optimal_policys_filter():
    params = make(sensory_noise=0.1, motor_noise=0.2, max_steps_in_episode=20)[1]
    trial = tree_take(params.task.validation_trials(), 0)
    matrices = linear_quadratic_matrices(params, trial)
    covariance = matrices.initial_noise @ matrices.initial_noise.T
    with jax.enable_x64(True):
        filter_gains = np.asarray(OptimalPolicy(params, trial=trial).filter_gains)
    for A, C, noise, found in zip(
        matrices.A, matrices.C, matrices.noise, filter_gains, strict=True
    ):
        gain = covariance @ C.T @ np.linalg.pinv(C @ covariance @ C.T, hermitian=True)
        np.testing.assert_allclose(found, gain, atol=1e-6)
        covariance = A @ (covariance - gain @ C @ covariance) @ A.T + noise @ noise.T


def test_they_are_the_step_of_the_environment_in_its_own_numbers(key):
    env, params = make(loads=(CurlField(1.0), ConstantForce((0.2, -0.1))), damping=0.3)
    trial = tree_take(params.task.validation_trials(), 2)
    matrices = linear_quadratic_matrices(params, trial)
    _, state = env.reset_trial(key, trial, params)
    random = np.random.default_rng(0)
    x, u = random.normal(size=8), random.normal(size=2)
    names = [f"plant.{part}[{axis}]" for part in ("pos", "vel") for axis in (0, 1)]
    assert matrices.states == (*names, *(f"sensed.vision[{index}]" for index in range(4)))
    assert matrices.n_regulated == 4
    for t in (0, 50, 98):
        plant = state.plant.replace(pos=jnp.asarray(x[:2]), vel=jnp.asarray(x[2:4]))
        at = state.replace(time=t, plant=plant, sensed={"vision": jnp.asarray(x[4:])})
        obs = env.observe(key, at, None, params)
        _, after, reward, *_ = env.step_env(key, at, jnp.asarray(u), params)
        moved = matrices.A[t] @ x + matrices.B[t] @ u + matrices.drift[t]
        np.testing.assert_allclose(moved[:2], after.plant.pos, rtol=1e-5)
        np.testing.assert_allclose(moved[2:4], after.plant.vel, rtol=1e-5)
        np.testing.assert_allclose(moved[4:], after.sensed["vision"], rtol=1e-5)
        np.testing.assert_allclose(
            matrices.C[t] @ x + matrices.observed_at_zero[t], obs, rtol=1e-5, atol=1e-6
        )
        Q, R, N, q, r, constant = (getattr(matrices, name)[t] for name in matrices._fields[7:13])
        loss = x @ Q @ x + u @ R @ u + 2 * x @ N @ u + q @ x + r @ u + constant
        np.testing.assert_allclose(loss, -reward, rtol=1e-5)


@pytest.mark.parametrize(
    ("id", "trials", "message"),
    [
        ("PointMassReach-v0", slice(None), r"trial must be one trial.*tree_take.* \(7, 2\)"),
        ("TwoLinkArmReach-v0", 0, "that rules out the plant TwoLinkArm"),
    ],
)
def test_what_has_no_matrices_is_refused(id, trials, message):
    params = make(id, max_steps_in_episode=5)[1]
    trial = jax.tree.map(lambda leaf: leaf[trials], params.task.validation_trials())
    with pytest.raises(ValueError, match=message):
        linear_quadratic_matrices(params, trial)


def test_the_weight_of_the_command_is_r():
    params = ReachParams()
    matrices = linear_quadratic_matrices(params, tree_take(params.task.validation_trials(), 0))
    np.testing.assert_allclose(matrices.R[:-1], np.broadcast_to(1e-5 * np.eye(2), (98, 2, 2)))
    assert not matrices.N[:-1].any()
    assert not matrices.drift.any()
