"""links: the contract, what dangles, and what the labels do not name."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from lcnkit.catalog.links import Links
from lcnkit.contracts import Query
from lcnkit.errors import DataError
from lcnkit.labels import read_labels
from lcnkit.model import Interval
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive
from lcnkit.testing.catalog import COLLECTION, CatalogContract, write_archive

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
TINY = "ref_landcovernet_xx_v1_source_sentinel_2"


def link(root: Path, chips: dict[str, tuple[str, ...]]) -> Path:
    """Let each label link to all items of some chips."""
    for label in root.glob("*_labels/*/stac.json"):
        document = json.loads(label.read_text())
        own = [chip for chip in chips if label.parent.name.endswith(f"_{chip}")]
        named = sorted(path for chip in own for other in chips[chip] for path in root.glob(f"*_source_*/*_{other}_*/stac.json"))
        document["links"] += [{"rel": "source", "href": f"../../{path.relative_to(root)}"} for path in named]
        label.write_text(json.dumps(document))
    return root


class TestLinks(CatalogContract):
    @pytest.fixture(scope="class")
    @classmethod
    def archive_root(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = write_archive(tmp_path_factory.mktemp("archive"))
        return link(root, {"west": ("west", "middle"), "middle": ("west", "middle", "east"), "east": ("east", "middle")})

    @pytest.fixture
    def catalog(self, archive_root: Path) -> Links:
        return Links(root=str(archive_root))


def searched(root: Path, collection: str = TINY):
    labels = read_labels(str(root), Dataset(), None, YEAR)
    return Links(root=str(root)).search(labels.chips, Query(collection, YEAR, 0.5, labels.all_ids))


def test_only_what_the_label_names_is_a_candidate(tiny: TinyArchive):
    link(tiny.root, {"A": ("A",), "B": (), "C": ("C",)})
    assert set(searched(tiny.root)["chip_id"]) == {"A", "C"}


def test_dangling_links_are_counted_and_left_out(tiny: TinyArchive, caplog):
    link(tiny.root, {name: (name,) for name in "ABC"})
    shutil.rmtree(next((tiny.root / TINY).glob("*_A_20180115*")))
    assert len(searched(tiny.root)) == 8
    assert "1 item of" in caplog.text
    assert "_A_20180115" in caplog.text


def test_items_of_other_collections_are_not_even_read(tiny: TinyArchive, caplog):
    radar = tiny.item("A", "2018-03-03", collection="source_sentinel_1", VV=1)
    tiny.write()
    link(tiny.root, {name: (name,) for name in "ABC"})
    (radar / "stac.json").write_text("broken")
    assert len(searched(tiny.root)) == 9
    assert not caplog.records


def test_labels_without_links_are_named(tiny: TinyArchive):
    with pytest.raises(DataError, match="catalog=static"):
        searched(tiny.root)


def test_a_collection_outside_the_archive(tiny: TinyArchive, tmp_path):
    """Only labels in the archive; their links lead elsewhere."""
    link(tiny.root, {name: (name,) for name in "ABC"})
    expected = searched(tiny.root)
    labels_only = tmp_path / "labels only"
    shutil.copytree(tiny.labels, labels_only / tiny.labels.name)
    for label in labels_only.glob("*/*/stac.json"):
        label.write_text(label.read_text().replace("../../ref_landcovernet_xx_v1_source", f"{tiny.root}/ref_landcovernet_xx_v1_source"))
    found = searched(labels_only)
    assert found["item_id"].tolist() == expected["item_id"].tolist()
    assert all(Path(item.asset("B04").href).exists() for item in Links(root=str(labels_only)).items(found["item_href"]))


def test_no_root():
    with pytest.raises(DataError, match=r"dataset\.root"):
        Links().find_collection(None)


def test_the_contract_names_our_collection():
    assert COLLECTION == TINY
