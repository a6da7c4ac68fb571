"""A frame: the picture of one trial at one time, drawn by pygame.

pygame is the optional extra ``render``. It is imported when something is drawn, and frames need no
display.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from jaxtyping import Float, UInt8

from fbx_env.parts.plants.plant import FORCE_IN_PLANE, Plant, control_bounds, named_units
from fbx_env.parts.plants.visible_plant import Outline

Frame = UInt8[np.ndarray, "_ _ 3"]
Color = tuple[int, int, int]

SIDE = 512
"""Width of the picture of one trial, in pixels."""

# The colour-blind safe palette of Okabe and Ito, on white.
INK, PALE, PAPER = (60, 60, 60), (232, 232, 232), (255, 255, 255)
GOAL, EFFECTOR, TRACE = (0, 158, 115), (0, 114, 178), (86, 180, 233)
CONTROL, LOAD = (213, 94, 0), (204, 121, 167)
BONE, REGION, RELAXED = (150, 150, 150), (244, 244, 244), (205, 205, 205)
FULL_LOAD = 10.0
"""The load whose arrow has full length, for a plant that is not commanded by forces [N]."""


@dataclass(frozen=True)
class Scene:
    """The contents of a frame.

    Attributes:
        title: of a window.
        workspace: lower left and upper right corner [m], or ``None`` for a task without one.
        trace: where the effector has been, its start first and where it is now last [m].
        target: where it should be now [m].
        plant: what is commanded.
        control: what acts on it; drawn as an arrow if it is a force in the plane, else as a bar for
            each number.
        load: the external force on the effector [N], or ``None`` in an experiment without.
        time: since the start [s].
        loss: of the trial so far.
        outline: of the plant, if it has one.
    """

    title: str
    workspace: Float[np.ndarray, "2 2"] | None
    trace: Float[np.ndarray, "states 2"]
    target: Float[np.ndarray, "2"]
    plant: Plant
    control: Float[np.ndarray, " controls"]
    load: Float[np.ndarray, "2"] | None
    time: float
    loss: float
    outline: Outline | None = None

    @property
    def is_force(self) -> bool:
        """Whether the command is a force in the plane."""
        return named_units(self.plant) == FORCE_IN_PLANE


def render_frame(scene: Scene, side: int = SIDE) -> Frame:
    """Draw one trial.

    The view is the workspace and a little more, and grows to keep the whole trace and the plant's
    links in sight. Muscles are the more orange, the more active they are. Below 300 pixels there is
    room for the loss alone.

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
        self.text_height = max(22, self.side // 24)
        self.header = 2 * self.text_height
        self.footer = 5 * self.text_height // 2 if self.has_words else 0
        self.height = self.header + self.side + self.footer
        self.height += -self.height % 4
        self.thin, self.bold = max(2, self.side // 340), max(3, self.side // 170)
        self.dot = max(7, self.side // 52)
        self.low, self.high = (np.asarray(bound) for bound in control_bounds(scene.plant))
        self.surface = pygame.Surface((self.side, self.height))
        self.surface.fill(PAPER)
        pygame.font.init()
        self.font = self._font(1.4)
        self._set_view()

    def _set_view(self) -> None:
        scene = self.scene
        points = [scene.trace, scene.target[None]]
        if scene.workspace is not None:
            points.append(scene.workspace)
        if scene.outline is not None and len(scene.outline.links):
            points += map(np.asarray, (scene.outline.links, *scene.outline.muscles))
        everything = np.concatenate(points)
        # An effector that was driven to infinity is shown where it was last seen.
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
        # What is drawn by place must not reach the words.
        self.surface.set_clip((0, self.header, self.side, self.side))
        if scene.outline is not None and len(scene.outline.region):
            pygame.draw.polygon(
                self.surface, REGION, self._points(np.asarray(scene.outline.region))
            )
        if scene.workspace is not None:
            (left, bottom), (right, top) = (self.at(corner) for corner in scene.workspace)
            box = pygame.Rect(left, top, right - left, bottom - top)
            pygame.draw.rect(self.surface, PALE, box)
            pygame.draw.rect(self.surface, INK, box, self.thin)

        trace = self._points(scene.trace)
        self._goal(self.at(scene.target))
        pygame.draw.circle(self.surface, INK, trace[0], self.dot, self.thin)
        if len(trace) > 1:
            pygame.draw.lines(self.surface, TRACE, False, trace, self.bold)
        self._plant(trace[-1])
        self.surface.set_clip(None)
        self._labels()

    def _plant(self, effector: tuple[float, float]) -> None:
        """The plant and the forces on it."""
        scene, full_load = self.scene, FULL_LOAD
        if scene.outline is not None:
            self._outline(scene.outline)
        self.pygame.draw.circle(self.surface, EFFECTOR, effector, self.dot)
        if scene.is_force:
            full_load = float(self.high.max())
            self._force(effector, scene.control, full_load, CONTROL)
        if scene.load is not None:
            self._force(effector, scene.load, full_load, LOAD)

    def _outline(self, outline: Outline) -> None:
        """Links between joints, and muscles over them."""
        links = self._points(np.asarray(outline.links))
        if links:
            self.pygame.draw.lines(self.surface, BONE, False, links, 3 * self.bold)
        for joint in links:
            self.pygame.draw.circle(self.surface, BONE, joint, self.dot)
            self.pygame.draw.circle(self.surface, PAPER, joint, self.dot // 2)
        for muscle, activation in zip(outline.muscles, outline.activation, strict=True):
            shade = _mixed(RELAXED, CONTROL, math.sqrt(max(float(activation), 0.0)))
            self.pygame.draw.lines(
                self.surface, shade, False, self._points(np.asarray(muscle)), 2 * self.bold
            )

    def _points(self, points: Float[np.ndarray, "n 2"]) -> list[tuple[float, float]]:
        return [self.at(point) for point in points if np.isfinite(point).all()]

    def _force(
        self,
        effector: tuple[float, float],
        force: Float[np.ndarray, "2"],
        full: float,
        color: Color,
    ) -> None:
        """An arrow from the rim of the effector, by the root of the force: weak ones show too."""
        x, y = force.tolist()
        size = math.hypot(x, y)
        length = 0.3 * self.side * math.sqrt(size / full)
        if not 2 <= length < math.inf:
            return
        way = (x / size, -y / size)
        tail = (effector[0] + self.dot * way[0], effector[1] + self.dot * way[1])
        length = min(max(length, 1.5 * self.dot), self._room(tail, way))
        self._arrow(tail, way, length, color)

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

    def _goal(self, at: tuple[float, float]) -> None:
        self.pygame.draw.circle(self.surface, GOAL, at, 2 * self.dot, self.bold)
        self.pygame.draw.circle(self.surface, GOAL, at, self.dot // 2)

    def _arrow(
        self, tail: tuple[float, float], way: tuple[float, float], length: float, color: Color
    ) -> None:
        x, y = way
        head = min(5.0 * self.bold, 0.7 * length)
        tip = (tail[0] + length * x, tail[1] + length * y)
        neck = (tip[0] - head * x, tip[1] - head * y)
        corners = [
            tip,
            (neck[0] - head / 2 * y, neck[1] + head / 2 * x),
            (neck[0] + head / 2 * y, neck[1] - head / 2 * x),
        ]
        self.pygame.draw.line(self.surface, color, tail, neck, self.bold)
        self.pygame.draw.polygon(self.surface, color, corners)

    def _bars(self, left: float) -> None:
        """A bar for each number of the command in the header, from 0 or its lowest value on."""
        width = (self.side - left - self.text_height // 2) / len(self.low)
        top, height = self.text_height // 4, self.header - self.text_height // 2
        columns = (self.low, self.high, self.scene.control)
        numbers = zip(*(column.tolist() for column in columns), strict=True)
        for index, (low, high, value) in enumerate(numbers):
            zero = min(max(0.0, low), high)
            ends = [_share(low, high, end) for end in (zero, value)]
            x = left + index * width
            box = (x, top, 0.8 * width, height)
            bar_top = top + (1 - max(ends)) * height
            bar = (x, bar_top, 0.8 * width, abs(ends[1] - ends[0]) * height)
            self.pygame.draw.rect(self.surface, PALE, box)
            self.pygame.draw.rect(self.surface, CONTROL, bar)

    def _labels(self) -> None:
        pad, scene = self.text_height // 2, self.scene
        middle, third = self.header // 2, self.side // 3
        if not scene.is_force:
            self._bars(pad + 2 * third if self.has_words else self.side / 2)
        if not self.has_words:
            name = "loss " if self.side >= 240 and scene.is_force else ""
            self._text(f"{name}{scene.loss:.3g}", pad, middle)
            return
        self._text(f"time {scene.time:.2f} s", pad, middle)
        self._text(f"loss {scene.loss:.4g}", pad + third, middle)
        if scene.is_force:
            force = math.hypot(*scene.control.tolist())
            self._text(f"force {force:.2f} N", pad + 2 * third, middle)
        self._legend(self.header + self.side + self.footer // 2)
        self._scale()

    def _legend(self, middle: float) -> None:
        dot, scene = self.dot, self.scene

        def arrow(color: Color) -> Callable[[float], None]:
            return lambda x: self._arrow((x - 2 * dot, middle), (1.0, 0.0), 4.0 * dot, color)

        entries: dict[str, Callable[[float], None]] = {
            "start": lambda x: self._circle(INK, (x, middle), self.thin),
            "goal": lambda x: self._goal((x, middle)),
            "effector": lambda x: self._circle(EFFECTOR, (x, middle), 0),
        }
        if scene.is_force:
            entries["force"] = arrow(CONTROL)
        if scene.load is not None:
            entries["load"] = arrow(LOAD)
        if scene.outline is not None and len(scene.outline.muscles):
            entries["muscle"] = lambda x: self._muscle_key((x, middle))
        # Five entries fit if they are small.
        font = self.font if len(entries) < 5 else self._font(1.1)
        widths = [6 * dot + font.size(name)[0] for name in entries]
        left, gap = self.text_height // 2, (self.side - sum(widths)) / len(widths)
        for (name, symbol), width in zip(entries.items(), widths, strict=True):
            symbol(left + 2 * dot)
            self._text(name, left + 5 * dot, middle, font)
            left += width + gap

    def _muscle_key(self, at: tuple[float, float]) -> None:
        """A muscle from relaxed on the left to fully active on the right."""
        n, width = 8, 4 * self.dot / 8
        for index in range(n):
            box = (
                at[0] - 2 * self.dot + index * width,
                at[1] - self.bold,
                width + 1,
                2 * self.bold,
            )
            shade = _mixed(RELAXED, CONTROL, math.sqrt(index / (n - 1)))
            self.pygame.draw.rect(self.surface, shade, box)

    def _circle(self, color: Color, at: tuple[float, float], width: int) -> None:
        self.pygame.draw.circle(self.surface, color, at, self.dot, width)

    def _scale(self) -> None:
        """A line of a round number of metres, in the lower right corner of the view."""
        length = 10.0 ** math.floor(math.log10(self.view / 2))
        length *= max(n for n in (1, 2, 5) if n * length <= self.view / 2) / 2
        pixels = length / self.view * self.side
        right, bottom = self.side - self.text_height, self.header + self.side
        ends = [(right - pixels, bottom), (right, bottom)]
        self.pygame.draw.line(self.surface, INK, *ends, self.thin)
        label = self.font.render(f"{length:g} m", True, INK)
        where = (right - pixels / 2 - label.get_width() / 2, bottom - 1.15 * self.text_height)
        self.surface.blit(label, where)

    def _font(self, size: float) -> Any:
        """The font, so many times as high as the usual text."""
        return self.pygame.font.Font(None, round(size * self.text_height))

    def _text(self, text: str, left: float, middle: float, font: Any = None) -> None:
        label = (font or self.font).render(text, True, INK)
        self.surface.blit(label, (left, middle - label.get_height() / 2))


def _mixed(one: Color, other: Color, share: float) -> Color:
    """A colour between two; ``share`` of the other one, from 0 to 1."""
    share = min(max(share, 0.0), 1.0)
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _share(low: float, high: float, value: float) -> float:
    """Where between its bounds a value is, from 0 to 1; infinite bounds are brought near."""
    if not math.isfinite(value):
        return 1.0 if value > 0 else 0.0
    if not math.isfinite(high - low):
        return 0.5 + 0.5 * value / (1 + abs(value))
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0
