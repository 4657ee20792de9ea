"""What plugins answer against their contracts: it costs the chip, or ends the run in a sentence, and never passes for data."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lcnkit
from lcnkit.backend.serial import Serial
from lcnkit.catalog.static import Static
from lcnkit.contracts import Backend, Outcome, Pool
from lcnkit.errors import PluginError
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Image
from lcnkit.pipeline import Report, prepare
from lcnkit.reader.auto import Auto
from lcnkit.testing.archives import TinyArchive
from lcnkit.transform.raw import Raw

Run = Callable[..., Report]


@pytest.fixture
def go(tiny: TinyArchive, make_run: Any, tmp_path: Path) -> Run:
    """A run of three chips, with some plugins exchanged."""
    return lambda **keys: prepare(make_run(tiny.root, n_periods=2, retries=0, **keys))


def failures(report: Report) -> dict[str, tuple[str, str]]:
    with (report.output / "failures.csv").open(newline="") as file:
        return {row["chip_id"]: (row["step"], row["message"]) for row in csv.DictReader(file)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Items(Static):
    """A catalog that gives other items than it is asked for."""

    change: Callable[[list[Any]], Any] = list

    def items(self, hrefs: Any) -> Any:
        """What `change` makes of them, where several are asked for."""
        found = super().items(hrefs)
        return self.change(found) if len(found) > 1 else found


class TestCatalogs:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda items: items[:-1],
                "The catalog Items was asked for 2 items, and `items` gave 1: it must give one for each href, in their order.",
            ),
            (lambda items: [*items, items[0]], "was asked for 2 items, and `items` gave 3:"),
            (lambda items: items[::-1], "was asked for the item A_20180415, and `items` gave A_20181015 in its place:"),
            (lambda items: [items[0]] * len(items), "was asked for the item A_20181015, and `items` gave A_20180415 in its place:"),
            (lambda items: None, "The catalog Items must give a list of Item; `items` gave NoneType."),
            (lambda items: [item.document for item in items], "The catalog Items must give a list of Item; `items` gave list."),
        ],
        ids=["fewer", "more", "turned round", "the same", "nothing", "documents"],
    )
    def test_other_items_than_those_that_were_chosen(self, change: Any, said: str, go: Run) -> None:
        report = go(catalog=Items(change=change))
        assert (report.status, report.made) == (1, 0)
        found = failures(report)
        assert list(found) == ["A", "B", "C"]
        assert {step for step, _ in found.values()} == {"read"}
        assert said in found["A"][1].replace("ref_landcovernet_xx_v1_source_sentinel_2_", "")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda found: found.assign(item_id=found["item_id"].where(found.index != 1, "")),
                "`item_id` is empty in 1 of 9 rows, first in that of ",
            ),
            (lambda found: found.assign(item_id=found["item_id"].where(found.index > 1, None)), "`item_id` is empty in 2 of 9 rows"),
            (
                lambda found: found.assign(coverage=np.nan),
                "`coverage` must be the fraction of the chip that an item covers, 0 to 1; it is nan, nan, nan",
            ),
            (lambda found: found.assign(coverage=5.0), "0 to 1; it is 5.0, 5.0, 5.0 for "),
            (lambda found: found.assign(coverage=-0.5), "0 to 1; it is -0.5"),
            (lambda found: found.assign(coverage="half"), "0 to 1; it is 'half'"),
            (lambda found: None, "The catalog must answer a search with a DataFrame; it answered NoneType."),
            (lambda found: found.to_dict("records"), "The catalog must answer a search with a DataFrame; it answered list."),
        ],
        ids=["empty", "none", "NaN", "more", "less", "texts", "nothing", "dicts"],
    )
    def test_rows_that_cannot_be_meant(self, change: Any, said: str, go: Run) -> None:
        class Finds(Static):
            def search(self, chips: Any, query: Any) -> Any:
                return change(super().search(chips, query))

        with pytest.raises(PluginError) as caught:
            go(catalog=Finds())
        assert said in str(caught.value)

    def test_a_coverage_that_is_a_little_more_than_all(self, go: Run) -> None:
        class Finds(Static):
            def search(self, chips: Any, query: Any) -> Any:
                return super().search(chips, query).assign(coverage=1 + 1e-12)

        assert go(catalog=Finds()).made == 3


class TestReaders:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda image: None, "The reader Reads must return an Image; it returned NoneType."),
            (lambda image: image.values, "The reader Reads must return an Image; it returned ndarray."),
            (lambda image: dataclasses.replace(image, bands=("B03",)), "gave the bands B03; it must give B04, in that order."),
            (
                lambda image: dataclasses.replace(image, values=image.values.astype(object)),
                "gave values of type object; they must be integers or floats",
            ),
            (lambda image: dataclasses.replace(image, values=image.values.astype(complex)), "gave values of type complex128"),
            (lambda image: dataclasses.replace(image, values=image.values > 0), "gave values of type bool"),
            (lambda image: dataclasses.replace(image, valid=image.valid.astype("uint8")), "a mask of type uint8; it must be bool"),
            (lambda image: dataclasses.replace(image, nodata="none"), "gave the nodata value 'none'; it must be a number, or None."),
        ],
        ids=["nothing", "an array", "other bands", "objects", "complex", "bool", "a mask of numbers", "nodata"],
    )
    @pytest.mark.parametrize("exporter", [Pickle(), Npz()], ids=["pickle", "npz"])
    def test_an_image_that_breaks_the_contract(self, exporter: Any, change: Any, said: str, go: Run) -> None:
        class Reads(Auto):
            def read(self, chip: Any, items: Any, bands: Any) -> Image:
                image: Image = super().read(chip, items, bands)
                return change(image) if chip.id == "B" and bands == ("B04",) else image

        report = go(reader=Reads(), transforms=(Raw(),), exporter=exporter)
        assert (report.status, report.made) == (3, 2)
        step, message = failures(report)["B"]
        assert step == "read"
        assert said in message
        assert [sample.chip_id for sample in lcnkit.open_dataset(report.output)] == ["A", "C"]


class TestTransforms:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                lambda image: dataclasses.replace(
                    image, values=np.repeat(image.values, 2, axis=1), valid=np.repeat(image.valid, 2, axis=1), bands=("B04", "B04")
                ),
                "The transform Changes gave the bands B04, B04; each name may be there once.",
            ),
            (lambda image: dataclasses.replace(image, values=image.values.astype(str)), "The transform Changes gave values of type <U"),
            (lambda image: dataclasses.replace(image, nodata="none"), "The transform Changes gave the nodata value 'none'"),
        ],
        ids=["a band twice", "texts", "nodata"],
    )
    @pytest.mark.parametrize("exporter", [Pickle(), Npz()], ids=["pickle", "npz"])
    def test_an_image_that_breaks_the_contract(self, exporter: Any, change: Any, said: str, go: Run) -> None:
        class Changes(Raw):
            def apply(self, image: Image) -> Image:
                changed: Image = change(image)
                return changed

        report = go(transforms=(Changes(),), exporter=exporter)
        assert (report.status, report.made) == (1, 0)
        assert {step for step, _ in failures(report).values()} == {"transform"}
        assert said in failures(report)["A"][1]


class TestExporters:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda receipt: None, "The exporter Writes must return a Receipt; `write` returned NoneType."),
            (lambda receipt: dataclasses.replace(receipt, chip_id="A"), "wrote chip B, and its receipt is of chip 'A'."),
            (lambda receipt: dataclasses.replace(receipt, file="items/none.npz"), "gave a receipt of the file items/none.npz, which is not there."),
            (lambda receipt: dataclasses.replace(receipt, file=Path(receipt.file)), "gave a receipt that cannot be kept as JSON"),
            (lambda receipt: dataclasses.replace(receipt, size=np.int64(receipt.size)), "gave a receipt that cannot be kept as JSON"),
            (lambda receipt: dataclasses.replace(receipt, facts={**receipt.facts, "mean": float("nan")}), "cannot be kept as JSON"),
            (
                lambda receipt: dataclasses.replace(receipt, facts={}),
                "without the fact 'frames' of each source: lcnkit.exporter.receipts.facts_of(sample)",
            ),
        ],
        ids=["nothing", "another chip", "no file", "a path", "numpy", "NaN", "no facts"],
    )
    def test_a_receipt_that_breaks_the_contract(self, change: Any, said: str, go: Run) -> None:
        class Writes(Npz):
            def write(self, sample: Any, folder: Path) -> Any:
                receipt = super().write(sample, folder)
                return change(receipt) if sample.chip_id == "B" else receipt

        report = go(exporter=Writes())
        assert (report.status, report.made) == (3, 2)
        step, message = failures(report)["B"]
        assert step == "export"
        assert said in message

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda receipts: receipts[:-1], "was given 3 receipts, and `finish` returned 2"),
            (lambda receipts: [*receipts, receipts[0]], "was given 3 receipts, and `finish` returned 4"),
            (lambda receipts: receipts[::-1], "in the place of the receipt of chip A, `finish` returned that of chip 'C'; their order must stay."),
            (lambda receipts: [receipt.as_dict() for receipt in receipts], "in the place of the receipt of chip A, `finish` returned dict"),
            (lambda receipts: None, "must return the receipts; `finish` returned NoneType."),
        ],
        ids=["fewer", "more", "turned round", "dicts", "nothing"],
    )
    def test_receipts_of_another_data_set(self, change: Any, said: str, go: Run, tmp_path: Path) -> None:
        class Finishes(Npz):
            def finish(self, receipts: Any, folder: Path) -> Any:
                return change(list(super().finish(receipts, folder)))

        with pytest.raises(PluginError, match="The exporter Finishes") as caught:
            go(exporter=Finishes())
        assert said in str(caught.value)
        assert not (tmp_path / "out" / "manifest.json").exists()


@dataclasses.dataclass(frozen=True)
class Gives(Backend):
    """A backend that changes the outcomes of chips."""

    change: Callable[[list[Outcome[Any]]], Any]

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """A pool that does so where there are several."""
        change = self.change

        class Changed(Pool):
            def map(self, function: Any, tasks: Any) -> Any:
                outcomes = list(pool.map(function, tasks))
                yield from change(outcomes) if len(outcomes) > 1 else outcomes

        with Serial().open() as pool:
            yield Changed()


class TestBackends:
    def test_a_chip_without_an_outcome_is_accounted_for(self, go: Run) -> None:
        report = go(backend=Gives(lambda outcomes: outcomes[::2]))
        assert (report.status, report.made) == (3, 2)
        assert failures(report) == {"B": ("backend", "the backend gave no outcome for the chip")}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda outcomes: [*outcomes, outcomes[1]], r"a second outcome for task 1 of 3"),
            (lambda outcomes: [dataclasses.replace(outcomes[0], index=3)], r"an outcome for task 3 of 3"),
            (lambda outcomes: [dataclasses.replace(outcomes[0], index=-1)], r"an outcome for task -1 of 3"),
            (lambda outcomes: [outcome.value for outcome in outcomes], r"its `map` gave Receipt"),
            (lambda outcomes: [None], r"its `map` gave NoneType"),
        ],
        ids=["twice", "of no task", "below 0", "values", "nothing"],
    )
    def test_outcomes_of_no_task(self, change: Any, said: str, go: Run) -> None:
        with pytest.raises(PluginError, match=said):
            go(backend=Gives(change))


class TestStrategies:
    @pytest.mark.parametrize(
        "change",
        [
            lambda table: table.sort_values("datetime", ascending=False).reset_index(drop=True),
            lambda table: table.sort_values("datetime", ascending=False, ignore_index=True),
            lambda table: table.set_axis(table.index[::-1]),
        ],
        ids=["reset_index", "ignore_index", "another index"],
    )
    def test_rows_under_the_index_of_others(self, change: Any, go: Run) -> None:
        """Choices would be those of other acquisitions."""

        @dataclasses.dataclass(frozen=True)
        class Sorts:
            def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
                table: pd.DataFrame = change(candidates)
                return table.assign(selected=~table.duplicated(["chip_id", "period"]))

        with pytest.raises(PluginError, match="gave rows another index than they had"):
            go(strategy=Sorts())
