"""The environment as Gymnasium sees it: many trials in one compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float

from fbx_env import checks
from fbx_env.gym.batch import ReachBatch, Rows, refuse_fork
from fbx_env.params import ReachParams
from fbx_env.gym.single import (
    NO_RENDER_MODE,
    SUCCESS_DISTANCE,
    SUCCESS_SPEED,
    Limit,
    ReachGymEnv,
    frame_rate,
    seed_words,
    seed_words_of,
    spaces,
    trial_options,
    whole_seed,
)
from fbx_env.registration import make
from fbx_env.gym.render import Frame, Watch, Window, frame, grid, import_pygame, side_in_grid

Step = tuple[
    Float[np.ndarray, "trials observation"],
    Float[np.ndarray, " trials"],
    Bool[np.ndarray, " trials"],
    Bool[np.ndarray, " trials"],
    dict[str, Any],
]


class ReachVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` trials of ``ReachGymEnv`` side by side, stepped by one compiled function.

    Returns what ``gymnasium.vector.SyncVectorEnv`` over as many ``ReachGymEnv`` returns, but for
    the type of the numbers, which are float32 here. What happens when a trial ends depends on the
    mode:

    - ``NEXT_STEP``: the next step of that trial ignores the action, starts a new trial and returns
      its first observation, with reward 0.
    - ``SAME_STEP``: the step that ends a trial returns the first observation of the next;
      ``info["final_obs"]`` and ``info["final_info"]`` have what belongs to the end.
    - ``DISABLED``: such trials must be reset before the next step, by
      ``reset(options={"reset_mask": ...})``.

    One process does it all. ``gymnasium.make_vec(..., vectorization_mode="async")`` starts one for
    each trial instead, and needs ``vector_kwargs={"context": "spawn"}``, as JAX cannot be forked.

    Args:
        num_envs: how many trials, at least 1.
        autoreset_mode: an ``AutoresetMode`` or its value, such as ``"SameStep"``.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        success_distance, success_speed: see ``ReachGymEnv``.
        **experiment: the keywords of ``fbx_env.make``.

    Raises:
        TypeError: for an unknown keyword, or a value of the wrong kind.
        ValueError: for a number out of range, or an unknown mode.

    Example:
        >>> envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=3, sensory_delay=2)
        >>> obs, infos = envs.reset(seed=0)
        >>> obs, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())
        >>> infos["losses"]["command"].shape
        (3,)
    """

    success_distance = Limit()
    success_speed = Limit()
    metadata: dict[str, Any] = ReachGymEnv.metadata

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        success_distance: float = SUCCESS_DISTANCE,
        success_speed: float = SUCCESS_SPEED,
        **experiment: Any,
    ) -> None:
        refuse_fork()
        _, params = make(**experiment)
        self.num_envs = checks.whole("num_envs", num_envs, at_least=1)
        self.autoreset_mode = _mode(autoreset_mode)
        self.render_mode = checks.choice("render_mode", render_mode, self.metadata["render_modes"])
        self.success_distance = success_distance
        self.success_speed = success_speed
        if render_mode is not None:
            import_pygame()
        self._batch = ReachBatch(params, self.num_envs)
        self._watch = Watch(self.num_envs)
        self._window = Window()
        self._generator: np.random.Generator | None = None
        self._ready = False
        self._ended = np.zeros(self.num_envs, bool)
        self.single_observation_space, self.single_action_space = spaces(self._batch)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.params = params

    @property
    def params(self) -> ReachParams:
        """The experiment; others may be set within trials, as in ``ReachGymEnv``."""
        return self._batch.params

    @params.setter
    def params(self, params: ReachParams) -> None:
        self._batch.params = params
        _, actions = spaces(self._batch)
        # A space of the same bounds stays, as it may have been seeded.
        if actions != self.single_action_space:
            self.single_action_space = actions
            self.action_space = batch_space(actions, self.num_envs)
        self.metadata = {
            **type(self).metadata,
            "render_fps": frame_rate(params),
            "autoreset_mode": self.autoreset_mode,
        }

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Float[np.ndarray, "trials observation"], dict[str, Any]]:
        """Start trials.

        Args:
            seed: a list with the seed of each trial, or the seed of the first, those of the others
                following it. The numbers are those of ``ReachGymEnv`` with the same seed. Without
                a seed, trials go on as seeded before.
            options: ``"start"`` and ``"goal"`` [m], for all trials ``(2,)`` or for each
                ``(num_envs, 2)``, what is not given being drawn; ``"reset_mask"``, a boolean array
                ``(num_envs,)`` of the trials to start, the others going on.

        Raises:
            TypeError, ValueError: for other options, seeds of the wrong number, numbers that are
                not finite, or a mask that is wrong or chooses none.
            gymnasium.error.Error: for a seed that is negative or not a whole number.
            gymnasium.error.ResetNeeded: if the first reset leaves some out.
        """
        names = ("start", "goal", "reset_mask")
        start, goal = trial_options(options, names, (2,), (self.num_envs, 2))
        chosen = self._reset_mask(None if options is None else options.get("reset_mask"))
        return self.start_trials(chosen, self._seeds(seed), start, goal)

    def start_trials(
        self,
        chosen: Bool[np.ndarray, " trials"],
        seeds: Sequence[int | None],
        start: Float[np.ndarray, "#trials 2"] | None,
        goal: Float[np.ndarray, "#trials 2"] | None,
    ) -> tuple[Float[np.ndarray, "trials observation"], dict[str, Any]]:
        """``reset`` of the ``chosen``; where ``start`` or ``goal`` is NaN, as the task draws it."""
        words = {
            index: seed_words_of(seed)
            for index, seed in enumerate(map(whole_seed, seeds))
            if seed is not None and chosen[index]
        }
        if self.np_random is not self._generator:
            self._generator = self.np_random
            everywhere = np.arange(self.num_envs)
            self._batch.seed(everywhere, seed_words(self.np_random, self.num_envs))
        if words:
            self._batch.seed(np.array(list(words)), np.concatenate(list(words.values())))
        rows = self._batch.reset(chosen, start, goal)
        self._ended = self._ended & ~chosen
        self._ready = True
        self._see(rows, started=chosen, stepped=np.zeros_like(chosen))
        return self._observations(rows), self._info(rows, told=chosen)

    def step(self, actions: Float[np.ndarray, "trials action"]) -> Step:
        """Command forces for one step of every trial.

        Args:
            actions: the commands [N], of any size; the forces they lead to are limited.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset; with autoreset disabled, also as
                long as a trial that has ended is not reset.
            TypeError, ValueError: if the actions are of the wrong shape or kind, or not finite.
        """
        if not self._ready:
            raise gymnasium.error.ResetNeeded("no trial is under way: call reset() before step()")
        mode = self.autoreset_mode
        if mode is AutoresetMode.DISABLED and self._ended.any():
            raise gymnasium.error.ResetNeeded(
                f"trials {np.flatnonzero(self._ended).tolist()} have ended: call "
                'reset(options={"reset_mask": ...}) before step()'
            )
        stepped, everywhere = ~self._ended, np.ones(self.num_envs, bool)
        used = None if stepped.all() else stepped
        commands = checks.command("actions", actions, self._batch.command_shape, used=used)
        rows = self._batch.step(commands)
        if used is not None:
            rows = self._batch.reset(self._ended)
        ended = rows[:, self._batch.layout.column("ended")] > 0
        rewards = rows[:, self._batch.layout.column("reward")].astype(np.float32)
        truncations = np.zeros(self.num_envs, bool)
        if mode is AutoresetMode.SAME_STEP and ended.any():
            final = np.full(self.num_envs, None, object)
            for index in np.flatnonzero(ended):
                final[index] = self._observations(rows[index : index + 1])[0]
            final_info = self._info(rows, told=ended, stepped=ended, ended=ended)
            rows = self._batch.reset(ended)
            self._see(rows, started=ended, stepped=~ended)
            infos: dict[str, Any] = {
                **self._info(rows, told=everywhere, stepped=~ended),
                "final_obs": final,
                "_final_obs": ended.copy(),
                "final_info": final_info,
                "_final_info": ended.copy(),
            }
        else:
            self._see(rows, started=self._ended, stepped=stepped)
            self._ended = ended
            infos = self._info(rows, told=everywhere, stepped=stepped, ended=ended)
        return self._observations(rows), rewards, ended.copy(), truncations, infos

    def render(self) -> tuple[Frame, ...] | None:
        """Draw the trials: a frame of each with ``"rgb_array"``; a grid of them in the window.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
            RuntimeError: if a window is asked for and there is no display.
        """
        if self.render_mode is None:
            gymnasium.logger.warn(NO_RENDER_MODE)
            return None
        scenes = self._watch.scenes(self._batch.rows, self._batch.layout, self.params)
        frames = tuple(frame(scene, side_in_grid(self.num_envs)) for scene in scenes)
        if self.render_mode == "rgb_array":
            return frames
        self._window.show(grid(frames), self.metadata["render_fps"])
        return None

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def _see(self, rows: Rows, **which: Bool[np.ndarray, " trials"]) -> None:
        if self.render_mode is not None:
            self._watch.see(rows, self._batch.layout, **which)
        if self.render_mode == "human":
            self.render()

    def _observations(self, rows: Rows) -> Float[np.ndarray, "trials observation"]:
        return rows[:, self._batch.layout.observation].astype(np.float32)

    def _info(
        self,
        rows: Rows,
        *,
        told: Bool[np.ndarray, " trials"],
        stepped: Bool[np.ndarray, " trials"] | None = None,
        ended: Bool[np.ndarray, " trials"] | None = None,
    ) -> dict[str, Any]:
        """What ``ReachGymEnv`` tells, in Gymnasium's arrangement: each entry with its mask.

        Args:
            rows: of the batch.
            told: which trials tell distance and speed.
            stepped: which tell their losses.
            ended: which tell whether they were a success.
        """
        info = {**self._entry(rows, "distance", told), **self._entry(rows, "speed", told)}
        if stepped is not None and stepped.any():
            losses: dict[str, Any] = {}
            for name in self._batch.layout.losses:
                losses |= self._entry(rows, name, stepped)
            info |= {"losses": losses, "_losses": stepped.copy()}
        if ended is not None and ended.any():
            near = info["distance"] <= self.success_distance
            slow = info["speed"] <= self.success_speed
            info |= {"is_success": near & slow & ended, "_is_success": ended.copy()}
        return info

    def _entry(self, rows: Rows, name: str, told: Bool[np.ndarray, " trials"]) -> dict[str, Any]:
        values = rows[:, self._batch.layout.column(name)].astype(np.float32)
        return {name: np.where(told, values, np.float32(0)), f"_{name}": told.copy()}

    def _seeds(self, seed: Any) -> Sequence[int | None]:
        if isinstance(seed, Sequence | np.ndarray) and np.ndim(seed) == 1:
            if len(seed) != self.num_envs:
                raise ValueError(
                    f"seed must be a whole number or have one for each of {self.num_envs} trials, "
                    f"got {len(seed)}"
                )
            return list(seed)
        first = whole_seed(seed)
        if first is None:
            return [None] * self.num_envs
        super().reset(seed=first)
        # The trials that this seed is not for keep theirs.
        self._generator = self.np_random
        return [first + index for index in range(self.num_envs)]

    def _reset_mask(self, mask: Any) -> Bool[np.ndarray, " trials"]:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if not isinstance(mask, np.ndarray) or mask.dtype != bool:
            kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
            raise TypeError(f"reset_mask must be a boolean NumPy array, got {kind}")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must have shape ({self.num_envs},), got {mask.shape}")
        if not mask.any():
            raise ValueError("reset_mask must choose a trial, all are False")
        if not self._ready and not mask.all():
            raise gymnasium.error.ResetNeeded("the first reset must start all trials")
        return mask


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(each.value) for each in AutoresetMode)
        raise ValueError(
            f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}"
        ) from None
