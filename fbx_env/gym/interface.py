"""The experiment behind an environment of Gymnasium: what one trial and many have in common."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import gymnasium
import numpy as np
from jaxtyping import Bool

from fbx_env import checks
from fbx_env.env import ReachEnv
from fbx_env.gym.batch import ReachBatch
from fbx_env.gym.frame import Scene
from fbx_env.gym.programs import Rows
from fbx_env.gym.render import Recorder, Window
from fbx_env.params import ReachParams
from fbx_env.parts.plants.plant import control_bounds
from fbx_env.reach import check_task
from fbx_env.registration import make


class Interface(abc.ABC):
    """The params and the recording of an environment of Gymnasium.

    Attributes:
        render_mode: how to render, or ``None``.
    """

    metadata: dict[str, Any]
    render_modes: ClassVar[tuple[str, ...]]

    def _open(
        self, n_trials: int, env_id: str, render_mode: str | None, experiment: dict[str, Any]
    ) -> None:
        """Make the experiment, and check that its trials are within the reach of its plant."""
        _, params = make(env_id, **experiment)
        check_task(params)
        self.render_mode = checks.choice("render_mode", render_mode, self.render_modes)
        self._batch = ReachBatch(params, n_trials)
        self._recorder = Recorder(n_trials)
        self._window = Window()
        self._generator: np.random.Generator | None = None
        self._ready = False
        self._refresh()

    @abc.abstractmethod
    def _refresh(self) -> None:
        """Let spaces and metadata follow the params."""

    @property
    def params(self) -> ReachParams:
        """The experiment; others may be set at any time, also within a trial, which goes on.

        They may differ in every number, such as mass, noise, weights or ``max_steps_in_episode``,
        and in parts that need no other state. What changes the structure of state, observation or
        loss (delays, the time in the observation, terms) needs a new environment. The bounds of the
        actions follow the plant's; ``render_fps`` follows ``dt``.

        Raises:
            TypeError: if set to something else than ``ReachParams``.
            ValueError: if a number is out of range, has leading axes, or the structure changes.
        """
        return self._batch.params

    @params.setter
    def params(self, params: ReachParams) -> None:
        self._batch.params = params
        self._refresh()

    @property
    def observation_layout(self) -> dict[str, slice]:
        """Where in one trial's observation to find what, as of ``ReachEnv.observation_layout``."""
        return ReachEnv().observation_layout(self.params)

    def _observation_space(self) -> gymnasium.spaces.Box:
        """The space of one trial's observations; the same bounds as in gymnax."""
        where = self._batch.layout.observation
        return gymnasium.spaces.Box(-np.inf, np.inf, (where.stop - where.start,), np.float32)

    def _action_space(self) -> gymnasium.spaces.Box:
        """The space of one trial's actions; the same bounds as in gymnax."""
        low, high = (np.asarray(bound, np.float32) for bound in control_bounds(self.params.plant))
        return gymnasium.spaces.Box(low, high, dtype=np.float32)

    def _frame_rate(self) -> float:
        """Frames a second that show a trial at its own pace."""
        return round(1 / float(self.params.dt), 3)

    def _record(
        self,
        rows: Rows,
        *,
        started: Bool[np.ndarray, " trials"],
        stepped: Bool[np.ndarray, " trials"],
    ) -> None:
        """Record what a step or a reset led to, if it is to be rendered."""
        if self.render_mode is not None:
            self._recorder.record(rows, self._batch.layout, started=started, stepped=stepped)

    def _scenes(self) -> list[Scene] | None:
        """The scene to draw of each trial; ``None``, with a warning, without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() draws nothing without a render mode: give render_mode='rgb_array' or "
                "'human' when making the environment"
            )
            return None
        batch = self._batch
        return self._recorder.scenes(batch.rows, batch.layout, self.params, batch.states)
