"""Two runs in one folder: the second refuses, and names the first."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lcnkit.output import STATE
from lcnkit.owner import OWNER, command_line, owner_text, write_owner
from lcnkit.testing.archives import TinyArchive

# The command line, with a strategy that waits until somebody says to go on.
WAITING = """
import pathlib, sys, time
from lcnkit.strategy.season_min_cc import SeasonMinCC
gate, select = pathlib.Path(sys.argv.pop(1)), SeasonMinCC.select
def wait(self, candidates):
    gate.with_suffix(".reached").touch()
    while not gate.exists():
        time.sleep(0.02)
    return select(self, candidates)
SeasonMinCC.select = wait
from lcnkit.cli import main
sys.exit(main())
"""


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    archive = TinyArchive(tmp_path / "archive", size=4)
    archive.chip("A")
    archive.item("A", "2018-03-01", 1, B04=7)
    archive.write()
    return ["dataset=landcovernet", f"dataset.root={archive.root}", "bands=[B04]", "n_periods=1", "backend=serial", f"output_dir={tmp_path / 'out'}"]


def start(tmp_path: Path, overrides: list[str]) -> subprocess.Popen[str]:
    (tmp_path / "waiting.py").write_text(WAITING)
    command = [sys.executable, str(tmp_path / "waiting.py"), str(tmp_path / "gate"), *overrides]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "gate.reached").exists():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return first


def second(overrides: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lcnkit", *overrides], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_two_processes(tmp_path: Path, overrides: list[str]):
    first = start(tmp_path, overrides)
    try:
        refused = second(overrides)
        assert refused.returncode == 1
        (line,) = [line for line in refused.stderr.splitlines() if line.startswith("lcnkit:")]
        assert re.fullmatch(
            rf"lcnkit: Another run is using {tmp_path / 'out'}: process {first.pid} of \S+ on {re.escape(socket.gethostname())}, "
            r"started 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC: python\S* \S+waiting\.py .*\. "
            r"Wait for it to end, or choose another folder with output_dir=PATH\.",
            line,
        ), line
    finally:
        (tmp_path / "gate").touch()
        _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert second(overrides).returncode == 0, "it is free again"
    assert not (tmp_path / "out" / STATE).exists()


@pytest.mark.slow
def test_a_killed_run_blocks_nobody(tmp_path: Path, overrides: list[str]):
    first = start(tmp_path, overrides)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert (tmp_path / "out" / STATE / OWNER).exists()
    after = second(overrides)
    assert after.returncode == 0, after.stderr
    assert not (tmp_path / "out" / STATE).exists()


class TestText:
    def test_says_who(self, tmp_path: Path):
        write_owner(tmp_path)
        assert re.match(rf"process {os.getpid()} of \S+ on \S+, started 20\S+ \S+ UTC: python", owner_text(tmp_path))

    @pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff"])
    def test_one_that_has_not_said_yet_who_it_is(self, tmp_path: Path, content: bytes | None):
        if content is not None:
            (tmp_path / OWNER).write_bytes(content)
        assert owner_text(tmp_path) == "it has just begun"

    def test_is_plain_json(self, tmp_path: Path):
        write_owner(tmp_path)
        assert list(json.loads((tmp_path / OWNER).read_text())) == ["pid", "host", "user", "started", "command"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/usr/bin/python3", "-m", "lcnkit", "output_dir=a b"], "python3 -m lcnkit 'output_dir=a b'"),
        (["python", "catalog.secret=hush"], "python 'catalog.secret=***'"),
        (["python", "backend.auth_password=hush", "api_key=hush"], "python 'backend.auth_password=***' 'api_key=***'"),
        (["python", "catalog.secret=env:TOKEN"], "python catalog.secret=env:TOKEN"),
        (["python", "dataset.root=https://me:pw@host/x?sig=hush"], "python 'dataset.root=https://***@host/x?***"),
        (["python", "x" * 999], "python " + "x" * 293 + " ..."),
        (["python", "-c", "import lcnkit\nlcnkit.prepare(run)"], "python -c 'import lcnkit lcnkit.prepare(run)'"),
        ([], ""),
    ],
)
def test_a_command_line_without_secrets(arguments: list[str], text: str):
    assert command_line(arguments).startswith(text)
    assert "hush" not in command_line(arguments)
