"""Runs whose disk is full: what is written is kept, and a later run goes on."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lcnkit.cli import main
from lcnkit.output import STATE
from lcnkit.terminal import console
from lcnkit.testing.archives import TinyArchive


@pytest.fixture(autouse=True)
def _fresh_console():
    """The console remembers whether standard error is a terminal."""
    console.cache_clear()


# A run whose process may write files up to so many bytes: writing more fails like a full disk does.
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from lcnkit.cli import main
sys.exit(main())
"""


class TestFullDisk:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        archive = TinyArchive(tmp_path / "archive", size=64)
        for number in range(6):
            archive.chip(f"C{number}", classes=number % 3)
            for month in (2, 5, 8):
                archive.item(f"C{number}", f"2018-{month:02d}-01", cloud=month, B04=1000 * number + np.arange(64 * 64).reshape(64, 64))
        return archive.write()

    def overrides(self, root: Path, output: Path) -> list[str]:
        return ["dataset=landcovernet", f"dataset.root={root}", "n_periods=3", "bands=[B04]", "backend=serial", f"output_dir={output}"]

    def limited(self, root: Path, output: Path, limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", LIMITED, str(limit), *self.overrides(root, output)], capture_output=True, text=True, check=False)

    def finished(self, folder: Path) -> dict[str, bytes]:
        found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        return {name: data for name, data in found.items() if not name.startswith((".hydra", "lcnkit.log"))}

    @pytest.mark.parametrize(
        ("limit", "fitting"),
        [pytest.param(60_000, 0, id="no sample fits", marks=pytest.mark.slow), pytest.param(200_000, 2, id="some samples fit")],
    )
    def test_the_message_says_what_and_where_and_a_later_run_goes_on(self, root, tmp_path, limit, fitting, capsys):
        """A sample has some 82 kB: 3 frames of 64 x 64 float32 and the label, int64."""
        output = tmp_path / "out"
        full = self.limited(root, output, limit)
        assert full.returncode in (1, 3)
        (line,) = [line for line in full.stderr.splitlines() if line.startswith("lcnkit:")]
        assert f"The disk is full: cannot write the samples in {output}" in line
        assert "same output_dir to go on" in line
        assert "Traceback" not in full.stderr
        assert not (output / "items.pkl").exists()
        assert not (output / "manifest.json").exists()
        journal = output / STATE / "journal.jsonl"
        done = [json.loads(line)["chip_id"] for line in journal.read_text().splitlines()] if journal.exists() else []
        assert len(done) == fitting

        assert main(self.overrides(root, output)) == 0
        assert (f"{fitting} of 6 chips are there already" in capsys.readouterr().err) == bool(fitting)
        assert not (output / STATE).exists()
        assert main(self.overrides(root, tmp_path / "undisturbed")) == 0
        assert self.finished(output) == self.finished(tmp_path / "undisturbed")
        assert len(pickle.loads((output / "items.pkl").read_bytes())) == 6

    def test_full_before_the_plan_is_written(self, root, tmp_path):
        full = self.limited(root, tmp_path / "out", 400)
        assert full.returncode == 1
        assert [line[:28] for line in full.stderr.splitlines() if line.startswith("lcnkit:")] == ["lcnkit: The disk is full: ca"]
        assert "Traceback" not in full.stderr
        assert main(self.overrides(root, tmp_path / "out")) == 0
