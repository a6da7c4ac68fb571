"""MotorNet: updates per second of the same training of a muscle arm, there and here.

Six Thelen muscles, a GRU with 50 units, reaches of 60 steps of 10 ms in batches of 32, vision after
70 ms and proprioception after 30 ms, the same loss, Adam; Euler's method without substeps. Then
our own default, four stages of Runge and Kutta in two substeps.

In an environment with `pip install "motornet==0.3.0" "torch==2.13.0"`; measured with these.
"""

import time

import jax
import motornet
import numpy as np
import optax
import torch

from agents import pairing
from fbx_env import Integration, MuscleArm

BATCH, N_STEPS, UNITS, N_UPDATES, N_WARM, ROUNDS = 32, 60, 50, 20, 2, 2
torch.set_num_threads(1)  # Arrays are so small that more threads only wait for each other.


def update_of_motornet():
    """A function that makes one update."""
    effector = motornet.effector.RigidTendonArm26(
        muscle=motornet.muscle.RigidTendonHillMuscleThelen(), timestep=0.01
    )
    env = motornet.environment.RandomTargetReach(
        effector=effector, max_ep_duration=0.6, vision_delay=0.07, proprioception_delay=0.03
    )
    obs, _ = env.reset(options={"batch_size": BATCH})
    policy = motornet.policy.PolicyGRU(obs.shape[1], UNITS, env.n_muscles, torch.device("cpu"))
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    weights = [((step + 1) / N_STEPS) ** 6 for step in range(N_STEPS)]

    def update():
        obs, info = env.reset(options={"batch_size": BATCH})
        hidden, loss = policy.init_hidden(BATCH), 0.0
        for weight in weights:
            action, hidden = policy(obs, hidden)
            obs, _, _, _, info = env.step(action)
            hand = info["states"]["cartesian"]
            error = (hand[:, :2] - info["goal"]).square().sum(1)
            loss = loss + (weight * error + 1e-3 * action.square().sum(1)).mean()
        loss = loss + hand[:, 2:].square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return update


def updates_of_ours(plant):
    """A function that makes several updates."""
    context = pairing("MuscleArmReach-v0", plant=plant, hidden_size=UNITS, key=jax.random.key(0))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    settings = {"n_batches": N_UPDATES, "batch_size": BATCH, "log_step": N_UPDATES}

    def updates():
        return context.train(key=jax.random.key(1), optimizer=optimizer, write=None, **settings)[1][
            "training_total"
        ][-1]

    return updates


def rate(function, n_updates):
    """Updates per second of a call that makes so many."""
    begin = time.perf_counter()
    assert np.isfinite(function())
    return n_updates / (time.perf_counter() - begin)


motornets = update_of_motornet()
euler = updates_of_ours(MuscleArm(integration=Integration("euler", 1)))
default = updates_of_ours(MuscleArm())
for function in (euler, default, *[motornets] * N_WARM):
    function()
rates = np.array(
    [
        (
            np.mean([rate(motornets, 1) for _ in range(N_WARM)]),
            rate(euler, N_UPDATES),
            rate(default, N_UPDATES),
        )
        for _ in range(ROUNDS)
    ]
)
theirs, ours, ours_by_default = np.median(rates, axis=0)
print(f"MotorNet: {theirs:.2f} updates/s, Euler")
print(f"ours: {ours:.1f} updates/s, {ours / theirs:.1f} times as many, Euler")
print(f"ours: {ours_by_default:.1f} updates/s, {ours_by_default / theirs:.1f} times, default")
