"""The environment as Gymnasium sees it: one trial at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

from fbx_env import checks
from fbx_env.gym.frame import Frame, render_frame
from fbx_env.gym.interface import Interface
from fbx_env.gym.options import Command, Given, Seed, seed_words, trial_options, whole_seed
from fbx_env.gym.render import MODES
from fbx_env.parts.plants.plant import FORCE_IN_PLANE, named_units
from fbx_env.registration import ENV_ID

PUSH = 1.0
"""The force of a key [N]."""


class ReachGymEnv(Interface, gymnasium.Env[np.ndarray, np.ndarray]):
    """Reach a goal on the plane by commanding a plant, one trial at a time.

    Observation, action, reward and end are those of ``ReachEnv``, to the last bit; the last step
    reports ``terminated=True, truncated=False``. ``spec.max_episode_steps`` is ``None``, as the
    horizon is part of the task: it is ``params.max_steps_in_episode``.

    ``info`` has the same entries after a reset and after every step, scalars or arrays of NumPy:

    - ``"losses"``: the weighted terms of the step's loss by name, zero after a reset; the reward is
      minus their sum,
    - ``"distance"``: from the effector to the target [m], and ``"speed"`` [m/s],
    - ``"is_success"``: whether the trial has ended, with both within the limits of the params and
      as the task asks for,
    - ``"drawn"``: the numbers drawn for the trial by name, if the experiment has draws.

    Args:
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        env_id: which environment, one of ``fbx_env.registration.IDS``.
        **experiment: the other keywords of ``fbx_env.make``, such as ``mass`` or ``motor_delay``.

    Raises:
        TypeError: for an unknown keyword, or a value of the wrong kind.
        ValueError: for a number out of range, an unknown id or render mode, or a task whose trials
            are out of the plant's reach.
        RuntimeError: in a process forked after ``fbx_env`` was imported, where JAX would wait for
            ever.

    Example:
        >>> env = gymnasium.make("fbx_env:PointMassReach-v0", mass=2.0)
        >>> obs, info = env.reset(seed=0, options={"start": (0, 0), "goal": (0.5, 0)})
        >>> obs, reward, terminated, truncated, info = env.step(np.array([1.0, 0.0]))
        >>> info["distance"]
        np.float32(0.5)
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 20}  # noqa: RUF012
    render_modes = MODES

    def __init__(
        self,
        render_mode: str | None = None,
        *,
        env_id: str = ENV_ID,
        **experiment: Any,
    ) -> None:
        self._open(1, env_id, render_mode, experiment)
        self.observation_space = self._observation_space()

    def _refresh(self) -> None:
        actions = self._action_space()
        # A space of the same bounds stays, as it may have been seeded.
        if actions != getattr(self, "action_space", None):
            self.action_space = actions
        self.metadata = {**type(self).metadata, "render_fps": self._frame_rate()}

    def reset(
        self, *, seed: Seed | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " observation"], dict[str, Any]]:
        """Start a trial.

        Args:
            seed: of all trials from this one on; without it, trials go on as seeded before.
            options: numbers of the trial by the names of its fields, as ``"start"`` and ``"goal"``
                [m], two numbers each; what is not given is drawn.

        Raises:
            TypeError, ValueError: for other options, numbers that are not finite or that the trial
                refuses, a start out of the plant's reach, or a seed that is not a whole number.
            gymnasium.error.Error: for a negative seed.
        """
        fields = self._batch.layout.fields
        values = trial_options(options, fields)
        given = Given(fields, 1).put(values) if values else None
        before = self._np_random, self._np_random_seed
        super().reset(seed=whole_seed(seed))
        generator = self.np_random
        is_new = generator is not self._generator
        seeds = {0: seed_words(generator, 1)[0]} if is_new else None
        try:
            rows = self._batch.reset(_THE_TRIAL, given, seeds)
        except ValueError:
            self._np_random, self._np_random_seed = before
            raise
        self._generator, self._ready = generator, True
        self._record(rows, started=_THE_TRIAL, stepped=~_THE_TRIAL)
        self._show()
        row = rows[0]
        return row[self._batch.layout.observation].astype(np.float32), self._info(row)

    def step(
        self, action: Command
    ) -> tuple[Float[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        """Command the plant for one step.

        Args:
            action: the command in the units of the plant's controls, of any size; what is
                beyond their bounds acts as these, and the cost of the command counts it as it is.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, and after the end of a trial.
            TypeError, ValueError: if the action is of the wrong shape or kind, or not finite.
        """
        if not self._ready:
            raise gymnasium.error.ResetNeeded("no trial is under way: call reset() before step()")
        command = checks.command("action", action, self._batch.command_shape[1:])
        rows = self._batch.step(command[None])
        self._record(rows, started=~_THE_TRIAL, stepped=_THE_TRIAL)
        row, layout = rows[0], self._batch.layout
        reward, ended = row[layout.scalars][:2].tolist()
        self._ready = not ended
        self._show()
        observation = row[layout.observation].astype(np.float32)
        return observation, reward, bool(ended), False, self._info(row)

    def _info(self, row: Float[np.ndarray, " row"]) -> dict[str, Any]:
        layout = self._batch.layout
        _, _, is_success, distance, speed, *losses = row[layout.scalars].astype(np.float32)
        info = {
            "losses": dict(zip(layout.losses, losses, strict=True)),
            "distance": distance,
            "speed": speed,
            "is_success": np.bool_(is_success),
        }
        if layout.drawn:
            info["drawn"] = {
                name: row[where].astype(np.float32).reshape(shape)[()]
                for name, (where, shape) in layout.drawn.items()
            }
        return info

    def render(self) -> Frame | None:
        """Draw the trial: the frame with ``"rgb_array"``; with ``"human"`` the window shows it.

        Raises:
            gymnasium.error.DependencyNotInstalled: without the extra ``render``.
            gymnasium.error.ResetNeeded: before the first reset.
            RuntimeError: if a window is asked for and there is no display.
        """
        scenes = self._scenes()
        if scenes is None:
            return None
        picture = render_frame(scenes[0])
        if self.render_mode == "rgb_array":
            return picture
        self._window.show(picture, scenes[0].title, self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def get_keys_to_action(self) -> dict[str, Float[np.ndarray, "2"]]:
        """The keys with which ``gymnasium.utils.play`` pushes the plant: w, a, s, d and pairs.

        Raises:
            NotImplementedError: for a plant that is not commanded by one force in the plane.
        """
        plant = self.params.plant
        if named_units(plant) != FORCE_IN_PLANE:
            names = ", ".join(control.name for control in plant.controls)
            raise NotImplementedError(
                f"there are keys for a force in the plane, and {type(plant).__name__} takes "
                f"{names}: give keys_to_action"
            )
        keys = {"w": (0, 1), "a": (-1, 0), "s": (0, -1), "d": (1, 0)}
        keys |= {"wa": (-1, 1), "wd": (1, 1), "sa": (-1, -1), "sd": (1, -1)}
        assert isinstance(self.action_space, gymnasium.spaces.Box)
        low, high = self.action_space.low, self.action_space.high
        return {
            key: np.clip(PUSH * np.array(way, np.float32), low, high) for key, way in keys.items()
        }

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()


_THE_TRIAL: Bool[np.ndarray, "1"] = np.ones(1, bool)
