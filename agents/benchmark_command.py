"""The command ``python -m agents benchmark``."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from agents import benchmark
from agents.benchmark import Curve, Row, Work
from agents.bptt.devices import Computers
from agents.storage.files import locked, replacing, write_whole
from agents.storage.runs import versions, write_json
from fbx_env import checks
from fbx_env.figures.colors import PALETTE
from fbx_env.plot import style

Part = Literal[
    "quality", "training", "environments", "gymnasium", "sb3", "import", "memory", "growth"
]


@dataclass(frozen=True)
class Benchmark:
    """Measure how fast training and environments are on this machine, beside others.

    Every figure is a median of turns, taken in one process beside what it is compared with. Writes
    benchmark.md, benchmark.json, and growth.png. All parts take about five minutes on two cores. A
    part that cannot be measured is told, with exit status 2, and what the others gave is kept.
    """

    out: Path = Path("runs/benchmark")
    """Folder of the results; those of an earlier benchmark in it are replaced."""
    parts: tuple[Part, ...] = (
        *("quality", "training", "environments", "gymnasium", "sb3"),
        *("import", "memory", "growth"),
    )
    """What to measure: seconds to a given quality, updates, environments in gymnax and in
    Gymnasium, Stable-Baselines3 (which needs the extra sb3), import, memory of long trials, and how
    the time of an update grows."""
    repeats: int = 7
    """Turns of which the median is taken."""
    devices: int | None = None
    """Devices that share out an update; if not given, all that share 250 trials evenly. On a CPU
    these are cores."""

    def run(self) -> None:
        """Do it."""
        checks.whole("repeats", self.repeats, at_least=1)
        n_devices = self._count_devices()
        shared = Computers(devices=n_devices).start()
        measure = {
            "quality": benchmark.training_to_quality,
            "training": lambda: benchmark.training_speed(shared, self.repeats),
            "environments": lambda: benchmark.environment_speed(self.repeats),
            "gymnasium": lambda: benchmark.gymnasium_speed(self.repeats),
            "sb3": lambda: benchmark.sb3_speed(self.repeats),
            "import": lambda: benchmark.import_seconds(self.repeats),
            "memory": benchmark.peak_memory,
        }
        self.out.mkdir(parents=True, exist_ok=True)
        with locked(self.out):
            started = time.perf_counter()
            rows, curves = [], []
            not_measured: dict[str, str] = {}
            # What is measured from cold comes first, whatever order the parts are given in.
            for part in sorted(set(self.parts), key=[*measure, "growth"].index):
                print(f"Measuring: {part}.", flush=True)
                try:
                    if part == "growth":
                        curves = list(benchmark.growth(shared, self.repeats))
                    else:
                        rows += measure[part]()
                except (ValueError, RuntimeError, MemoryError, OSError) as error:
                    # The minutes that all else has taken should not be lost.
                    not_measured[part] = str(error)
            self._write(
                rows,
                curves,
                not_measured,
                benchmark.device_words(shared),
                time.perf_counter() - started,
            )
        if not_measured:
            reasons = "; ".join(f"{part}: {reason}" for part, reason in not_measured.items())
            raise ValueError(f"not everything could be measured; {reasons}")

    def _count_devices(self) -> int:
        if self.devices is not None:
            n_devices = checks.whole("devices", self.devices, at_least=1)
            if Work().batch_size % n_devices:
                raise ValueError(
                    f"devices must share {Work().batch_size} trials evenly, got {n_devices}"
                )
            return n_devices
        available = os.cpu_count() or 1
        if jax.default_backend() != "cpu":
            available = jax.local_device_count()
        return max(n for n in range(1, available + 1) if Work().batch_size % n == 0)

    def _write(
        self,
        rows: Sequence[Row],
        curves: Sequence[Curve],
        not_measured: dict[str, str],
        machine: str,
        seconds: float,
    ) -> None:
        text = as_markdown(rows)
        write_whole(self.out / "benchmark.md", f"{machine}\n\n{text}\n")
        write_json(
            self.out / "benchmark.json",
            {
                "machine": machine,
                "rows": [row._asdict() for row in rows],
                "growth": [curve._asdict() for curve in curves],
                "not_measured": not_measured,
                "wall_clock_seconds": seconds,
                "versions": versions(),
            },
        )
        if curves:
            figure = draw_growth(curves)
            with replacing(self.out / "growth.png") as temporary:
                figure.savefig(temporary, dpi=110)
            plt.close(figure)
        print(f"\n{machine}\n\n{text}\n\nThe benchmark is in {self.out}.")


def as_markdown(rows: Sequence[Row]) -> str:
    """The figures as a table in Markdown, with columns that also line up in a terminal."""
    cells = [("what", "figure", "ratio", "of what")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        cells.append((row.what, f"{row.value:.3g} {row.unit}", ratio, row.beside))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    return "\n".join(
        [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]
    )


def draw_growth(curves: Sequence[Curve]) -> Figure:
    """What an update takes as each quantity grows, beside growth in proportion."""
    figure, axes = style.new_axes(
        2, len(curves), (2.5 * len(curves) + 0.6, 5.0), sharey="row", sharex="col"
    )
    upper, lower = np.split(axes, 2)
    for above, below, curve in zip(upper, lower, curves, strict=True):
        values = np.array(curve.values)
        power = -1.0 if curve.quantity == "devices" else 1.0
        for ax, taken in ((above, 1e3 * np.array(curve.seconds)), (below, curve.mebibytes)):
            in_proportion = taken[0] * (values / values[0]) ** power
            ax.plot(
                values, in_proportion, color=style.GUIDE, ls="--", lw=1.2, label="in proportion"
            )
            ax.plot(values, taken, "o-", color=PALETTE[0], label="measured")
            style.tidy(ax, xscale="log", yscale="log")
            ax.set_xticks(values, [f"{value:,}" for value in values])
            ax.xaxis.set_minor_locator(NullLocator())
        below.set_xlabel(curve.quantity.capitalize())
    upper[0].set_ylabel("Time of an update [ms]")
    lower[0].set_ylabel("Memory of each device [MiB]")
    style.legend_beside(upper[-1])
    return figure
