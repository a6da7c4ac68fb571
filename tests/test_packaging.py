"""What is built from the project holds what it should, and works without the rest of it."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
IMPORTED = """
from pathlib import Path
import agents, fbx_env
for package in (agents, fbx_env):
    assert Path(package.__file__).is_relative_to(Path.cwd()), package
print(fbx_env.__version__)
"""
SMALL = ["--n-batches", "2", "--batch-size", "2", "--hidden-size", "2"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel that was built from an sdist, which is also there."""
    project = tmp_path_factory.mktemp("build") / "project"
    shutil.copytree(ROOT, project, ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "build", "--no-isolation", str(project)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return project / "dist"


def sources(folder, *patterns):
    """Files of the project below a folder, relative to its root."""
    found = [path for pattern in patterns for path in (ROOT / folder).rglob(pattern)]
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_has_both_packages_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    kept = "*.py", "py.typed"
    assert files == sources("fbx_env", *kept) | sources("agents", *kept)
    assert {"fbx_env/py.typed", "agents/py.typed", "agents/learners/bptt.py"} <= files


def test_the_sdist_has_what_its_tests_need(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "pyproject.toml"} <= files
    assert sources("examples", "*.py", "*.ipynb", "*.png", "*.gif") <= files
    assert sources("tests", "*.py", "*.npz", "*.txt") <= files
    assert not [name for name in files if name.endswith(".pyc")]


def test_the_metadata_names_what_is_needed(built):
    (wheel,) = built.glob("*.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == project["version"]
    required = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert len(required) == len(project["dependencies"])
    assert "motor control" in metadata["Keywords"].split(",")
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert "Train a controller" in metadata.get_payload()


def test_the_changelog_has_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_the_wheel_works_where_only_it_is(built, tmp_path):
    """With the dependencies that are installed; ``fresh_environments.py`` installs its own."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    version = wheel.name.split("-")[1]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments):
        command = [sys.executable, *arguments]
        result = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert run("-c", IMPORTED).strip() == version
    run("-m", "agents", "train", *SMALL, "--out", "run")
    assert "times the optimum" in run("-m", "agents", "evaluate", "run")
