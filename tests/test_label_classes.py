"""Labels: the classes of a chip, and what they are called."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lcnkit.errors import BadLabel, ConfigError
from lcnkit.label_classes import class_names, classes_of, names_shown, read_classes
from lcnkit.model import Grid, Item
from lcnkit.settings import LabelOptions
from lcnkit.testing.archives import write_raster

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (2, 3))
CLASSES = np.array([[0, 1, 2], [3, 1, 0]], dtype="uint16")
CONSENSUS = np.array([[100, 33, 50], [81, 49, 0]], dtype="uint16")


@pytest.fixture
def chip(tmp_path: Path, chip_on: Any) -> Any:
    """A chip with a label of two bands."""
    path = write_raster(tmp_path / "labels.tif", np.stack([CLASSES, CONSENSUS]), GRID)
    return replace(chip_on(GRID), label_href=str(path))


def test_classes_are_those_of_band_1(chip: Any) -> None:
    classes = read_classes(chip, LabelOptions())
    assert classes.tolist() == CLASSES.tolist()
    assert classes.dtype == "int64"
    assert classes.flags.writeable


def test_another_band(chip: Any) -> None:
    assert read_classes(chip, LabelOptions(band=2)).tolist() == CONSENSUS.tolist()


def test_pixels_under_the_consensus_are_ignored(chip: Any) -> None:
    """50 is enough for 50."""
    assert read_classes(chip, LabelOptions(min_consensus=50)).tolist() == [[0, 255, 2], [3, 255, 255]]
    assert read_classes(chip, LabelOptions(min_consensus=0)).tolist() == CLASSES.tolist()


def test_consensus_and_classes_may_be_the_same_band(chip: Any) -> None:
    assert read_classes(chip, LabelOptions(band=2, consensus_band=2, min_consensus=50)).tolist() == [[100, 255, 50], [81, 255, 255]]


def test_classes_can_be_ignored(chip: Any) -> None:
    assert read_classes(chip, LabelOptions(ignore=(0, 3), ignore_index=-100)).tolist() == [[-100, 1, 2], [-100, 1, -100]]


def test_remap_swaps(chip: Any) -> None:
    """New numbers go by the stored class, whatever the order in which they are named."""
    assert read_classes(chip, LabelOptions(remap={1: 2, 2: 1})).tolist() == [[0, 2, 1], [3, 2, 0]]
    assert read_classes(chip, LabelOptions(remap={2: 1, 1: 2})).tolist() == [[0, 2, 1], [3, 2, 0]]
    assert read_classes(chip, LabelOptions(remap={0: 1, 1: 2, 2: 3, 3: 0})).tolist() == [[1, 2, 3], [0, 2, 1]]


def test_ignore_means_stored_classes_and_wins(chip: Any) -> None:
    assert read_classes(chip, LabelOptions(ignore=(1,), remap={1: 7, 0: 1})).tolist() == [[1, 255, 2], [3, 255, 1]]


def test_classes_outside_the_stored_dtype_do_no_harm() -> None:
    stored = np.array([[0, 255]], dtype="uint8")
    assert classes_of(stored, None, LabelOptions(ignore=(-1, 300), remap={-1: 5, 256: 6, 255: 1000})).tolist() == [[0, 1000]]


def test_float_labels() -> None:
    """What has no class (NaN) is ignored, and so is what has no score."""
    stored = np.array([[1.0, np.nan, 2.0]], dtype="float32")
    assert classes_of(stored, None, LabelOptions(remap={0: 9, 2: 3})).tolist() == [[1, 255, 3]]
    assert classes_of(stored, np.array([[np.nan, 100, 100]]), LabelOptions(min_consensus=0)).tolist() == [[255, 255, 2]]


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f8"])
def test_nodata_of_float_labels_is_ignored(dtype: str) -> None:
    stored = np.array([[-9999, 0, 2.0]], dtype=dtype)
    assert classes_of(stored, None, LabelOptions(remap={-9999: 3, 0: 9}), nodata=-9999).tolist() == [[255, 9, 2]]
    assert classes_of(stored, None, LabelOptions(), nodata=None).tolist() == [[-9999, 0, 2]]


def test_nodata_of_whole_numbers_is_a_class() -> None:
    """LandCoverNet's is 0, "No Data", and `label.ignore` says whether it is trained."""
    assert classes_of(np.array([[0, 1]], "uint16"), None, LabelOptions(), nodata=0).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("values", "dtype", "said"),
    [
        ([1.9, 1, 2], "float32", "holds 1.9 in 1 of 3 pixels"),
        ([0.1, np.nan, 0.2], "float64", "holds 0.1 in 2 of 3 pixels"),
        ([np.inf, 1, 2], "float32", "holds inf in 1"),
        ([1, 2, -1e20], "float64", "holds -1e+20 in 1"),
        ([2.0**63, 1, 2], "float32", "holds 9.223372e+18 in 1"),
        ([2**63, 0, 2**64 - 1], "uint64", "holds 9223372036854775808 in 2 of 3 pixels"),
        ([2**63, 0, 1], ">u8", "holds 9223372036854775808 in 1"),
    ],
)
def test_what_is_no_class_is_named(values: list[float], dtype: str, said: str) -> None:
    with pytest.raises(BadLabel) as error:
        classes_of(np.array([values], dtype), None, LabelOptions(), name="Chip C: labels.tif")
    assert str(error.value).startswith(f"Chip C: labels.tif {said}")


def test_what_is_ignored_need_not_be_a_class() -> None:
    """By name, as the value of no data, or for want of consensus."""
    consensus = np.array([[0, 100]])
    assert classes_of(np.array([[2**64 - 1, 3]], "uint64"), None, LabelOptions(ignore=(2**64 - 1,))).tolist() == [[255, 3]]
    assert classes_of(np.array([[2**64 - 1, 3]], "uint64"), consensus, LabelOptions(min_consensus=50)).tolist() == [[255, 3]]
    assert classes_of(np.array([[0.5, 3]]), consensus, LabelOptions(min_consensus=50)).tolist() == [[255, 3]]
    assert classes_of(np.array([[-1e300, 3]]), None, LabelOptions(), nodata=-1e300).tolist() == [[255, 3]]


@given(stored=arrays(st.sampled_from(["f4", "f8", "u8", "i8", "u2"]), (1, 3)))
def test_classes_are_the_values_or_an_error(stored: Any) -> None:
    """Nothing is cut, and nothing wraps round."""
    wanted = [255 if value != value else value for value in stored[0].tolist()]
    if all(isfinite(value) and value == int(value) and -(2**63) <= value < 2**63 for value in wanted):
        assert classes_of(stored, None, LabelOptions()).tolist() == [wanted]
    else:
        with pytest.raises(BadLabel, match="a class must be a whole number that int64 holds"):
            classes_of(stored, None, LabelOptions())


@pytest.mark.parametrize("compress", [None, "lzw"], ids=["plain", "gdal"])
def test_float_labels_of_a_file(compress: str | None, tmp_path: Path, chip_on: Any) -> None:
    stored = np.array([[1, -9999, 2], [np.nan, 0, 3]], "float32")
    chip = replace(chip_on(GRID), label_href=str(write_raster(tmp_path / "labels.tif", stored, GRID, nodata=-9999, compress=compress)))
    assert read_classes(chip, LabelOptions()).tolist() == [[1, 255, 2], [255, 0, 3]]
    assert read_classes(chip, LabelOptions(remap={0: 7, 1: 0}, ignore=(3,))).tolist() == [[0, 255, 2], [255, 7, 255]]
    write_raster(tmp_path / "labels.tif", stored + 0.5, GRID, nodata=-9999, compress=compress)
    with pytest.raises(BadLabel, match=r"Chip C: .*labels\.tif holds 1\.5 in 5 of 6 pixels; .* label\.band"):
        read_classes(chip, LabelOptions())


@given(
    stored=st.lists(st.integers(0, 7), min_size=1, max_size=12),
    scores=st.one_of(st.none(), st.lists(st.integers(0, 100), min_size=12, max_size=12)),
    min_consensus=st.integers(0, 100),
    ignore=st.lists(st.integers(-1, 8), max_size=4),
    remap=st.dictionaries(st.integers(-1, 8), st.integers(0, 300), max_size=8),
    ignore_index=st.sampled_from([255, -1, 0, -100]),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
)
def test_every_pixel_for_itself(
    stored: list[int],
    scores: list[int] | None,
    min_consensus: int,
    ignore: list[int],
    remap: dict[int, int],
    ignore_index: int,
    dtype: str,
) -> None:
    def oracle(value: int, score: int | None) -> int:
        if value in ignore or (score is not None and score < min_consensus):
            return ignore_index
        return remap.get(value, value)

    options = LabelOptions(min_consensus=min_consensus, ignore=tuple(ignore), remap=remap, ignore_index=ignore_index)
    raster = np.array([stored], dtype=dtype)
    before = raster.copy()
    consensus = None if scores is None else np.array([scores[: len(stored)]], dtype="uint16")
    classes = classes_of(raster, consensus, options)
    wanted = [oracle(value, None if scores is None else scores[position]) for position, value in enumerate(stored)]
    assert classes.tolist() == [wanted]
    assert classes.dtype == "int64"
    np.testing.assert_array_equal(raster, before)


def test_a_band_that_does_not_exist(chip: Any) -> None:
    with pytest.raises(BadLabel, match=r"Chip C: .*labels\.tif has 2 bands, no band 3\. Choose with label\.band"):
        read_classes(chip, LabelOptions(band=3))


def test_consensus_of_a_raster_that_has_none(tmp_path: Path, chip_on: Any) -> None:
    path = write_raster(tmp_path / "labels.tif", CLASSES, GRID)
    chip = replace(chip_on(GRID), label_href=str(path))
    assert read_classes(chip, LabelOptions()).tolist() == CLASSES.tolist()
    with pytest.raises(BadLabel, match=r"has 1 band, no band 2\..*label\.min_consensus=null needs none"):
        read_classes(chip, LabelOptions(min_consensus=50))


@pytest.mark.parametrize("content", [b"", b"no raster", None], ids=["empty", "garbage", "missing"])
def test_a_label_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path, chip_on: Any) -> None:
    path = tmp_path / "labels.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadLabel, match=r"Chip C: cannot read the label raster .*labels\.tif"):
        read_classes(replace(chip_on(GRID), label_href=str(path)), LabelOptions())


def test_a_label_that_is_cut_short_is_named(chip: Any) -> None:
    path = Path(chip.label_href)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadLabel, match=r"Chip C: cannot read the label raster .*labels\.tif"):
        read_classes(chip, LabelOptions())


def test_a_label_on_another_grid_than_declared(chip: Any) -> None:
    a, b, c, d, e, f = GRID.transform
    with pytest.raises(BadLabel, match=r"the grid of .*labels\.tif is not the one its item declares"):
        read_classes(replace(chip, grid=Grid(GRID.crs, (a, b, c + 5, d, e, f), GRID.shape)), LabelOptions())


@pytest.mark.parametrize("options", [{"band": 0}, {"consensus_band": 0}, {"min_consensus": 101}, {"min_consensus": -1}])
def test_options_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"label\."):
        LabelOptions(**options)


def item(labels: dict[str, Any], **properties: Any) -> Item:
    return Item("/data/item.json", {"id": "labels", "properties": properties, "assets": {"labels": labels}})


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([{"value": [0], "summary": "No Data"}, {"value": [1], "summary": "Water"}], {0: "No Data", 1: "Water"}),
        ([{"values": [0], "summary": "No Data"}, {"values": [1, 2], "summary": "Water"}], {0: "No Data", 1: "Water", 2: "Water"}),
        ([{"value": 0, "summary": "No Data"}, {"values": 1, "summary": "Water"}], {0: "No Data", 1: "Water"}),
        ([{"value": ["3"], "summary": "Crops"}, {"values": [4]}], {3: "Crops", 4: "4"}),
        ([{"values": [], "value": [9], "summary": "stale"}, {"summary": "nothing"}], {}),
        ({"values": [1], "summary": "Water"}, {1: "Water"}),
        (
            [{"values": ["A", 1.5, None, [2], {}, 1e400, 3.0], "summary": "Crops"}, "Water", None, {"value": [1], "summary": "Water"}],
            {1: "Water", 3: "Crops"},
        ),
        ("Water", {}),
        (3, {}),
    ],
    ids=["value", "values", "no list", "text", "empty", "object", "no classes", "a text", "a number"],
)
def test_class_names_from_file_values(entries: Any, names: dict[int, str]) -> None:
    assert class_names(item({"href": "a", "file:values": entries}), "labels") == names


def test_class_names_from_label_classes() -> None:
    classes = [{"name": None, "classes": ["No Data", "Water", "Crops"]}, {"classes": ["of", "another", "field"]}]
    assert class_names(item({"href": "a"}, **{"label:classes": classes}), "labels") == {0: "No Data", 1: "Water", 2: "Crops"}
    assert class_names(item({"href": "a"}, **{"label:classes": [{"classes": [0, "Water"]}]}), "labels") == {1: "Water"}
    assert class_names(item({"href": "a"}, **{"label:classes": [{"classes": [0, 1]}]}), "labels") == {}
    assert class_names(item({"href": "a"}, **{"label:classes": classes[0]}), "labels") == {0: "No Data", 1: "Water", 2: "Crops"}
    odd = ["Water", {"classes": "Water"}, {"classes": {"1": "Water"}}, {"classes": ["Crops"]}]
    assert class_names(item({"href": "a"}, **{"label:classes": odd}), "labels") == {0: "Crops"}


KEYS = st.sampled_from(["file:values", "value", "values", "summary", "classes"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(values=JSON, classes=JSON, fields=JSON)
def test_no_metadata_end_in_an_error(values: Any, classes: Any, fields: Any) -> None:
    for asset in ({"href": "a", "file:values": values}, fields):
        names = class_names(item(asset, **{"label:classes": classes}), "labels")
        assert all(type(number) is int and type(name) is str for number, name in names.items())


def test_no_class_names_are_no_error() -> None:
    assert class_names(item({"href": "a", "file:values": None}, **{"label:classes": None}), "labels") == {}
    assert class_names(item({"href": "a"}), "other") == {}


def test_file_values_come_before_label_classes() -> None:
    both = item({"href": "a", "file:values": [{"value": [1], "summary": "Water"}]}, **{"label:classes": [{"classes": ["a", "b"]}]})
    assert class_names(both, "labels") == {1: "Water"}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {0: "No Data", 1: "Water", 2: "Woody"}),
        ({"remap": {1: 2, 2: 1}}, {0: "No Data", 2: "Water", 1: "Woody"}),
        ({"remap": {1: 2}}, {0: "No Data", 2: "Water, Woody"}),
        ({"ignore": (0,)}, {0: "No Data", 1: "Water", 2: "Woody"}),
        ({"ignore": (0,), "remap": {0: 5, 1: 0}}, {0: "Water", 2: "Woody"}),
    ],
    ids=["as stored", "swapped", "one", "ignored", "a number that is free"],
)
def test_names_follow_the_classes(options: dict[str, Any], names: dict[int, str]) -> None:
    shown = names_shown({0: "No Data", 1: "Water", 2: "Woody"}, LabelOptions(**options))
    assert list(shown.items()) == list(names.items())
