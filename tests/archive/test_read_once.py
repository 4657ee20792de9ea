"""A collection with many links is read once, as long as its file stays as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lcnkit.archive import Archive, stac
from lcnkit.labels import read_labels
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive


@pytest.fixture(autouse=True)
def every_file_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac, "_WORTH_KEEPING", 0)


@pytest.fixture
def root(two: TinyArchive) -> Path:
    return two.root


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were read, also of files that are not there."""
    found: list[str] = []
    read = stac._read
    monkeypatch.setattr(stac, "_read", lambda store, path: (found.append(path), read(store, path))[1])
    return found


@pytest.fixture
def settle(root: Path) -> Callable[[], None]:
    def long_ago() -> None:
        for path in root.glob("*/collection.json"):
            os.utime(path, (1_600_000_000, 1_600_000_000 + sum(map(ord, path.read_text())) / 1e9))

    return long_ago


def chips(root: Path) -> list[str]:
    """What a run looks at: its labels, and the collection of its imagery."""
    assert Archive.open(str(root)).source().item_paths
    return [chip.id for chip in read_labels(str(root), Dataset(), None, None).chips]


def test_what_has_not_changed(root: Path, reads: list[str], settle: Callable[[], None]) -> None:
    settle()
    assert chips(root) == ["28QDE_00", "28QDE_01"]
    there = sorted(path for path in reads if path.endswith("collection.json") and os.path.exists(path))
    assert there == sorted(map(str, root.glob("*/collection.json")))


def test_what_has_changed(root: Path, settle: Callable[[], None]) -> None:
    settle()
    assert chips(root) == ["28QDE_00", "28QDE_01"]
    (path,) = root.glob("*labels/collection.json")
    document = json.loads(path.read_text())
    document["links"] = [link for link in document["links"] if "28QDE_01" not in link["href"]]
    path.write_text(json.dumps(document))
    assert chips(root) == ["28QDE_00"]
    settle()
    assert chips(root) == ["28QDE_00"]


def test_what_may_still_change(root: Path, reads: list[str]) -> None:
    """Within the same tick of the file system's clock."""
    Archive.open(str(root))
    once = len(reads)
    Archive.open(str(root))
    assert len(reads) == 2 * once
