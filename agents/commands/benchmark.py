"""The command ``python -m agents benchmark``."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import jax
import tyro

from agents.bptt import Computers
from agents.commands import options
from agents.reports import benchmark, benchmark_environments
from agents.reports.benchmark import Curve, Row, Work
from agents.reports.benchmark_figures import draw_growth
from agents.reports.figures import save_figure
from agents.reports.tables import as_markdown
from agents.storage.files import locked, write_whole
from agents.storage.runs import versions, write_json
from fbx_env import checks

Part = Literal[
    "quality",
    "training",
    "bodies",
    "environments",
    "gymnasium",
    "sb3",
    "import",
    "memory",
    "growth",
]
QUICK: tuple[Part, ...] = ("training", "bodies", "gymnasium")
WHOLE: tuple[Part, ...] = get_args(Part)
QUICK_REPEATS, WHOLE_REPEATS = 3, 7


@dataclass(frozen=True)
class Benchmark:
    """Measure how fast training and environments are on this machine, beside others.

    Every figure is a median of turns, taken in one process beside what it is compared with. A part
    that cannot be measured is reported, with exit status 2, and what the others gave is kept.
    """

    out: Path = Path("runs/benchmark")
    """Folder of the results; those of an earlier benchmark in it are replaced."""
    all: bool = False
    """Make all measurements, which takes some minutes."""
    parts: tuple[Part, ...] | None = None
    """Measurements to make: seconds to a given quality, updates, reaches of every body,
    environments in gymnax and in Gymnasium, Stable-Baselines3 (which needs the extra sb3), import,
    memory of long trials, and how the time of an update grows. If not given: training, bodies and
    gymnasium, or all of them with --all."""
    repeats: int | None = None
    """Turns of which the median is taken; if not given, 3, or 7 with --all."""
    devices: int | None = None
    """Devices that share out an update; if not given, all that share 250 trials evenly. On a CPU
    these are cores."""

    def run(self) -> None:
        """Measure, and write table, figures and JSON."""
        repeats = WHOLE_REPEATS if self.all else QUICK_REPEATS
        if self.repeats is not None:
            repeats = checks.whole("repeats", self.repeats, at_least=1)
        if self.all and self.parts is not None:
            raise ValueError("parts must not be given with all")
        parts = self.parts or (WHOLE if self.all else QUICK)
        n_devices = self._count_devices()
        shared = Computers(devices=n_devices).start()
        measure = {
            "quality": benchmark.training_to_quality,
            "training": lambda: benchmark.training_speed(shared, repeats),
            "bodies": lambda: benchmark_environments.bodies_speed(repeats),
            "environments": lambda: benchmark_environments.environment_speed(repeats),
            "gymnasium": lambda: benchmark_environments.gymnasium_speed(repeats),
            "sb3": lambda: benchmark_environments.sb3_speed(repeats),
            "import": lambda: benchmark_environments.import_seconds(repeats),
            "memory": benchmark.peak_memory,
        }
        self.out.mkdir(parents=True, exist_ok=True)
        with locked(self.out):
            started = time.perf_counter()
            rows, curves = [], []
            not_measured: dict[str, str] = {}
            # What is measured from cold comes first, whatever order the parts are given in.
            for part in sorted(set(parts), key=[*measure, "growth"].index):
                print(f"Measuring: {part}.", flush=True)
                try:
                    if part == "growth":
                        curves = list(benchmark.growth(shared, repeats))
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
        text = as_markdown([cells(row) for row in rows])
        write_whole(self.out / "benchmark.md", f"{machine}\n\n{text}\n")
        write_json(
            self.out / "benchmark.json",
            {
                "date": time.strftime("%Y-%m-%d"),
                "machine": machine,
                "rows": [row._asdict() for row in rows],
                "growth": [curve._asdict() for curve in curves],
                "not_measured": not_measured,
                "wall_clock_seconds": seconds,
                "versions": versions(),
            },
        )
        if curves:
            save_figure(draw_growth(curves), self.out / "growth.png", dpi=110)
        print(f"\n{machine}\n\n{text}\n\nThe benchmark is in {self.out}.")


def parse(words: Sequence[str], prog: str) -> Benchmark:
    """Read the options."""
    return tyro.cli(Benchmark, args=list(words), prog=prog, config=options.CONFIG)


def cells(row: Row) -> dict[str, str]:
    """Return a line of the table, as texts by column."""
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
    figure = f"{row.value:.3g} {row.unit}"
    return {"what": row.what, "figure": figure, "ratio": ratio, "of what": row.beside}
