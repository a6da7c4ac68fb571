"""The environment as Stable-Baselines3 sees it: a vector of trials over one compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from jaxtyping import Float
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnv,
    VecEnvIndices,
    VecEnvStepReturn,
)

from fbx_env import ReachVectorEnv
from fbx_env.gym.options import Commands, Given, Seed, trial_options, whole_seed
from fbx_env.gym.vector import SETTABLE


class ReachVecEnv(VecEnv):
    """``num_envs`` trials for Stable-Baselines3, sb3-contrib and SBX, stepped by one function.

    The numbers are those of ``ReachVectorEnv`` with the same seeds. Where a trial ends, its info
    has what ``ReachGymEnv`` reports at the end (losses, distance, speed, ``is_success``) and SB3's
    ``terminal_observation``; those of trials that go on are empty, which saves the time
    of making a thousand dictionaries a step.

    One object serves all trials. So attributes such as ``params`` are read from it, and set for all
    trials at once; attributes it does not have are kept for each trial.

    Args:
        num_envs: how many trials, at least 1.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        **keywords: the other keywords of ``ReachVectorEnv``, such as ``env_id`` or ``mass``.

    Raises:
        TypeError, ValueError: as ``ReachVectorEnv`` does.

    Example:
        >>> experiment = {"max_force": 2.0, "time_in_observation": True}
        >>> envs = VecNormalize(ReachVecEnv(64, **experiment), gamma=0.995)
        >>> recipe = {"n_steps": 99, "batch_size": 3168, "gamma": 0.995, "gae_lambda": 0.98}
        >>> model = PPO("MlpPolicy", envs, policy_kwargs={"log_std_init": -1.0}, **recipe)
        >>> model.learn(1_000_000)
    """

    def __init__(self, num_envs: int, *, render_mode: str | None = None, **keywords: Any) -> None:
        self._trials = ReachVectorEnv(
            num_envs, autoreset_mode=AutoresetMode.SAME_STEP, render_mode=render_mode, **keywords
        )
        self._attributes: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self._actions: Any = None
        super().__init__(
            num_envs, self._trials.single_observation_space, self._trials.single_action_space
        )
        self.metadata = self._trials.metadata

    def seed(self, seed: Seed | None = None) -> Sequence[int | None]:
        """Set the seed with which the next reset starts the first trial, the others following it.

        Raises:
            TypeError: if it is not a whole number.
            gymnasium.error.Error: if it is negative.
        """
        return super().seed(whole_seed(seed))

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Set the options with which the next reset starts the trials: for all, or for each.

        Raises:
            TypeError, ValueError: as ``ReachGymEnv.reset``; or if they are of the wrong number.
        """
        of_each = options if isinstance(options, list) else [options] * self.num_envs
        if len(of_each) != self.num_envs:
            raise ValueError(
                f"options must be one dict or one for each of {self.num_envs} trials, got "
                f"{len(of_each)}"
            )
        for one in of_each:
            trial_options(one, self._trials.fields)
        super().set_options(options)

    def reset(self) -> Float[np.ndarray, "trials observation"]:
        """Start all trials, with the seeds and options that ``seed`` and ``set_options`` left.

        Raises:
            ValueError: for a trial that starts out of the plant's reach, or refuses the options.
        """
        given = Given(self._trials.fields, self.num_envs)
        for index, options in enumerate(self._options):
            given.put(trial_options(options, self._trials.fields), index)
        everywhere = np.ones(self.num_envs, bool)
        given_any = given if given.is_given.any() else None
        observations, infos = self._trials.start_trials(everywhere, self._seeds, given_any)
        self.reset_infos = [_of_trial(infos, index) for index in range(self.num_envs)]
        self._actions = None
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: Commands) -> None:
        """Keep the commands for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take one step in every trial; those that end start anew at once.

        Raises:
            gymnasium.error.NoAsyncCallError: without a ``step_async`` before it.
            gymnasium.error.ResetNeeded, TypeError, ValueError: as ``ReachVectorEnv.step`` does.
        """
        if self._actions is None:
            raise gymnasium.error.NoAsyncCallError("call step_async() before step_wait()", "step")
        actions, self._actions = self._actions, None
        observations, rewards, dones, _, report = self._trials.step(actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        starts = {name: value for name, value in report.items() if "final" not in name}
        for index in np.flatnonzero(dones).tolist():
            infos[index] = {
                **_of_trial(report["final_info"], index),
                "terminal_observation": report["final_obs"][index],
                "TimeLimit.truncated": False,
            }
            self.reset_infos[index] = _of_trial(starts, index)
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Close the window, if there is one."""
        self._trials.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the chosen trials.

        Raises:
            AttributeError: if there is none of that name.
            IndexError: if there is no such trial.
        """
        return [
            self._attributes[index][attr_name]
            if attr_name in self._attributes[index]
            else self._trials.get_attr(attr_name)[index]
            for index in self._chosen(indices)
        ]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute: ``params``, ``success_distance`` or ``success_speed``, or one's own.

        Raises:
            AttributeError: for another attribute that all trials share.
            ValueError: for a shared attribute and only some of the trials.
            IndexError: if there is no such trial.
        """
        if attr_name in SETTABLE or hasattr(self._trials, attr_name):
            self._need_all(attr_name, indices)
            self._trials.set_attr(attr_name, value)
            self.action_space = self._trials.single_action_space
            self.metadata = self._trials.metadata
        else:
            for index in self._chosen(indices):
                self._attributes[index][attr_name] = value

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of ``ReachVectorEnv`` once, for all trials; its result, for each of them.

        Raises:
            AttributeError: if there is none of that name.
            ValueError: for only some of the trials.
        """
        method = getattr(self._trials, method_name)
        self._need_all(method_name, indices)
        return [method(*method_args, **kwargs)] * self.num_envs

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """No trial is wrapped by itself: wrap the whole, for instance in ``VecMonitor``."""
        return [False for _ in self._chosen(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A frame of each trial, with ``render_mode="rgb_array"``."""
        frames: Any = self._trials.render()
        return frames or [None] * self.num_envs

    def _chosen(self, indices: VecEnvIndices) -> list[int]:
        chosen = list(self._get_indices(indices))
        if not all(-self.num_envs <= index < self.num_envs for index in chosen):
            raise IndexError(f"there are trials 0 to {self.num_envs - 1}, got indices {indices}")
        return [index % self.num_envs for index in chosen]

    def _need_all(self, name: str, indices: VecEnvIndices) -> None:
        if set(self._chosen(indices)) != set(range(self.num_envs)):
            raise ValueError(
                f"{name} belongs to all trials together: it takes no indices, got {indices}"
            )


def _of_trial(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """The info of one trial, out of that of ``ReachVectorEnv``."""
    info: dict[str, Any] = {}
    for name, value in infos.items():
        if f"_{name}" in infos and infos[f"_{name}"][index]:
            info[name] = _of_trial(value, index) if isinstance(value, dict) else value[index]
    return info
