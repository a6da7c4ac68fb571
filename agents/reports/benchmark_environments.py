"""Measurements of environments beside others: in gymnax, Gymnasium and Stable-Baselines3."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.wrappers.gym import GymnaxToGymWrapper

from agents.learners import learners
from agents.reports.benchmark import Row, Work, median_seconds, updates_of
from fbx_env import ReachEnv, ReachGymEnv, ReachParams, ReachVectorEnv, make

BODIES = ("PointMass", "MusclePointMass", "TwoLinkArm", "MuscleArm")
"""Each has an id of its own for reaches."""


def random_play(env: Any, params: Any, n_envs: int, n_steps: int) -> Callable[[], Any]:
    """Steps of many gymnax environments with random actions, with new trials where they end."""
    space = env.action_space(params)

    @jax.jit
    def play(key: jax.Array) -> jax.Array:
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, n_envs), params)

        def step(loop: Any, key: jax.Array) -> tuple[Any, None]:
            state, total = loop
            keys = jax.random.split(key, (2, n_envs))
            actions = jax.vmap(space.sample)(keys[0])
            obs, state, reward, *_ = jax.vmap(env.step, (0, 0, 0, None))(
                keys[1], state, actions, params
            )
            return (state, total + jnp.sum(obs) + jnp.sum(reward)), None

        return jax.lax.scan(step, (state, jnp.sum(obs)), jax.random.split(key, n_steps))[0][1]

    return lambda: play(jax.random.key(0))


def environment_speed(repeats: int) -> list[Row]:
    """Environment steps with random actions, beside two environments of gymnax."""
    rows = []
    for n_envs, n_steps in ((1024, 200), (16384, 50)):
        functions = {"ours": random_play(ReachEnv(), ReachParams(), n_envs, n_steps)}
        for other in ("Pendulum-v1", "PointRobot-misc"):
            env, params = gymnax.make(other)
            functions[other] = random_play(env, params, n_envs, n_steps)
        seconds = median_seconds(functions, repeats)
        for other in ("Pendulum-v1", "PointRobot-misc"):
            rows.append(
                Row(
                    f"{n_envs:,} environments with random actions",
                    n_envs * n_steps / seconds["ours"] / 1e6,
                    "million steps/s",
                    f"times gymnax's {other}",
                    seconds[other] / seconds["ours"],
                )
            )
    return rows


def bodies_speed(repeats: int, n_updates: int = 5) -> list[Row]:
    """Updates on reaches of every body and steps of its environment, beside the point mass."""
    n_envs, n_steps = 1024, 20
    updates, plays = {}, {}
    for body in BODIES:
        name = f"{body}Reach-v0"
        updates[body] = updates_of(Work(name, batch_size=32, n_steps=60), n_updates, None)
        plays[body] = random_play(*make(name), n_envs, n_steps)
    update, play = median_seconds(updates, repeats), median_seconds(plays, repeats)
    rows = []
    for body in BODIES:
        rows += [
            Row(
                f"update of 32 trials of 60 steps, {body}",
                1e3 * update[body] / n_updates,
                "ms",
                "times PointMass",
                update[body] / update["PointMass"],
            ),
            Row(
                f"{n_envs:,} environments of {body}",
                n_envs * n_steps / play[body] / 1e6,
                "million steps/s",
                "of PointMass",
                play["PointMass"] / play[body],
            ),
        ]
    return rows


def gymnasium_speed(repeats: int) -> list[Row]:
    """Steps of one Gymnasium environment beside others, and of vectors of them."""
    n_steps = 300
    singles: dict[str, Any] = {
        "ours": ReachGymEnv(),
        "gymnax's wrapper": GymnaxToGymWrapper(*gymnax.make("Pendulum-v1")),
        "Gymnasium's Pendulum in NumPy": gymnasium.make("Pendulum-v1").unwrapped,
    }
    seconds = median_seconds(
        {name: _steps_of_one(env, n_steps) for name, env in singles.items()}, repeats
    )
    rows = [
        Row(
            "step of one Gymnasium environment",
            1e6 * seconds["ours"] / n_steps,
            "us",
            f"times {other}",
            seconds["ours"] / seconds[other],
        )
        for other in singles
        if other != "ours"
    ]
    n_envs = 1024
    many = ReachVectorEnv(n_envs)
    actions = np.zeros((n_envs, 2), np.float32)
    many.reset(seed=0)
    per_call = median_seconds({"ours": lambda: [many.step(actions) for _ in range(200)]}, repeats)
    rows.append(
        Row(
            f"ReachVectorEnv of {n_envs:,}",
            200 * n_envs / per_call["ours"] / 1e6,
            "million steps/s",
        )
    )
    return rows


def _steps_of_one(env: Any, n_steps: int) -> Callable[[], None]:
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, np.float32)

    def play() -> None:
        for index in range(n_steps):
            if index % 90 == 0:
                env.reset()
            env.step(action)

    return play


def sb3_speed(repeats: int, total_steps: int = 100_000) -> list[Row]:
    """Steps of the environments of Stable-Baselines3, and their share of the time of its PPO.

    Raises:
        ValueError: if the extra is not installed.
    """
    learner = learners()["ppo"]
    learner.check_installed()
    from agents.sb3.files import make_learner
    from agents.sb3_vec_env import ReachVecEnv

    n_envs = 1024
    many = ReachVecEnv(n_envs)
    many.reset()
    actions = np.zeros((n_envs, 2), np.float32)
    seconds = median_seconds({"ours": lambda: [many.step(actions) for _ in range(200)]}, repeats)
    recipe = dataclasses.replace(learner.options().recipe, total_steps=total_steps)
    model = make_learner(recipe, ReachParams(), 0)
    env: Any = model.get_env()
    inner, spent = env.unwrapped, [0.0]
    step_wait = inner.step_wait

    def timed_step_wait() -> Any:
        started = time.perf_counter()
        try:
            return step_wait()
        finally:
            spent[0] += time.perf_counter() - started

    inner.step_wait = timed_step_wait
    started = time.perf_counter()
    model.learn(recipe.total_steps)
    whole = time.perf_counter() - started
    return [
        Row(
            f"ReachVecEnv of {n_envs:,}",
            200 * n_envs / seconds["ours"] / 1e6,
            "million steps/s",
        ),
        Row(
            f"PPO, {recipe.total_steps:,} steps in {recipe.n_envs} environments",
            whole,
            "s",
            "share of the environments",
            spent[0] / whole,
        ),
    ]


def import_seconds(repeats: int) -> list[Row]:
    """The time that ``import fbx_env`` adds to ``import gymnax``, in processes of their own."""

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    codes = {"ours": "import gymnax, fbx_env", "gymnax": "import gymnax"}
    seconds = median_seconds({name: partial(run, code) for name, code in codes.items()}, repeats)
    added = seconds["ours"] - seconds["gymnax"]
    return [
        Row(
            "import fbx_env, added to import gymnax",
            added,
            "s",
            f"times import gymnax, {seconds['gymnax']:.2f} s",
            added / seconds["gymnax"],
        )
    ]
