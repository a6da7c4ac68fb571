"""What the README and the examples show works as it is written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agents.__main__ import parse

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_there_are_examples():
    assert "tutorial.py" in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path):
    command = [sys.executable, str(ROOT / "examples" / name), "--quick"]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_readme_code_runs_from_top_to_bottom(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for block in blocks:
        exec(block, namespace)
    assert namespace["smooth"].loss.names == ("position", "final_velocity", "command", "jerk")
    assert (tmp_path / "runs" / "mine" / "model.npz").exists()


def test_readme_commands_can_be_read():
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"python -m agents ((?:train|evaluate)\b[^`\n]*)", text)
    commands = [shlex.split(line) for line in lines if "--help" not in line]
    assert len(commands) == 3
    for command in commands:
        assert type(parse(command)).__name__.lower() == command[0]
