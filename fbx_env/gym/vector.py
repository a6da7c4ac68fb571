"""The environment as Gymnasium sees it: many trials in one compiled step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Int, UInt32

from fbx_env import checks
from fbx_env.gym.frame import Frame, render_frame
from fbx_env.gym.interface import Interface
from fbx_env.gym.options import (
    Commands,
    Fields,
    Given,
    Seed,
    seed_words,
    seed_words_of,
    trial_options,
    whole_seed,
)
from fbx_env.gym.programs import Rows
from fbx_env.gym.render import MODES, grid, side_in_grid
from fbx_env.gym.single import ReachGymEnv
from fbx_env.registration import ENV_ID

Step = tuple[
    Float[np.ndarray, "trials observation"],
    Float[np.ndarray, " trials"],
    Bool[np.ndarray, " trials"],
    Bool[np.ndarray, " trials"],
    dict[str, Any],
]
VECTOR_MODES = (*MODES, "rgb_array_list")


class ReachVectorEnv(Interface, VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` trials of ``ReachGymEnv`` side by side, stepped by one compiled function.

    Returns what ``gymnasium.vector.SyncVectorEnv`` over as many ``ReachGymEnv`` returns; numbers
    are float32, and what an info does not have of a trial is zero and masked. What happens when a
    trial ends depends on the mode:

    - ``NEXT_STEP``: the next step of that trial ignores the action, starts a new trial and returns
      its first observation, with reward 0.
    - ``SAME_STEP``: the step that ends a trial returns the first observation of the next;
      ``info["final_obs"]`` and ``info["final_info"]`` have what belongs to the end. It suits
      loops of your own, and not Gymnasium 1.3's vector wrappers: ``RecordEpisodeStatistics`` counts
      wrongly from the second trial on, and those that change observations refuse this mode.
    - ``DISABLED``: such trials must be reset before the next step, by
      ``reset(options={"reset_mask": ...})``.

    One process does it all. ``gymnasium.make_vec(..., vectorization_mode="async")`` starts one for
    each trial instead, and needs ``vector_kwargs={"context": "spawn"}``, as JAX cannot be forked;
    without it the parent raises a ``BrokenPipeError`` or ``EOFError``, and its children print that
    they were forked.

    Args:
        num_envs: how many trials, at least 1.
        env_id: which environment, one of ``fbx_env.registration.IDS``.
        autoreset_mode: an ``AutoresetMode`` or its value, such as ``"SameStep"``, also in
            ``make_vec``.
        render_mode: ``None``, ``"rgb_array"``, ``"rgb_array_list"`` or ``"human"``.
        **experiment: the other keywords of ``fbx_env.make``.

    Raises:
        TypeError: for an unknown keyword, or a value of the wrong kind.
        ValueError: for a number out of range, an unknown id or mode, or a task whose trials are
            out of the plant's reach.
        RuntimeError: in a process forked after ``fbx_env`` was imported.

    Example:
        >>> envs = gymnasium.make_vec("fbx_env:PointMassReach-v0", num_envs=3, sensory_delay=2)
        >>> obs, infos = envs.reset(seed=0)
        >>> obs, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())
        >>> infos["losses"]["command"].shape
        (3,)
    """

    metadata: dict[str, Any] = {**ReachGymEnv.metadata, "render_modes": list(VECTOR_MODES)}  # noqa: RUF012
    render_modes = VECTOR_MODES

    def __init__(
        self,
        num_envs: int = 1,
        *,
        env_id: str = ENV_ID,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **experiment: Any,
    ) -> None:
        self.num_envs = checks.whole("num_envs", num_envs, at_least=1)
        self.autoreset_mode = _mode(autoreset_mode)
        self._open(self.num_envs, env_id, render_mode, experiment)
        self._frames: list[list[Frame]] = [[] for _ in range(self.num_envs)]
        self._ended = np.zeros(self.num_envs, bool)
        self.single_observation_space = self._observation_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def _refresh(self) -> None:
        actions = self._action_space()
        # A space of the same bounds stays, as it may have been seeded.
        if actions != getattr(self, "single_action_space", None):
            self.single_action_space = actions
            self.action_space = batch_space(actions, self.num_envs)
        self.metadata = {
            **type(self).metadata,
            "render_fps": self._frame_rate(),
            "autoreset_mode": self.autoreset_mode,
        }

    def reset(
        self,
        *,
        seed: Seed | Sequence[Seed | None] | Int[np.ndarray, " trials"] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Float[np.ndarray, "trials observation"], dict[str, Any]]:
        """Start trials.

        Args:
            seed: a list with the seed of each trial, or the seed of the first, those of the others
                following it. The numbers are those of ``ReachGymEnv`` with the same seed. Without
                a seed, trials go on as seeded before.
            options: numbers of the trials by the names of their fields, as ``"start"`` and
                ``"goal"`` [m], for all trials ``(2,)`` or for each ``(num_envs, 2)``, what is not
                given being drawn; ``"reset_mask"``, a boolean array ``(num_envs,)`` of the trials
                to start, the others going on.

        Raises:
            TypeError, ValueError: for other options, seeds of the wrong number, numbers that are
                not finite or that a trial refuses, a start out of the plant's reach, or a mask that
                is wrong or chooses none.
            gymnasium.error.Error: for a seed that is negative or not a whole number.
            gymnasium.error.ResetNeeded: if the first reset leaves some out.
        """
        fields, n_trials = self.fields, self.num_envs
        values = trial_options(options, fields, n_trials, ("reset_mask",))
        chosen = self._reset_mask(None if options is None else options.get("reset_mask"))
        given = Given(fields, n_trials).put(values) if values else None
        if isinstance(seed, Sequence | np.ndarray) and np.ndim(np.asarray(seed)) == 1:
            if len(seed) != n_trials:
                raise ValueError(
                    f"seed must be a whole number or have one for each of {n_trials} trials, got "
                    f"{len(seed)}"
                )
            return self.start_trials(chosen, list(seed), given)
        first = whole_seed(seed)
        if first is None:
            return self.start_trials(chosen, [None] * n_trials, given)
        before = self._np_random, self._np_random_seed, self._generator
        super().reset(seed=first)
        # The trials that this seed is not for keep theirs.
        self._generator = self.np_random
        try:
            return self.start_trials(chosen, [first + i for i in range(n_trials)], given)
        except ValueError:
            self._np_random, self._np_random_seed, self._generator = before
            raise

    def start_trials(
        self,
        chosen: Bool[np.ndarray, " trials"],
        seeds: Sequence[Seed | None],
        given: Given | None,
    ) -> tuple[Float[np.ndarray, "trials observation"], dict[str, Any]]:
        """Start the ``chosen`` trials, each with a seed or ``None``, and what is given of them."""
        generator = self.np_random
        words: dict[int, UInt32[np.ndarray, "2"]] = {}
        own = {index: whole_seed(seed) for index, seed in enumerate(seeds) if chosen[index]}
        if generator is not self._generator:
            words = dict(enumerate(seed_words(generator, self.num_envs)))
        words |= {index: seed_words_of(seed) for index, seed in own.items() if seed is not None}
        rows = self._batch.reset(chosen, given, words)
        self._generator = generator
        self._ended = self._ended & ~chosen
        self._ready = True
        self._show(rows, started=chosen, stepped=np.zeros_like(chosen))
        return self._observations(rows), self._info(rows, chosen)

    def step(self, actions: Commands) -> Step:
        """Command the plant for one step of every trial.

        Args:
            actions: the commands in the units of the plant's controls, of any size; those
                beyond their bounds act as these, and the cost of the command counts them as they
                are.

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
        final: dict[str, Any] = {}
        if mode is AutoresetMode.SAME_STEP and ended.any():
            observations = np.full(self.num_envs, None, object)
            for index in np.flatnonzero(ended):
                observations[index] = self._observations(rows[index : index + 1])[0]
            final = {"final_obs": observations, "final_info": self._info(rows, ended)}
            final |= {f"_{name}": ended.copy() for name in final}
            rows = self._batch.reset(ended)
            self._show(rows, started=ended, stepped=~ended)
        else:
            self._show(rows, started=self._ended, stepped=stepped)
            self._ended = ended
        infos = {**self._info(rows, everywhere), **final}
        truncations = np.zeros(self.num_envs, bool)
        return self._observations(rows), rewards, ended.copy(), truncations, infos

    def render(self) -> tuple[Frame, ...] | tuple[list[Frame], ...] | None:  # type: ignore[override]
        """Draw the trials.

        Returns:
            A frame of each with ``"rgb_array"``; with ``"rgb_array_list"`` those of each since its
            start or the last call; ``None`` with ``"human"``, the window showing a grid of them.

        Raises:
            gymnasium.error.DependencyNotInstalled: without the extra ``render``.
            gymnasium.error.ResetNeeded: before the first reset.
            RuntimeError: if a window is asked for and there is no display.
        """
        scenes = self._scenes()
        if scenes is None:
            return None
        if self.render_mode == "rgb_array_list":
            lists, self._frames = self._frames, [[] for _ in range(self.num_envs)]
            return tuple(lists)
        frames = tuple(render_frame(scene, side_in_grid(self.num_envs)) for scene in scenes)
        if self.render_mode == "rgb_array":
            return frames
        self._window.show(grid(frames), scenes[0].title, self.metadata["render_fps"])
        return None

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method, or read an attribute, of every trial, as ``SyncVectorEnv`` does.

        One object serves all trials, so that each gives the same; but ``"render"`` gives the frame
        of each, and the spaces are those of one trial.

        Raises:
            AttributeError: if there is none of that name.
            ValueError: for a method that has a counterpart for all trials.
        """
        values = self.get_attr(name)
        if name in ("reset", "step", "close"):
            raise ValueError(f"name must not be {name!r}: call {name}() of the vector itself")
        if not callable(values[0]):
            return values
        result = values[0](*args, **kwargs)
        return result if name == "render" and result else (result,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Read an attribute of every trial.

        Raises:
            TypeError: if the name is no text.
            AttributeError: if there is none of that name.
        """
        checks.instance("name", name, str)
        return (getattr(self, _OF_ONE.get(name, name)),) * self.num_envs

    def set_attr(self, name: str, values: Any) -> None:
        """Set the ``params`` of all trials.

        Args:
            name: of the attribute.
            values: one for all, or a list or tuple with the same for each.

        Raises:
            AttributeError: for another attribute.
            ValueError: for values that differ between trials, or are of the wrong number.
        """
        if checks.instance("name", name, str) not in SETTABLE:
            raise AttributeError(
                f"{name} cannot be set; of what all trials share, {', '.join(SETTABLE)} can"
            )
        each = values if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(each) != self.num_envs or any(value is not each[0] for value in each):
            raise ValueError(
                f"{name} belongs to all trials together: values must be one, or the same for each "
                f"of {self.num_envs}, got {values!r}"
            )
        setattr(self, name, each[0])

    @property
    def fields(self) -> Fields:
        """The numbers of a trial that the options of ``reset`` can give."""
        return self._batch.layout.fields

    def _show(
        self,
        rows: Rows,
        *,
        started: Bool[np.ndarray, " trials"],
        stepped: Bool[np.ndarray, " trials"],
    ) -> None:
        """Record what a step or a reset led to, and show or keep its frames."""
        self._record(rows, started=started, stepped=stepped)
        if self.render_mode == "human":
            self.render()
        elif self.render_mode == "rgb_array_list":
            for index, scene in enumerate(self._scenes() or []):
                if started[index]:
                    self._frames[index] = []
                if started[index] or stepped[index]:
                    frame = render_frame(scene, side_in_grid(self.num_envs))
                    self._frames[index].append(frame)

    def _observations(self, rows: Rows) -> Float[np.ndarray, "trials observation"]:
        return rows[:, self._batch.layout.observation].astype(np.float32)

    def _info(self, rows: Rows, chosen: Bool[np.ndarray, " trials"]) -> dict[str, Any]:
        """The info of the ``chosen`` trials as Gymnasium arranges it: each entry with its mask."""
        layout = self._batch.layout
        scalars = _zero_elsewhere(rows[:, layout.scalars], chosen)
        _, _, is_success, distance, speed, *losses = (column.copy() for column in scalars.T)
        entries: dict[str, Any] = {
            "losses": _masked(dict(zip(layout.losses, losses, strict=True)), chosen),
            "distance": distance,
            "speed": speed,
            "is_success": is_success > 0,
        }
        if layout.drawn:
            drawn = {
                name: _zero_elsewhere(rows[:, where], chosen).reshape(-1, *shape)
                for name, (where, shape) in layout.drawn.items()
            }
            entries["drawn"] = _masked(drawn, chosen)
        return _masked(entries, chosen)

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


SETTABLE = ("params",)
_OF_ONE = {"observation_space": "single_observation_space", "action_space": "single_action_space"}


def _zero_elsewhere(
    rows: Float[np.ndarray, "trials some"], chosen: Bool[np.ndarray, " trials"]
) -> Float[np.ndarray, "trials some"]:
    """A copy in float32, with zeros for the trials that are not chosen."""
    kept = rows.astype(np.float32)
    kept[~chosen] = 0
    return kept


def _masked(entries: dict[str, Any], chosen: Bool[np.ndarray, " trials"]) -> dict[str, Any]:
    """The entries of an info, each with its mask."""
    return entries | {f"_{name}": chosen.copy() for name in entries}


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        allowed = ", ".join(repr(each.value) for each in AutoresetMode)
        raise ValueError(
            f"autoreset_mode must be an AutoresetMode or one of {allowed}, got {mode!r}"
        ) from None
