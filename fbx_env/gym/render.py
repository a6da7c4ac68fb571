"""Pictures of a trial under way, drawn by pygame: one frame, a grid of frames, a window.

pygame is the optional extra ``render``. It is imported when something is drawn, and frames need no
display.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from jaxtyping import Bool, Float, UInt8

from fbx_env.gym.batch import Layout, Rows
from fbx_env.params import ReachParams

Frame = UInt8[np.ndarray, "height width 3"]

MODES = ("human", "rgb_array")
SIDE = 512
"""Width of the picture of one trial, in pixels."""

# The colour-blind safe palette of Okabe and Ito, on white.
INK, PALE, PAPER = (60, 60, 60), (232, 232, 232), (255, 255, 255)
GOAL, MASS, TRACE, FORCE = (0, 158, 115), (0, 114, 178), (86, 180, 233), (213, 94, 0)


@dataclass(frozen=True)
class Scene:
    """What a frame shows.

    Attributes:
        workspace: lower left and upper right corner [m], or ``None`` for a task without one.
        trace: where the mass has been, its start first and where it is now last [m].
        target: where it should be now [m].
        force: what acts on it [N]; drawn if it is one along each axis of the plane.
        max_force: that of an arrow of full length [N].
        time: since the start [s].
        loss: of the trial so far.
    """

    workspace: Float[np.ndarray, "2 2"] | None
    trace: Float[np.ndarray, "states 2"]
    target: Float[np.ndarray, "2"]
    force: Float[np.ndarray, " action"]
    max_force: float
    time: float
    loss: float


class Watch:
    """Remembers of trials what a step alone does not tell: the trace and the loss so far."""

    def __init__(self, n_trials: int) -> None:
        self._traces: list[list[Float[np.ndarray, "2"]]] = [[] for _ in range(n_trials)]
        self._losses = np.zeros(n_trials)

    def see(
        self,
        rows: Rows,
        layout: Layout,
        *,
        started: Bool[np.ndarray, " trials"],
        stepped: Bool[np.ndarray, " trials"],
    ) -> None:
        """Take in what a step or a reset led to, for the trials that started or took a step."""
        losses = np.where(stepped, self._losses - rows[:, layout.column("reward")], self._losses)
        self._losses = np.where(started, 0, losses)
        for index in np.flatnonzero(started | stepped):
            if started[index]:
                self._traces[index] = []
            self._traces[index].append(rows[index, layout.position].copy())

    def scenes(self, rows: Rows, layout: Layout, params: ReachParams) -> list[Scene]:
        """What there is to draw of each trial, ``rows`` being the last that were seen.

        Raises:
            gymnasium.error.ResetNeeded: if no trial has started.
        """
        if not all(self._traces):
            raise ResetNeeded("there is nothing to draw yet: call reset() before render()")
        workspace = getattr(params.task, "workspace", None)
        return [
            Scene(
                workspace=None if workspace is None else np.asarray(workspace),
                trace=np.array(trace),
                target=row[layout.target],
                force=row[layout.force],
                max_force=float(params.motor.max_force),
                time=(len(trace) - 1) * float(params.dt),
                loss=float(loss),
            )
            for row, trace, loss in zip(rows, self._traces, self._losses, strict=True)
        ]


def frame(scene: Scene, side: int = SIDE) -> Frame:
    """Draw one trial.

    The view is the workspace and a little more, and grows to keep the whole trace in sight. Below
    300 pixels there is room for the loss alone.

    Args:
        scene: what to draw.
        side: width in pixels.

    Raises:
        gymnasium.error.DependencyNotInstalled: without pygame.
    """
    pygame = import_pygame()
    canvas = _Canvas(pygame, side, scene)
    canvas.draw()
    small = pygame.transform.smoothscale(canvas.surface, (side, canvas.height // 2))
    return np.ascontiguousarray(pygame.surfarray.array3d(small).transpose(1, 0, 2))


def grid(frames: Sequence[Frame]) -> Frame:
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

    def show(self, picture: Frame, frames_per_second: float) -> None:
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
            pygame.display.set_caption("Reaching with a point mass")
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


def import_pygame() -> Any:
    """pygame, or an error that says how to get it."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled(
            'rendering needs pygame-ce: run pip install "fbx-env[render]"'
        ) from error
    return pygame


class _Canvas:
    """One trial at twice the size; shrinking it smooths every edge."""

    def __init__(self, pygame: Any, side: int, scene: Scene) -> None:
        self.pygame, self.scene = pygame, scene
        self.side = 2 * side
        self.has_words = side >= 300
        self.has_arrow = scene.force.shape == (2,)
        self.text_height = max(22, self.side // 24)
        self.header = 2 * self.text_height
        self.footer = 5 * self.text_height // 2 if self.has_words else 0
        self.height = self.header + self.side + self.footer
        self.height += -self.height % 4
        self.surface = pygame.Surface((self.side, self.height))
        self.surface.fill(PAPER)
        pygame.font.init()
        self.font = pygame.font.Font(None, round(1.4 * self.text_height))
        self._set_view()

    def _set_view(self) -> None:
        scene = self.scene
        points = [scene.trace, scene.target[None]]
        if scene.workspace is not None:
            points.append(scene.workspace)
        everything = np.concatenate(points)
        # A mass that was driven to infinity is shown where it was last seen.
        everything = everything[np.isfinite(everything).all(1)]
        low, high = everything.min(0), everything.max(0)
        self.middle = (low + high) / 2
        self.view = 1.16 * max(float((high - low).max()), 1e-6)

    def at(self, point: Float[np.ndarray, "2"]) -> tuple[float, float]:
        """The pixel of a point of the plane [m]."""
        x, y = (point - self.middle) / self.view * self.side
        return self.side / 2 + float(x), self.header + self.side / 2 - float(y)

    def draw(self) -> None:
        pygame, scene = self.pygame, self.scene
        thin, bold = max(2, self.side // 340), max(3, self.side // 170)
        dot = max(7, self.side // 52)
        if scene.workspace is not None:
            (left, bottom), (right, top) = (self.at(corner) for corner in scene.workspace)
            box = pygame.Rect(left, top, right - left, bottom - top)
            pygame.draw.rect(self.surface, PALE, box)
            pygame.draw.rect(self.surface, INK, box, thin)

        # What is drawn by place must not reach the words.
        self.surface.set_clip((0, self.header, self.side, self.side))
        trace = [self.at(point) for point in scene.trace if np.isfinite(point).all()]
        self._goal(self.at(scene.target), dot, bold)
        pygame.draw.circle(self.surface, INK, trace[0], dot, thin)
        if len(trace) > 1:
            pygame.draw.lines(self.surface, TRACE, False, trace, bold)
        pygame.draw.circle(self.surface, MASS, trace[-1], dot)
        self._force(trace[-1], dot, bold)
        self.surface.set_clip(None)
        self._words(dot, thin, bold)

    def _force(self, mass: tuple[float, float], dot: int, width: int) -> None:
        """An arrow from the rim of the mass; by the root of the force, so that weak ones show."""
        if not self.has_arrow:
            return
        x, y = self.scene.force.tolist()
        size = math.hypot(x, y)
        length = 0.3 * self.side * math.sqrt(size / self.scene.max_force)
        if not 2 <= length < math.inf:
            return
        way = (x / size, -y / size)
        tail = (mass[0] + dot * way[0], mass[1] + dot * way[1])
        self._arrow(tail, way, min(max(length, 1.5 * dot), self._room(tail, way)), width)

    def _room(self, at: tuple[float, float], way: tuple[float, float]) -> float:
        """How many pixels there are this way until the view ends."""
        edge = 4
        ends = ((edge, self.side - edge), (self.header + edge, self.header + self.side - edge))
        rooms = [
            ((high if step > 0 else low) - start) / step
            for start, step, (low, high) in zip(at, way, ends, strict=True)
            if step
        ]
        return max(min(rooms), 0.0)

    def _goal(self, at: tuple[float, float], dot: int, width: int) -> None:
        self.pygame.draw.circle(self.surface, GOAL, at, 2 * dot, width)
        self.pygame.draw.circle(self.surface, GOAL, at, dot // 2)

    def _arrow(
        self, tail: tuple[float, float], way: tuple[float, float], length: float, width: int
    ) -> None:
        x, y = way
        head = min(5.0 * width, 0.7 * length)
        tip = (tail[0] + length * x, tail[1] + length * y)
        neck = (tip[0] - head * x, tip[1] - head * y)
        corners = [
            tip,
            (neck[0] - head / 2 * y, neck[1] + head / 2 * x),
            (neck[0] + head / 2 * y, neck[1] - head / 2 * x),
        ]
        self.pygame.draw.line(self.surface, FORCE, tail, neck, width)
        self.pygame.draw.polygon(self.surface, FORCE, corners)

    def _words(self, dot: int, thin: int, bold: int) -> None:
        pad, scene = self.text_height // 2, self.scene
        middle = self.header // 2
        if not self.has_words:
            name = "loss " if self.side >= 240 else ""
            self._text(f"{name}{scene.loss:.3g}", pad, middle)
            return
        third = self.side // 3
        self._text(f"time {scene.time:.2f} s", pad, middle)
        self._text(f"loss {scene.loss:.4g}", pad + third, middle)
        if self.has_arrow:
            force = math.hypot(*scene.force.tolist())
            self._text(f"force {force:.2f} N", pad + 2 * third, middle)

        middle = self.header + self.side + self.footer // 2
        quarter = (self.side - 2 * pad) // 4
        symbols = [pad + 2 * dot + index * quarter for index in range(4)]
        self.pygame.draw.circle(self.surface, INK, (symbols[0], middle), dot, thin)
        self._goal((symbols[1], middle), dot, bold)
        self.pygame.draw.circle(self.surface, MASS, (symbols[2], middle), dot)
        names = ["start", "goal", "mass"]
        if self.has_arrow:
            self._arrow((symbols[3] - 2 * dot, middle), (1.0, 0.0), 4.0 * dot, bold)
            names.append("force")
        for at, name in zip(symbols, names, strict=False):
            self._text(name, at + 3 * dot, middle)
        self._scale()

    def _scale(self) -> None:
        """A line of a round number of metres, in the lower right corner of the view."""
        length = 10.0 ** math.floor(math.log10(self.view / 2))
        length *= max(n for n in (1, 2, 5) if n * length <= self.view / 2) / 2
        pixels = length / self.view * self.side
        right, bottom = self.side - self.text_height, self.header + self.side
        line = max(2, self.side // 340)
        ends = [(right - pixels, bottom), (right, bottom)]
        self.pygame.draw.line(self.surface, INK, *ends, line)
        label = self.font.render(f"{length:g} m", True, INK)
        where = (right - pixels / 2 - label.get_width() / 2, bottom - 1.15 * self.text_height)
        self.surface.blit(label, where)

    def _text(self, text: str, left: float, middle: float) -> None:
        label = self.font.render(text, True, INK)
        self.surface.blit(label, (left, middle - label.get_height() / 2))
