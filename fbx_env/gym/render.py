"""Rendering of trials under way: what their frames show, a grid of frames, a window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import Bool, Float, UInt8

from fbx_env.env import ReachState
from fbx_env.gym.frame import PALE, SIDE, Frame, Scene, import_pygame
from fbx_env.gym.programs import Layout, Rows
from fbx_env.params import ReachParams
from fbx_env.parts.draws.drawing import with_drawn
from fbx_env.parts.plants.visible_plant import Outline, VisiblePlant

MODES = ("human", "rgb_array")


class Recorder:
    """Keeps of trials what the last step alone does not show: the trace and the loss so far."""

    def __init__(self, n_trials: int) -> None:
        self._traces: list[list[Float[np.ndarray, "2"]]] = [[] for _ in range(n_trials)]
        self._losses = np.zeros(n_trials)

    def record(
        self,
        rows: Rows,
        layout: Layout,
        *,
        started: Bool[np.ndarray, " trials"],
        stepped: Bool[np.ndarray, " trials"],
    ) -> None:
        """Keep what a step or a reset led to, for the trials that started or took a step."""
        losses = np.where(stepped, self._losses - rows[:, layout.column("reward")], self._losses)
        self._losses = np.where(started, 0, losses)
        for index in np.flatnonzero(started | stepped):
            if started[index]:
                self._traces[index] = []
            self._traces[index].append(rows[index, layout.position].copy())

    def scenes(
        self, rows: Rows, layout: Layout, params: ReachParams, states: ReachState
    ) -> list[Scene]:
        """The scene of each trial, ``rows`` and ``states`` being the last that were recorded.

        Raises:
            gymnasium.error.ResetNeeded: if no trial has started.
        """
        if not all(self._traces):
            raise ResetNeeded("there is nothing to draw yet: call reset() before render()")
        workspace = getattr(params.task, "workspace", None)
        return [
            Scene(
                title=f"{type(params.task).__name__}, {type(params.plant).__name__}",
                workspace=None if workspace is None else np.asarray(workspace),
                trace=np.array(trace),
                target=row[layout.target],
                plant=params.plant,
                control=row[layout.control],
                load=row[layout.load] if params.loads else None,
                time=(len(trace) - 1) * float(params.dt),
                loss=float(loss),
                outline=outline,
            )
            for row, trace, loss, outline in zip(
                rows, self._traces, self._losses, _outlines(params, states, len(rows)), strict=True
            )
        ]


def _outlines(params: ReachParams, states: ReachState, n_trials: int) -> list[Outline | None]:
    """How the plant looks in each trial; nothing of a plant that has no looks."""
    if not isinstance(params.plant, VisiblePlant):
        return [None] * n_trials
    outlines = jax.tree.map(np.asarray, _all_outlines(params, states))
    return [jax.tree.map(lambda x, i=i: x[i], outlines) for i in range(n_trials)]


@jax.jit
def _all_outlines(params: ReachParams, states: ReachState) -> Any:
    def outline(state: ReachState) -> Any:
        plant: Any = with_drawn(params, state.drawn).plant
        return plant.outline(state.plant)

    return jax.vmap(outline)(states)


def grid(frames: Sequence[Frame]) -> UInt8[np.ndarray, "whole_height whole_width 3"]:
    """Put frames of the same size side by side into one that is about square."""
    height, width, _ = frames[0].shape
    n_columns = math.ceil(math.sqrt(len(frames)))
    n_rows = math.ceil(len(frames) / n_columns)
    whole = np.full((n_rows * height, n_columns * width, 3), 255, np.uint8)
    for index, one in enumerate(frames):
        row, column = divmod(index, n_columns)
        cell = whole[row * height : (row + 1) * height, column * width : (column + 1) * width]
        cell[...] = one
        cell[-1] = cell[:, -1] = PALE
    return whole


def side_in_grid(n_frames: int) -> int:
    """How wide each of so many frames is, so that their grid fits a screen."""
    return max(64, 2 * (min(SIDE, 1024 // math.ceil(math.sqrt(n_frames))) // 2))


class Window:
    """A window that shows frames at a steady pace; it opens with the first."""

    def __init__(self) -> None:
        self._screen: Any = None
        self._clock: Any = None

    def show(self, picture: Frame, title: str, frames_per_second: float) -> None:
        """Show a frame, then wait until the next is due.

        Raises:
            RuntimeError: if there is no display.
        """
        pygame = import_pygame()
        height, width, _ = picture.shape
        # There is one window a process: others may have closed it, or shown their frames in it.
        if not self._is_shown() or self._screen.get_size() != (width, height):
            try:
                pygame.display.init()
                self._screen = pygame.display.set_mode((width, height))
            except pygame.error as error:
                raise RuntimeError(
                    f'no window can be opened ({error}); render_mode="rgb_array" needs no display'
                ) from error
            pygame.display.set_caption(title)
            self._clock = pygame.time.Clock()
        self._screen.blit(pygame.surfarray.make_surface(picture.transpose(1, 0, 2)), (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(frames_per_second)

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._is_shown():
            import_pygame().display.quit()
        self._screen = None

    def _is_shown(self) -> bool:
        return self._screen is not None and self._screen is import_pygame().display.get_surface()

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens a window of its own."""
        return {"_screen": None, "_clock": None}
