"""A plugin package for the faults: the reader ``hungry``, which eats memory for one chip as long as it is told to."""

from __future__ import annotations

from pathlib import Path

MODULE = '''
import os, time
from dataclasses import dataclass

from lcnkit.hookspecs import hookimpl
from lcnkit.reader.auto import Auto


@dataclass(frozen=True, kw_only=True)
class Hungry(Auto):
    """Read as `auto` does; the chip that LCNKIT_HUNGRY names needs all memory there is."""

    def read(self, chip, items, bands):
        pieces = []
        while chip.id == os.environ.get("LCNKIT_HUNGRY"):
            pieces.append(bytearray(os.urandom(1 << 20) * 16))
            time.sleep(0.01)
        return super().read(chip, items, bands)


@hookimpl
def lcnkit_reader():
    return {"hungry": Hungry}
'''


def install(folder: Path) -> Path:
    """Lay the package out in a folder for PYTHONPATH, as an installer would."""
    about = folder / "lcnkit_hungry-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "lcnkit_hungry.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lcnkit-hungry\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lcnkit]\nhungry = lcnkit_hungry\n")
    return folder
