"""The walls of the house: imports go one way, without circles; functions and files are short."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATHS = sorted(path for package in ("fbx_env", "agents") for path in (ROOT / package).rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in PATHS}
NAMES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PATHS
}


def imports(tree: ast.AST) -> Iterator[str]:
    """The full names of what is imported when a module is, but for what only types need."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from (each for other in node.orelse for each in imports(other))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node)


def module_of(name: str) -> str | None:
    """The module of ours that a full name is, or is in."""
    while name and name not in NAMES:
        name = name.rpartition(".")[0]
    return name or None


@pytest.mark.parametrize("library", ["agents", "torch", "optax", "stable_baselines3"])
def test_the_environment_needs_no_learner(library):
    """Not even within functions."""
    found = {
        str(path.relative_to(ROOT))
        for path, tree in TREES.items()
        if path.is_relative_to(ROOT / "fbx_env")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imports(ast.Module([node], []))
        if name.partition(".")[0] == library
    }
    assert found == set()


def test_imports_have_no_circles():
    """Packages themselves aside, which gather the public names of their modules."""
    graph = {}
    for name, path in NAMES.items():
        if path.name != "__init__.py":
            needed = {module_of(each) for each in imports(TREES[path])} - {None, name}
            graph[name] = {each for each in needed if NAMES[each].name != "__init__.py"}
    order = list(TopologicalSorter(graph).static_order())
    assert len(order) == len(graph)


@pytest.mark.parametrize(
    ("who", "learner"),
    [
        ("agents.evaluation", "agents.bptt"),
        ("agents.evaluation", "agents.sb3"),
        ("agents.objective", "agents.bptt"),
        ("agents.bptt", "agents.sb3"),
        ("agents.sb3", "agents.bptt"),
    ],
)
def test_no_learner_is_imported_by_evaluation_or_by_another(who, learner):
    found = {
        name
        for name, path in NAMES.items()
        if f"{name}.".startswith(f"{who}.")
        for imported in imports(TREES[path])
        if f"{imported}.".startswith(f"{learner}.")
    }
    assert found == set()


def without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_functions_have_fewer_than_60_lines_and_files_at_most_400():
    functions = {
        f"{path.relative_to(ROOT)}: {node.name}": without_docstring(node)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name for name, lines in functions.items() if lines >= 60} == set()
    files = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in PATHS}
    assert {name for name, lines in files.items() if lines > 400} == set()
