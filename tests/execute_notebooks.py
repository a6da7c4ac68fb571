"""Execute the notebooks of the examples, and store what they show in them.

python tests/execute_notebooks.py             # all: some minutes on two cores
python tests/execute_notebooks.py muscle_arm  # one
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in a folder; what they show is then in the notebook.

    Progress bars are left out: they are widgets, which only a running kernel can draw.
    """
    client = NotebookClient(
        notebook,
        timeout=900,
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
    )
    client.execute()
    for cell in code_cells(notebook):
        cell.outputs = [each for each in cell.outputs if WIDGET not in each.get("data", {})]


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that are executed."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def main() -> None:
    """Execute and store."""
    names = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
    parser = argparse.ArgumentParser(description="Execute the notebooks of the examples.")
    parser.add_argument("name", nargs="?", choices=names, help="of one; all if not given")
    name = parser.parse_args().name
    for each in names if name is None else [name]:
        path = EXAMPLES / f"{each}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        nbformat.write(notebook, path)
        seconds, size = time.perf_counter() - begun, path.stat().st_size
        print(f"{each}: {seconds:.0f} s, {size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
