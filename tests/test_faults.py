"""The faults of docs/reliability.md, each once: the script that makes the table is the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("faults", ["SIGKILL", "memory", "disk full", "source file,torn", "Ctrl-C,SIGTERM"])
def test_a_run_survives(faults: str, tmp_path: Path) -> None:
    """Once each, with the moments that the seed gives; the failure prints the command that repeats it."""
    command = [sys.executable, "-m", "benchmarks.faults", "--times", "1", "--chips", "16", "--only", faults]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}"
    assert "ok " in done.stdout
