"""Runs on archives of a few pixels, whose values can be checked by eye."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from lcnkit import Run
from lcnkit.backend.serial import Serial
from lcnkit.catalog.static import Static
from lcnkit.exporter.pickle import Pickle
from lcnkit.pipeline import Report
from lcnkit.reader.auto import Auto
from lcnkit.settings import Dataset, Source
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.archives import TinyArchive
from lcnkit.transform.raw import Raw

CHIPS = ("A", "B", "C")
#: Month, cloud cover and B04 of each acquisition; of two periods the first has two, and its second is the clearer one.
ACQUISITIONS = ((2, 30.0, 1000), (4, 5.0, 1400), (9, 60.0, 1800))
COLUMNS = np.arange(16).reshape(4, 4)


def item_folder(archive: TinyArchive, chip: str, month: int) -> Path:
    (folder,) = archive.root.glob(f"*source*/*_{chip}_2018{month:02d}10")
    return folder


def make_run(archive: TinyArchive | Path, output: Path, **keys: Any) -> Run:
    root = archive.root if isinstance(archive, TinyArchive) else archive
    source = {name: keys.pop(name) for name in ("strategy", "transforms", "bands", "catalog", "reader") if name in keys}
    parts = {"catalog": Static(), "strategy": SeasonMinCC(), "reader": Auto(), "transforms": (Raw(),), "bands": ("B04",), **source}
    keys = {"n_periods": 2, "backend": Serial(), "exporter": Pickle(), **keys}
    return Run(dataset=Dataset(root=str(root)), sources=(Source(**parts),), output_dir=str(output), **keys)


def items_of(report: Report) -> dict[str, Any]:
    """Image by chip, as anybody would load them: with pickle."""
    return {image.attrs["chip_id"]: image for image, _ in pickle.loads((report.output / "items.pkl").read_bytes())}


def failures_of(report: Report) -> list[dict[str, str]]:
    with (report.output / "failures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without and not str(path.relative_to(folder)).startswith(".hydra")
    }
