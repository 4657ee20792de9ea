"""What a large collection says of itself is kept from run to run; its links are read when somebody wants them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from lcnkit.archive import Archive, Collection, stac
from lcnkit.cache_dir import CACHE_VARIABLE
from lcnkit.catalog.static import Static
from lcnkit.pipeline import plan_only
from lcnkit.testing.archives import TinyArchive


@pytest.fixture(autouse=True)
def every_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stac, "_WORTH_KEEPING", 0)
    monkeypatch.setattr(stac, "_WORTH_A_FILE", 0)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def archive(two: TinyArchive) -> TinyArchive:
    """Written long ago."""
    for path in two.root.glob("*/collection.json"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return two


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders whose collection.json was read."""
    found: list[str] = []
    read = stac._read

    def noted(store, path):
        if path.endswith("/collection.json") and os.path.exists(path):
            found.append(Path(path).parent.name)
        return read(store, path)

    monkeypatch.setattr(stac, "_read", noted)
    return found


def next_run(archive: TinyArchive) -> Collection:
    """The imagery, as another process finds it."""
    stac._settled.cache_clear()
    return Archive.open(str(archive.root)).source()


def test_it_is_read_once(archive: TinyArchive, read: list[str]) -> None:
    first = next_run(archive)
    assert sorted(read) == sorted([archive.labels.name, first.id])
    read.clear()
    second = next_run(archive)
    assert (second.id, second.document, len(second.hrefs), bool(second.hrefs)) == (first.id, first.document, 2, True)
    assert read == []
    assert second.item_paths == first.item_paths
    assert list(pickle.loads(pickle.dumps(second.hrefs))) == list(second.hrefs) == list(first.hrefs)
    assert (second.hrefs[0], second.hrefs[1:]) == (first.hrefs[0], first.hrefs[1:])
    assert set(read) == {first.id}


def test_a_run_with_a_warm_index_wants_no_links(archive: TinyArchive, read: list[str], make_run: Callable, tmp_path: Path) -> None:
    plans = []
    for number in range(2):
        stac._settled.cache_clear()
        read.clear()
        run = make_run(archive.root, catalog=Static(), output_dir=str(tmp_path / f"{number}"))
        plans.append((plan_only(run)[1] / "selection.parquet").read_bytes())
    assert read == [archive.labels.name], "the labels are looked up by their links"
    assert plans[0] == plans[1]


def test_a_file_that_has_changed_is_read_again(archive: TinyArchive, read: list[str]) -> None:
    next_run(archive)
    (path,) = archive.root.glob("*source*/collection.json")
    document = json.loads(path.read_text())
    document["links"] = document["links"][:1]
    document["title"] = "less"
    path.write_text(json.dumps(document))
    os.utime(path, (1_600_000_000, 1_600_000_000))  # not even its time tells
    found = next_run(archive)
    assert (found.document["title"], len(found.item_paths)) == ("less", 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"format": 1}'])
def test_what_is_kept_may_be_damaged(content: bytes, archive: TinyArchive, tmp_path: Path) -> None:
    first = next_run(archive)
    kept = list((tmp_path / "cache" / "collections").glob("*.json"))
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(content)
    second = next_run(archive)
    assert (second.document, second.item_paths) == (first.document, first.item_paths)


def test_a_cache_that_cannot_be_written(archive: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert len(next_run(archive).item_paths) == 2
