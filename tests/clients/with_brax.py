"""Brax: steps per second of many arms with random actions, beside those of its reacher.

Brax's reacher has two links, too, and torques; a step of it lasts 20 ms, in two steps of physics.
New trials begin where others end. Environments of gymnax are measured in the same way.

In an environment with `pip install "brax==0.14.2"`; measured with this.
"""

import time

import brax.envs
import gymnax
import jax
import jax.numpy as jnp
import numpy as np

from fbx_env import make

BODIES = ("PointMass", "MusclePointMass", "TwoLinkArm", "MuscleArm")
BACKENDS = ("generalized", "mjx")
ROUNDS = 3


def play_gymnax(env, params, n_envs, n_steps):
    """A function that makes random steps in an environment with gymnax's methods."""
    space = env.action_space(params)

    @jax.jit
    def play(key):
        _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, n_envs), params)

        def step(loop, key):
            state, total = loop
            keys = jax.random.split(key, (2, n_envs))
            actions = jax.vmap(space.sample)(keys[0])
            obs, state, reward, *_ = jax.vmap(env.step, (0, 0, 0, None))(
                keys[1], state, actions, params
            )
            return (state, total + obs.sum() + reward.sum()), None

        return jax.lax.scan(step, (state, jnp.zeros(())), jax.random.split(key, n_steps))[0][1]

    return play


def play_brax(backend, n_envs, n_steps):
    """The same in Brax's reacher."""
    env = brax.envs.create("reacher", backend=backend, batch_size=n_envs, episode_length=50)

    @jax.jit
    def play(key):
        def step(loop, key):
            state, total = loop
            state = env.step(state, jax.random.uniform(key, (n_envs, 2), minval=-1.0))
            return (state, total + state.obs.sum() + state.reward.sum()), None

        start = (env.reset(key), jnp.zeros(()))
        return jax.lax.scan(step, start, jax.random.split(key, n_steps))[0][1]

    return play


def seconds(play):
    """Of one call, what it returns being ready."""
    begin = time.perf_counter()
    assert np.isfinite(play(jax.random.key(0)))
    return time.perf_counter() - begin


for n_envs, n_steps in ((1024, 100), (16384, 10)):
    plays = {
        f"our {body}": play_gymnax(*make(f"{body}Reach-v0"), n_envs, n_steps) for body in BODIES
    }
    for name in ("Reacher-misc", "Pendulum-v1"):
        plays[f"gymnax's {name}"] = play_gymnax(*gymnax.make(name), n_envs, n_steps)
    for backend in BACKENDS:
        plays[f"Brax's reacher, {backend}"] = play_brax(backend, n_envs, n_steps)
    print(f"{n_envs:,} environments with random actions")
    for name, play in plays.items():
        try:
            seconds(play)
        except Exception as error:
            print(f"  {name} does not run: {type(error).__name__}: {str(error)[:200]}")
        else:
            taken = np.median([seconds(play) for _ in range(ROUNDS)])
            print(f"  {name}: {n_envs * n_steps / taken:,.0f} steps/s", flush=True)
