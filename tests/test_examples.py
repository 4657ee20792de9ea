"""The scripts of examples/ run on a real data set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive

REPOSITORY = Path(__file__).parent.parent


def test_contact_sheet(tmp_path, make_run) -> None:
    archive = TinyArchive(tmp_path / "archive", size=16)
    for number in range(2):
        archive.chip(f"C{number}", classes=number + 1)
        ramp = np.arange(16 * 16).reshape(16, 16) * 10
        archive.item(f"C{number}", "2018-02-01", B04=ramp + 100, B03=ramp.T + 100, B02=500)
    run = make_run(archive.write(), bands=("B04", "B03", "B02"), n_periods=2, output_dir=str(tmp_path / "out"))
    output = prepare(run).output
    sheet = tmp_path / "sheet.png"
    script = REPOSITORY / "examples" / "contact_sheet.py"
    subprocess.run([sys.executable, str(script), str(output), str(sheet), "--chips", "2"], check=True)
    from matplotlib import image

    picture = image.imread(sheet)[..., :3]
    assert picture.shape[0] > 200
    assert picture.std() > 0.05, "the sheet is blank"
