"""Reaches in motion."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fbx_env import checks
from fbx_env.figures import layout, records
from fbx_env.figures.records import Reaches
from fbx_env.parts.plants.visible_plant import Outline, VisiblePlant
from fbx_env.plot import style
from fbx_env.plot.body import REGION, new_links, outlines_of
from fbx_env.plot.reaches import arrows, draw_ends, draw_moving_targets
from fbx_env.rollout import Trajectory


def animate_reaches(
    trajectory: Trajectory,
    path: str | os.PathLike[str] | None = None,
    *,
    plant: VisiblePlant | None = None,
    playback: float = 1.0,
    frames_per_second: int = 20,
) -> tuple[Figure, FuncAnimation]:
    """Animate reaches on the plane, and save them as a GIF if there is a path.

    A target that moves is a cross, and arrows are loads. The last frame stays for a second. No
    program but Python's own packages is needed.

    Args:
        trajectory: one trial or many that last equally long, with any leading axes.
        path: of the GIF, whose name ends in ``.gif``; it appears only once it is complete.
        plant: whose states they are, ``params.plant``, to show its links; only the effector if
            not given.
        playback: how fast to play, as a multiple of real time.
        frames_per_second: of the animation, at most 50, which is what viewers of GIFs can show.

    Returns:
        Figure and animation; keep the animation for as long as it shall play.

    Raises:
        TypeError: if ``trajectory`` is not a ``Trajectory``, a number not a number, or the plant
            shows nothing.
        ValueError: if there are no trials or trials of different durations, a number is out of
            range, or the path does not end in ``.gif``.
        FileNotFoundError: if the path is in a folder that does not exist.

    Example:
        >>> figure, animation = animate_reaches(trajectory, "reaches.gif")
    """
    reaches = records.simultaneous_reaches(trajectory)
    playback = float(checks.real("playback", playback, above=0))
    rate = checks.whole("frames_per_second", frames_per_second, at_least=1, at_most=50)
    if path is not None and Path(path).suffix != ".gif":
        raise ValueError(f"path must end in .gif, got {os.fspath(path)!r}")
    if path is not None and not Path(path).parent.is_dir():
        raise FileNotFoundError(f"path must be in a folder that exists, got {os.fspath(path)!r}")

    outlines = None if plant is None else outlines_of(trajectory, plant, reaches)
    figure, (ax,) = style.new_axes(1, 1, (3.6, 3.6))
    _draw_scene(ax, reaches, outlines)
    # The layout of the first frame holds for all: it need not be found again for each.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    animation = _animation(ax, reaches, outlines, playback, rate)
    if path is not None:
        _save(animation, Path(path), rate)
    return figure, animation


def _draw_scene(ax: Axes, reaches: Reaches, outlines: Outline | None) -> None:
    """Draw what does not move."""
    draw_ends(ax, reaches)
    draw_moving_targets(ax, reaches)
    style.tidy(ax, xlabel="x [m]", ylabel="y [m]", title="0.0 s")
    places = reaches.places
    if outlines is not None:
        ax.fill(*outlines.region[0, 0].T, color=REGION, zorder=0)
        places = np.concatenate([places, outlines.links.reshape(-1, 2)])
    low, high = layout.square_around(places)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")


def _animation(
    ax: Axes, reaches: Reaches, outlines: Outline | None, playback: float, rate: int
) -> FuncAnimation:
    """Links, trails, heads and moving targets, at ``rate`` frames per second."""
    time = reaches.time[0]
    links = [] if outlines is None else new_links(ax, reaches)
    trails = [
        ax.plot([], [], color=color, lw=1.3, alpha=layout.opacity(len(reaches)))[0]
        for color in reaches.colors
    ]
    heads = [ax.plot([], [], "o", color=color, ms=6, zorder=4)[0] for color in reaches.colors]
    (targets,) = ax.plot([], [], "+", color="black", ms=8, zorder=5)
    target = reaches.target_at_states[reaches.has_moving_target]
    loads = arrows(ax, reaches, np.array([0]))
    last = reaches.load.shape[1] - 1

    def draw(step: int) -> list[Artist]:
        for trail, head, pos in zip(trails, heads, reaches.pos, strict=True):
            trail.set_data(*pos[: step + 1].T)
            head.set_data(*pos[step : step + 1].T)
        for line, points in zip(links, [] if outlines is None else outlines.links, strict=True):
            line.set_data(*points[step].T)
        targets.set_data(*target[:, step].T)
        loads.set_offsets(reaches.pos[:, step])
        loads.set_UVC(*reaches.load[:, min(step, last)].T)
        ax.set_title(f"{time[step]:.1f} s")
        return [*links, *trails, *heads, targets, loads, ax.title]

    n_frames = max(2, round(float(time[-1] - time[0]) / playback * rate) + 1)
    steps = np.rint(np.linspace(0, len(time) - 1, n_frames)).astype(int).tolist()
    frames = steps + rate * steps[-1:]
    return FuncAnimation(style.figure_of(ax), draw, frames=frames, interval=1000 / rate)


def _save(animation: FuncAnimation, path: Path, rate: int) -> None:
    """Write a GIF beside its final place, then move it there in one step."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".animation-") as folder:
        unfinished = Path(folder) / "unfinished.gif"
        animation.save(unfinished, writer=PillowWriter(fps=rate), dpi=100)
        unfinished.replace(path)
