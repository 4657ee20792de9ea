"""The demo archive: laid out and stored like LandCoverNet, and the same every time."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from lcnkit.demo import DemoOptions, write_archive
from lcnkit.errors import ConfigError, OutputError

SMALL = DemoOptions(chips=3, acquisitions=4, size=32)
SOURCE_FILES = {"B02.tif", "B03.tif", "B04.tif", "B08.tif", "CLD.tif", "SCL.tif", "stac.json"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small archive, read only."""
    folder = tmp_path_factory.mktemp("demo") / "archive"
    write_archive(SMALL, folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Every file's checksum by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def item_files(folder: Path, kind: str) -> list[Path]:
    """Item files of the collection whose name ends in ``kind``."""
    return sorted(folder.glob(f"*_{kind}/*/stac.json"))


def test_pystac_reads_every_item(archive: Path) -> None:
    catalog = pystac.Catalog.from_file(str(archive / "catalog.json"))
    items = {item.id: item for item in catalog.get_items(recursive=True)}
    labels = [item for item in items.values() if "labels" in item.assets]
    assert len(labels) == SMALL.chips
    assert len(items) == SMALL.chips * (1 + SMALL.acquisitions)
    for label in labels:
        links = [link.resolve_stac_object(catalog) for link in label.links if link.rel == "source"]
        sources = [link.target for link in links if isinstance(link.target, pystac.Item)]
        assert len(sources) == SMALL.acquisitions
        assert all(label.id.removeprefix("ref_landcovernet_demo_v1_labels_") in source.id for source in sources)
    assert all(Path(asset.get_absolute_href() or "").is_file() for item in items.values() for asset in item.assets.values())
    assert {item.collection_id for item in items.values()} == {child.id for child in catalog.get_children()}


def test_layout_and_metadata_are_those_of_landcovernet(archive: Path) -> None:
    home = archive / "ref_landcovernet_demo_v1_source_sentinel_2" / "ref_landcovernet_demo_v1_source_sentinel_2_28QDE_00_20181231"
    assert {path.name for path in home.iterdir()} == SOURCE_FILES
    labels = archive / "ref_landcovernet_demo_v1_labels"
    label = json.loads((labels / "ref_landcovernet_demo_v1_labels_33PWQ_00" / "stac.json").read_text())
    assert label["properties"]["datetime"] == "2018-07-01T00:00:00Z"
    assert label["assets"]["labels"]["file:values"][1] == {"value": [1], "summary": "Water"}
    assert not any(key.startswith("proj:") for key in label["properties"])
    collection = json.loads((labels / "collection.json").read_text())
    assert collection["extent"]["temporal"]["interval"] == [["2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z"]]


def test_rasters_are_stored_like_the_published_ones(archive: Path) -> None:
    expected = {"CLD": ("uint8", 255), "SCL": ("uint8", 0)}
    for path in item_files(archive, "sentinel_2"):
        for raster in path.parent.glob("*.tif"):
            with rasterio.open(raster) as source:
                profile = source.profile
            assert (profile["dtype"], profile["nodata"]) == expected.get(raster.stem, ("uint16", 0))
            assert (profile["count"], profile["tiled"], profile.get("compress")) == (1, False, None)
            # Uncompressed: nothing but a short header beside the pixels.
            assert raster.stat().st_size - 32 * 32 * np.dtype(profile["dtype"]).itemsize < 600


def test_label_raster(archive: Path) -> None:
    for path in item_files(archive, "labels"):
        with rasterio.open(path.parent / "labels.tif") as label:
            assert (label.count, set(label.dtypes), label.nodatavals) == (2, {"uint16"}, (0, 0))
            assert label.colormap(1)[1] == (0, 0, 255, 255)
            classes, score = label.read()
        assert classes.max() <= 7
        assert set(np.unique(score[classes > 0])) <= set(range(33, 101))
        assert not score[classes == 0].any()


def test_imagery_lies_on_the_grid_of_its_label(archive: Path) -> None:
    for path in item_files(archive, "labels"):
        chip = path.parent.name.removeprefix("ref_landcovernet_demo_v1_labels_")
        with rasterio.open(path.parent / "labels.tif") as label:
            grid = (label.crs, label.transform, label.shape)
            assert label.crs.to_epsg() == {"28QDE": 32628, "33PWQ": 32633}[chip[:5]]
            assert label.lnglat() == pytest.approx(np.reshape(json.loads(path.read_text())["bbox"], (2, 2)).mean(axis=0))
        for raster in archive.glob(f"*_sentinel_2/*_{chip}_*/*.tif"):
            with rasterio.open(raster) as source:
                assert (source.crs, source.transform, source.shape) == grid


def test_chips_of_a_tile_touch(archive: Path) -> None:
    homes = [archive.joinpath("ref_landcovernet_demo_v1_labels", f"ref_landcovernet_demo_v1_labels_28QDE_0{n}") for n in (0, 1)]
    bounds = [rasterio.open(home / "labels.tif").bounds for home in homes]
    assert bounds[0].right == bounds[1].left
    assert bounds[0].top == bounds[1].top


def test_cloud_cover_is_the_rounded_mean_of_the_mask(archive: Path) -> None:
    for path in item_files(archive, "sentinel_2"):
        with rasterio.open(path.parent / "CLD.tif") as mask:
            mean = mask.read(1).mean()
        assert json.loads(path.read_text())["properties"]["eo:cloud_cover"] == round(mean)


def test_one_chip_in_eight_has_no_cloud_metadata(tmp_path: Path) -> None:
    write_archive(DemoOptions(chips=8, acquisitions=1, size=8), tmp_path / "new")
    items = [json.loads(path.read_text()) for path in item_files(tmp_path / "new", "sentinel_2")]
    without = [item for item in items if "eo:cloud_cover" not in item["properties"]]
    assert [item["id"].split("sentinel_2_")[1][:8] for item in without] == ["33PWQ_02"]


def test_scene_classes_agree_with_the_cloud_mask(archive: Path) -> None:
    for path in item_files(archive, "sentinel_2"):
        clouds, scene = (rasterio.open(path.parent / f"{key}.tif").read(1) for key in ("CLD", "SCL"))
        assert set(np.unique(scene)) <= {3, 4, 5, 6, 8, 9}
        assert (clouds[np.isin(scene, (8, 9))] >= 50).all()
        assert not np.isin(scene[clouds == 0], (8, 9)).any()


def test_the_same_options_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    write_archive(SMALL, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(archive)


def test_a_chip_does_not_depend_on_the_number_of_chips(archive: Path, tmp_path: Path) -> None:
    write_archive(DemoOptions(chips=1, acquisitions=4, size=32), tmp_path / "one")
    whole = digests(archive)
    rasters = {path: digest for path, digest in digests(tmp_path / "one").items() if path.endswith(".tif")}
    assert rasters.items() <= whole.items()


def test_the_ground_goes_on_across_touching_chips(tmp_path: Path) -> None:
    write_archive(DemoOptions(chips=3, acquisitions=8, size=48), tmp_path / "new")
    clear = [sorted((tmp_path / "new").glob(f"*_sentinel_2/*_28QDE_0{place}_20181231/B04.tif"))[0] for place in (0, 1)]
    west, east = (rasterio.open(path).read(1).astype(int) for path in clear)
    across = np.abs(west[:, -1] - east[:, 0]).mean()
    inside = np.abs(np.diff(west, axis=1)).mean()
    assert across < 3 * inside + 50


def test_dates_are_irregular_multiples_of_five_days() -> None:
    from lcnkit.demo.layout import TILES, dates

    for tile in TILES:
        moments = dates(tile, DemoOptions())
        gaps = {(later - earlier).days for earlier, later in pairwise(moments)}
        assert len(moments) == 24
        assert len(gaps) > 1
        assert all(gap > 0 and gap % 5 == 0 for gap in gaps)
    assert len({*dates(TILES[0], DemoOptions(acquisitions=73))}) == 73
    assert dates(TILES[0], DemoOptions(acquisitions=1))[0].strftime("%Y%m%d") == "20181231"


def test_chips_have_places_of_their_own() -> None:
    from lcnkit.demo.layout import chips

    every = chips(DemoOptions(chips=401))
    assert len({(chip.tile.name, chip.row, chip.col) for chip in every}) == len({chip.name for chip in every}) == 401


def test_deflate_holds_the_same_pixels(archive: Path, tmp_path: Path) -> None:
    write_archive(DemoOptions(chips=1, acquisitions=4, size=32, compress="deflate"), tmp_path / "small")
    for raster in (tmp_path / "small").glob("*_sentinel_2/*/*.tif"):
        with rasterio.open(raster) as small, rasterio.open(archive / raster.relative_to(tmp_path / "small")) as plain:
            assert small.profile["compress"] == "deflate"
            assert np.array_equal(small.read(), plain.read())


@pytest.mark.parametrize("wrong", [{"chips": 0}, {"size": 7}, {"size": 2000}, {"acquisitions": 74}, {"seed": -1}, {"chips": 2.5}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=.*whole number"):
        DemoOptions(**wrong)


def test_unknown_compression_is_refused() -> None:
    with pytest.raises(ConfigError, match="'none' or 'deflate'"):
        DemoOptions(compress="zip")  # type: ignore[arg-type]


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="new folder"):
        write_archive(SMALL, tmp_path)
