"""Real data: a year over Slovenia in LandCoverNet's layout, and labels of LandCoverNet as they were published."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lcnkit.cli import main
from lcnkit.model import Grid
from lcnkit.terminal import console
from lcnkit.testing.archives import write_raster

N_PERIODS = 5


@pytest.fixture(scope="module")
def root(shared_data) -> Path:
    if not (shared_data / "slovenia2017").is_dir():
        pytest.skip("../shared/data/slovenia2017 is not there")
    return shared_data / "slovenia2017"


def run(root: Path, output: Path, *more: str) -> int:
    """As the README has it, with the bands that these data have."""
    console.cache_clear()
    return main(["+strategy=season_min_cc", f"n_periods={N_PERIODS}", "dataset=landcovernet", f"dataset.root={root}", f"output_dir={output}", *more])


@pytest.fixture(scope="module")
def made(root, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("slovenia") / "out"
    assert run(root, output, "bands=[NDVI]", "transform=raw", "backend=serial") == 0
    return output


@pytest.fixture(scope="module")
def pairs(made):
    return pickle.loads((made / "items.pkl").read_bytes())


@pytest.fixture(scope="module")
def acquisitions(root) -> dict[str, list[tuple[datetime, float, str, Path]]]:
    """Time, cloud cover, item id and folder of every acquisition by chip, read with nothing but json and rasterio."""
    found: dict[str, list[tuple[datetime, float, str, Path]]] = {}
    for path in sorted(root.glob("*_source_sentinel_2/*/stac.json")):
        item = json.loads(path.read_text())
        cloud = item["properties"].get("eo:cloud_cover")
        if cloud is None:
            with rasterio.open(path.parent / "CLD.tif") as dataset:
                probability = dataset.read(1)
                cloud = probability[probability != dataset.nodata].astype(float).mean() if dataset.nodata is not None else probability.mean()
        chip = "_".join(item["id"].split("_")[-3:-1])
        when = datetime.fromisoformat(item["properties"]["datetime"])
        found.setdefault(chip, []).append((when, float(cloud), item["id"], path.parent))
    return found


def choices(acquisitions: list[tuple[datetime, float, str, Path]]) -> list[str]:
    """season_min_cc as the design says it, in whole seconds and fractions."""
    start = datetime.fromisoformat("2017-01-01T00:00:00+00:00")
    year = 365 * 24 * 3600
    chosen = []
    for period in range(N_PERIODS):
        begins, ends = Fraction(year * period, N_PERIODS), Fraction(year * (period + 1), N_PERIODS)
        inside = [row for row in acquisitions if begins <= round((row[0] - start).total_seconds()) < ends]
        least = min(row[1] for row in inside)
        equals = [row for row in inside if row[1] == least]
        date = sorted(row[0] for row in equals)[len(equals) // 2]
        chosen.append(min(row[2] for row in equals if row[0] == date))
    return chosen


def test_nine_chips_of_five_periods(pairs):
    assert [image.attrs["chip_id"] for image, _ in pairs] == [f"33TVL_{number:02d}" for number in range(9)]
    for image, label in pairs:
        assert image.shape == (5, 1, 32, 32)
        assert image.dims == ("time", "band", "y", "x")
        assert label.shape == (32, 32)
        assert not image.missing.any()


def test_choices_are_those_of_the_rule_written_out(pairs, acquisitions):
    assert {len(rows) for rows in acquisitions.values()} == {36}
    for image, _ in pairs:
        assert image.item_id.values.tolist() == choices(acquisitions[image.attrs["chip_id"]])


def test_cloud_cover_comes_from_the_mask_where_the_metadata_have_none(made, acquisitions):
    import pandas as pd

    table = pd.read_parquet(made / "selection.parquet")
    assert len(table) == 9 * 36
    from_mask = set(table.loc[table["cloud_source"] == "mask", "chip_id"])
    assert from_mask == {"33TVL_03", "33TVL_07"}
    known = {row[2]: row[1] for rows in acquisitions.values() for row in rows}
    np.testing.assert_allclose(table["cloud_cover"], [known[item] for item in table["item_id"]], rtol=1e-12)


def test_pixels_are_those_of_the_files_bit_for_bit(pairs, acquisitions):
    for image, label in pairs:
        folders = {item_id: folder for _, _, item_id, folder in acquisitions[image.attrs["chip_id"]]}
        for time, item_id in enumerate(image.item_id.values):
            with rasterio.open(folders[item_id] / "NDVI.tif") as dataset:
                assert image.values[time, 0].tobytes() == dataset.read(1).tobytes()
                assert (image.x.values[0], image.y.values[0]) == dataset.xy(0, 0)
        with rasterio.open(
            next(iter(folders.values())).parents[1] / "ref_landcovernet_sl_v1_labels" / label.attrs["item_id"] / "labels.tif"
        ) as dataset:
            np.testing.assert_array_equal(label.values, dataset.read(1))


def test_serial_and_local_give_the_same_bytes(root, made, tmp_path):
    assert run(root, tmp_path / "local", "bands=[NDVI]", "transform=raw", "backend=local", "backend.workers=2", "backend.dashboard=null") == 0
    for name in ("items.pkl", "manifest.json", "selection.parquet"):
        assert (made / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_a_copy_elsewhere_gives_the_same_bytes(root, made, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    assert run(tmp_path / "copy", tmp_path / "out", "bands=[NDVI]", "transform=raw", "backend=serial") == 0
    for name in ("items.pkl", "selection.parquet"):
        assert (made / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_manifest_counts_every_label_pixel(made):
    manifest = json.loads((made / "manifest.json").read_text())
    pixels = {entry["value"]: entry["pixels"] for entry in manifest["classes"] if entry["pixels"]}
    assert pixels == {0: 155, 1: 10, 2: 6942, 3: 1601, 4: 350, 8: 158}
    assert sum(pixels.values()) == 9 * 32 * 32
    assert manifest["counts"] == {"chips": 9, "failed": 0, "dropped": 0, "missing_frames": 0, "empty_frames": 0}


class TestLandCoverNetAfrica:
    """The labels as they were published; their imagery is not there."""

    @pytest.fixture
    def labels(self, shared_data) -> Path:
        if not (shared_data / "landcovernet_af").is_dir():
            pytest.skip("../shared/data/landcovernet_af is not there")
        return shared_data / "landcovernet_af"

    def test_without_imagery(self, labels, tmp_path, capsys):
        assert run(labels, tmp_path / "out", "bands=[B04]", "backend=serial") == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lcnkit:")]
        assert "holds no source collection" in line
        assert "ref_landcovernet_af_v1_labels" in line
        assert "dataset.source=ID" in line

    def test_with_imagery_only_the_dangling_label_fails(self, labels, tmp_path):
        """A source collection of two acquisitions a chip, B04 alone, made up on the grids of the labels."""
        root = tmp_path / "archive"
        shutil.copytree(labels, root)
        (home,) = root.rglob("*_labels/collection.json")
        source = home.parent.with_name(home.parent.name.replace("labels", "source_sentinel_2"))
        chips = []
        for path in sorted(home.parent.glob("*/stac.json")):
            item = json.loads(path.read_text())
            chip = item["id"].removeprefix("ref_landcovernet_af_v1_labels_")
            chips.append(chip)
            with rasterio.open(path.parent / "labels.tif") as dataset:
                grid = Grid.from_dataset(dataset)
            for number, day in enumerate(("20180103", "20181231")):
                folder = source / f"ref_landcovernet_af_v1_source_sentinel_2_{chip}_{day}"
                write_raster(folder / "B04.tif", np.full(grid.shape, 100 * (number + 1), "uint16"), grid)
                document = {
                    "type": "Feature",
                    "id": folder.name,
                    "collection": source.name,
                    "geometry": item["geometry"],
                    "properties": {"datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T10:00:00Z", "eo:cloud_cover": 1},
                    "assets": {"B04": {"href": "B04.tif"}},
                    "links": [],
                }
                (folder / "stac.json").write_text(json.dumps(document))
        (source / "collection.json").write_text(json.dumps({"type": "Collection", "id": source.name, "links": []}))

        assert run(root, tmp_path / "out", "bands=[B04]", "n_periods=2", "transform=raw", "backend=serial") == 3
        pairs = pickle.loads((tmp_path / "out" / "items.pkl").read_bytes())
        assert len(pairs) == len(chips) == 17
        assert sorted(image.attrs["chip_id"] for image, _ in pairs) == sorted(chips)
        for image, label in pairs:
            assert image.shape == (2, 1, 256, 256)
            assert np.unique(image.values[0]).tolist() == [100]
            assert np.unique(image.values[1]).tolist() == [200], "31 December belongs to the year"
            assert set(np.unique(label.values)) <= set(range(8))
        with (tmp_path / "out" / "failures.csv").open(newline="") as file:
            (failure,) = csv.DictReader(file)
        assert failure["step"] == "label"
        assert "dangles" in failure["message"]
        assert failure["chip_id"] not in chips
