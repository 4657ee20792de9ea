"""The contracts themselves: a plugin with one fault fails the test that is there for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lcnkit.catalog.static import Static
from lcnkit.contracts import Outcome
from lcnkit.exporter.npz import Npz
from lcnkit.labels import read_labels
from lcnkit.reader.rasterio import Rasterio
from lcnkit.settings import Dataset
from lcnkit.testing import catalog, exporter, sources, transform
from lcnkit.testing.backend import BackendContract
from lcnkit.testing.catalog import CatalogContract
from lcnkit.testing.exporter import ExporterContract
from lcnkit.testing.reader import ReaderContract
from lcnkit.testing.strategy import StrategyContract, mixed_candidates
from lcnkit.testing.transform import TransformContract
from lcnkit.transform.raw import Raw


@dataclass(frozen=True, kw_only=True)
class LatestClear:
    """The shortest strategy of the guide: it fills `selected`, and nothing else."""

    max_cloud: float = 20.0

    def select(self, candidates: Any) -> Any:
        clear = candidates[candidates["cloud_cover"] <= self.max_cloud]
        in_time = clear.sort_values(["datetime", "item_id"])
        latest = in_time.groupby(["chip_id", "period"]).tail(1)
        return candidates.assign(selected=candidates.index.isin(latest.index))


class TestTheShortestStrategy(StrategyContract):
    @pytest.fixture
    def strategy(self) -> LatestClear:
        return LatestClear()


def test_a_strategy_is_tried_on_what_a_run_would_give_it() -> None:
    assert (mixed_candidates()["period"] >= 1).all()


class FirstRows(LatestClear):
    """Depends on the order of the table."""

    def select(self, candidates: Any) -> Any:
        return candidates.assign(selected=~candidates["chip_id"].duplicated())


class InPlace(LatestClear):
    def select(self, candidates: Any) -> Any:
        candidates["selected"] = True
        return candidates.assign(rank=1)


class DropsRows(LatestClear):
    def select(self, candidates: Any) -> Any:
        answer = super().select(candidates)
        return answer[answer["selected"]]


class PutsOutside(LatestClear):
    def select(self, candidates: Any) -> Any:
        return candidates.assign(selected=True, period=0)


@pytest.mark.parametrize(
    ("faulty", "test"),
    [
        (FirstRows(), "test_does_not_depend_on_the_order_of_the_rows"),
        (InPlace(), "test_leaves_its_input_alone"),
        (DropsRows(), "test_keeps_all_rows_their_index_and_their_columns"),
        (PutsOutside(), "test_selects_nothing_that_it_puts_outside_the_interval"),
    ],
)
def test_faulty_strategies_are_found_out(faulty: LatestClear, test: str) -> None:
    arguments = {"seed": 1} if "order" in test else {}
    with pytest.raises(AssertionError):
        getattr(StrategyContract(), test)(faulty, **arguments)


@dataclass(frozen=True, kw_only=True)
class Faulty(Rasterio):
    """Reads well, and then spoils the image."""

    spoil: Callable[[Any], Any] = lambda image: image

    def read(self, chip: Any, items: Any, bands: Any) -> Any:
        return self.spoil(super().read(chip, items, bands))


def replaced(**changes: Callable[[Any], Any]) -> Faulty:
    return Faulty(spoil=lambda image: dataclasses.replace(image, **{name: change(getattr(image, name)) for name, change in changes.items()}))


@pytest.mark.parametrize(
    ("faulty", "test", "arguments"),
    [
        (replaced(values=lambda values: values[..., ::-1, :]), "test_gives_the_file_as_it_is_where_it_lies_on_the_grid", {}),
        (replaced(values=lambda values: np.roll(values, 1, axis=-1)), "test_cuts_the_chip_out_of_a_scene", {"columns": -3, "rows": -2}),
        (replaced(values=lambda values: values[::-1]), "test_time_follows_the_items", {"days": (1, 1, 1)}),
        (replaced(values=lambda values: values[:, ::-1]), "test_bands_come_in_the_order_asked_for", {"bands": ["B04", "B02"]}),
        (replaced(values=lambda values: values.astype("float32")), "test_keeps_the_dtype", {"dtype": "uint16"}),
        (replaced(valid=np.ones_like), "test_nodata_is_not_valid", {"dtype": "uint16", "nodata": 0}),
        (
            Faulty(spoil=lambda image: dataclasses.replace(image, valid=image.values != 0)),
            "test_zeros_are_data_where_the_file_declares_no_nodata",
            {},
        ),
        (replaced(scale=lambda _: None), "test_passes_on_scale_and_offset", {}),
    ],
)
def test_faulty_readers_are_found_out(faulty: Faulty, test: str, arguments: dict[str, Any], tmp_path: Any) -> None:
    with pytest.raises(AssertionError):
        getattr(ReaderContract(), test)(faulty, tmp_path, **arguments)


class Doubles(Raw):
    def apply(self, image: Any) -> Any:
        np.multiply(image.values, 2, out=image.values, casting="unsafe")
        return image


class FillsIn(Raw):
    def apply(self, image: Any) -> Any:
        return dataclasses.replace(image, valid=np.ones_like(image.valid))


class LosesFrames(Raw):
    def apply(self, image: Any) -> Any:
        return dataclasses.replace(image, values=image.values[1:], valid=image.valid[1:])


@pytest.mark.parametrize(
    ("faulty", "test"),
    [
        (Doubles(), "test_leaves_its_input_alone"),
        (FillsIn(), "test_makes_up_no_data"),
        (FillsIn(), "test_marks_what_is_not_valid"),
        (LosesFrames(), "test_gives_an_image_of_the_same_time_and_grid"),
    ],
)
def test_faulty_transforms_are_found_out(faulty: Raw, test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(TransformContract(), test)(faulty, transform.stored_image(TransformContract.bands, "float32"))


class ReadsAll:
    """A pool that takes all tasks first, numbers them wrongly and lets an error through."""

    def map(self, function: Any, tasks: Any) -> Any:
        for index, task in enumerate(list(tasks)):
            yield Outcome(index + 1, function(task))


@pytest.mark.parametrize(
    ("test", "error"),
    [
        ("test_every_task_has_one_outcome_with_its_index", AssertionError),
        ("test_takes_tasks_as_workers_become_free", AssertionError),
        ("test_starts_nothing_more_when_closed_early", AssertionError),
        ("test_an_error_is_the_outcome_of_its_task_only", ValueError),
    ],
)
def test_faulty_backends_are_found_out(test: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(BackendContract(), test)(ReadsAll())


class Careless(Npz):
    """Writes under the final name at once, and a sample's number of attempts with it."""

    def write(self, sample: Any, folder: Any) -> Any:
        with (folder / f"{sample.chip_id}.log").open("ab") as file:
            file.write(b"x" * 100)
        return super().write(sample, folder)

    def finish(self, receipts: Any, folder: Any) -> Any:
        return sorted(receipts, key=lambda receipt: receipt.chip_id)


@pytest.mark.parametrize("test", ["test_finishes_in_the_order_of_the_receipts", "test_leaves_no_part_of_a_file"])
def test_faulty_exporters_are_found_out(test: str, tmp_path: Any) -> None:
    with pytest.raises(AssertionError):
        getattr(ExporterContract(), test)(Careless(), tmp_path)


class Mixed(Static):
    """Answers with items in an order of its own, and takes touching neighbours for candidates."""

    def search(self, chips: Any, query: Any) -> Any:
        found = super().search(chips, query)
        return pd.concat([found, found.assign(chip_id=chips[0].id, coverage=0.0)]).drop_duplicates(["chip_id", "item_id"])

    def items(self, hrefs: Any) -> Any:
        return super().items(sorted(hrefs))


@pytest.mark.parametrize("test", ["test_a_neighbour_that_touches_is_no_candidate", "test_finds_the_items_again"])
def test_faulty_catalogs_are_found_out(test: str, tmp_path: Any) -> None:
    root = str(catalog.write_archive(tmp_path))
    chips = read_labels(root, Dataset(), None, catalog.YEAR).chips
    with pytest.raises(AssertionError):
        getattr(CatalogContract(), test)(Mixed(root=root), chips)


def test_the_helpers_find_one_wrong_pixel() -> None:
    one, other = exporter.sample(), exporter.sample()
    other.images["sentinel_2"].values[0, 0, 0, 0] = 0
    with pytest.raises(AssertionError):
        exporter.assert_same_sample(other, one)
    assert len(np.unique(sources.pattern())) == 48
