"""Making one sample: frames of empty periods, and what becomes of errors."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcnkit.catalog.static import Static
from lcnkit.contracts import Reader, Transform
from lcnkit.errors import ChipError, OutputFull, UnreadableAsset
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.make import Recipe, Steps, Task, spread
from lcnkit.model import Chip, Failure, Image, Item, Receipt, Sample
from lcnkit.pipeline import plan_only
from lcnkit.reader.auto import Auto
from lcnkit.settings import LabelOptions
from lcnkit.testing.archives import TinyArchive
from lcnkit.transform.raw import Raw
from lcnkit.transform.reflectance import Reflectance


def image(dtype: str, nodata: float | None, **more: Any) -> Image:
    """Two frames of one pixel with the values 5 and 7."""
    values = np.array([5, 7], dtype=dtype).reshape(2, 1, 1, 1)
    return Image(values, np.ones(values.shape, bool), ("B04",), nodata, **more)


@pytest.mark.parametrize(
    ("dtype", "nodata", "empty"),
    [
        ("uint16", 0, 0),
        ("uint16", None, 0),
        ("uint8", 255, 255),
        ("int16", -9999, -9999),
        ("float32", float("nan"), np.nan),
        ("float64", None, np.nan),
        ("uint16", -9999, 0),
        ("uint8", float("nan"), 0),
    ],
)
def test_frames_of_empty_periods_hold_nothing(dtype: str, nodata: float | None, empty: float) -> None:
    """The last two: files do declare nodata values that their dtype cannot hold."""
    answer = spread(image(dtype, nodata), [1, 3], 4)
    assert answer.values.dtype == dtype
    np.testing.assert_array_equal(answer.values.ravel(), [empty, 5, empty, 7])
    assert answer.valid.ravel().tolist() == [False, True, False, True]
    assert answer.scale is None


def test_scaling_is_spread_too() -> None:
    published = {"scale": np.array([[0.1], [0.2]]), "offset": np.array([[1.0], [2.0]])}
    answer = spread(image("uint16", 0, **published), [0, 2], 3)
    assert answer.scale is not None
    assert answer.offset is not None
    assert answer.scale.ravel().tolist() == [0.1, 1, 0.2]
    assert answer.offset.ravel().tolist() == [1, 0, 2]


MakeRecipe = Callable[..., tuple[Recipe, list[Task]]]


@pytest.fixture
def recipe(tiny: TinyArchive, make_run: Any, tmp_path: Path) -> MakeRecipe:
    """The recipe and the tasks of a run of the tiny archive, with parts of the recipe replaced."""

    def build(**parts: Any) -> tuple[Recipe, list[Task]]:
        prepared, _ = plan_only(make_run(tiny.root, n_periods=parts.pop("n_periods", 2), overwrite=True, transforms=()))
        folder = tmp_path / "samples"
        plain = Recipe("s2", Static(root=str(tiny.root)), Auto(), ("B04",), (Reflectance(),), LabelOptions(), {}, Pickle(), folder)
        return dataclasses.replace(plain, **parts), list(prepared.tasks)

    return build


def failure(made: Receipt | Failure) -> Failure:
    assert isinstance(made, Failure)
    return made


def test_a_sample_is_made_and_every_step_timed(recipe: MakeRecipe) -> None:
    make, tasks = recipe(exporter=Npz())
    receipt = make(tasks[0])
    assert isinstance(receipt, Receipt)
    assert (receipt.chip_id, receipt.file, receipt.shapes) == ("A", "items/A.npz", {"s2": (2, 1, 8, 8)})
    assert list(receipt.seconds) == ["label", "read", "transform", "export"]
    assert (make.folder / receipt.file).is_file()


def test_empty_periods_become_frames_between_the_others(recipe: MakeRecipe) -> None:
    """Chip B has acquisitions in February, June and November: of six periods, these are 1, 3 and 6."""
    make, tasks = recipe(n_periods=6, transforms=(Raw(),), exporter=Npz())
    receipt = make(tasks[1])
    assert isinstance(receipt, Receipt)
    sample = Npz().read(receipt, make.folder)
    assert [frame.missing for frame in sample.frames["s2"]] == [False, True, False, True, True, False]
    assert sample.images["s2"].values[:, 0, 0, 0].tolist() == [2000, 0, 2000, 0, 0, 2000]
    assert sample.images["s2"].valid[:, 0, 0, 0].tolist() == [True, False, True, False, False, True]


def test_the_label_is_read_first(recipe: MakeRecipe, tiny: TinyArchive) -> None:
    make, tasks = recipe()
    for path in tiny.root.rglob("*.tif"):
        path.unlink()
    failed = failure(make(tasks[0]))
    assert (failed.chip_id, failed.step, failed.error) == ("A", "label", "BadLabel")


def test_an_image_that_cannot_be_read(recipe: MakeRecipe, tiny: TinyArchive) -> None:
    make, tasks = recipe()
    for path in tiny.root.rglob("B04.tif"):
        path.write_bytes(b"garbage")
    failed = failure(make(tasks[0]))
    assert (failed.step, failed.error) == ("read", "UnreadableAsset")
    assert "B04.tif" in failed.message


def test_an_item_that_is_gone(recipe: MakeRecipe, tiny: TinyArchive) -> None:
    make, tasks = recipe()
    for path in tiny.root.glob("*_source_*/*/stac.json"):
        path.unlink()
    failed = failure(make(tasks[0]))
    assert (failed.step, failed.error) == ("read", UnreadableAsset.__name__)
    assert "stac.json is missing" in failed.message


def test_a_band_that_an_item_lacks(recipe: MakeRecipe) -> None:
    failed = failure(recipe(bands=("B04", "B12"))[0](recipe()[1][0]))
    assert (failed.step, failed.error) == ("read", "MissingAsset")


@dataclasses.dataclass(frozen=True)
class Does(Transform):
    """A transform that does something."""

    something: Callable[[Image], Any]

    def apply(self, image: Image) -> Image:
        answer: Image = self.something(image)
        return answer


def raises(error: BaseException) -> Callable[..., Any]:
    def do(*_: Any, **__: Any) -> Any:
        raise error

    return do


@pytest.mark.parametrize(
    ("something", "message"),
    [
        (lambda image: None, "The transform Does must return an Image; it returned NoneType."),
        (lambda image: image.values, "must return an Image; it returned ndarray"),
        (
            lambda image: dataclasses.replace(image, values=image.values[:1], valid=image.valid[:1]),
            "The transform Does changed time or grid: (2, 1, 8, 8) became (1, 1, 8, 8); only bands may change.",
        ),
        (lambda image: dataclasses.replace(image, values=image.values[..., ::2], valid=image.valid[..., ::2]), "became (2, 1, 8, 4)"),
    ],
    ids=["nothing", "an array", "fewer frames", "another grid"],
)
def test_a_transform_that_breaks_the_contract_is_reported(something: Any, message: str, recipe: MakeRecipe) -> None:
    make, tasks = recipe(transforms=(Reflectance(), Does(something)))
    failed = failure(make(tasks[0]))
    assert (failed.step, failed.error) == ("transform", "ChipError")
    assert message in failed.message


def test_a_transform_may_change_bands(recipe: MakeRecipe) -> None:
    def twice(image: Image) -> Image:
        values, valid = (np.concatenate([array, array], axis=1) for array in (image.values, image.valid))
        return dataclasses.replace(image, values=values, valid=valid, bands=("B04", "again"))

    make, tasks = recipe(transforms=(Reflectance(), Does(twice)), exporter=Npz())
    receipt = make(tasks[0])
    assert isinstance(receipt, Receipt)
    assert receipt.shapes == {"s2": (2, 2, 8, 8)}


def test_a_transform_whose_bands_and_values_differ(recipe: MakeRecipe) -> None:
    make, tasks = recipe(transforms=(Does(lambda image: dataclasses.replace(image, bands=("a", "b"))),))
    failed = failure(make(tasks[0]))
    assert failed.step == "transform"
    assert "an image needs values (time, band, y, x) for its 2 bands" in failed.message


def test_what_nobody_expected_is_recorded_with_its_place(recipe: MakeRecipe) -> None:
    make, tasks = recipe(transforms=(Does(raises(ZeroDivisionError("by zero"))),))
    failed = failure(make(tasks[2]))
    assert (failed.chip_id, failed.step, failed.error) == ("C", "transform", "ZeroDivisionError")
    assert failed.message.startswith("ZeroDivisionError: by zero (test_make.py, line ")


def test_what_a_transform_says_of_a_chip_is_recorded_as_it_is(recipe: MakeRecipe) -> None:
    make, tasks = recipe(transforms=(Does(raises(ChipError("too dark"))),))
    assert failure(make(tasks[0])) == Failure("A", "transform", "ChipError", "too dark")


class Wrong(Reader):
    """A reader that turns the image on its side."""

    def read(self, chip: Chip, items: Sequence[Item], bands: Sequence[str]) -> Image:
        values = np.zeros((len(items), len(bands), 8, 7))
        return Image(values, values == 0, tuple(bands))


def test_a_reader_that_breaks_the_contract_is_reported(recipe: MakeRecipe) -> None:
    make, tasks = recipe(reader=Wrong())
    failed = failure(make(tasks[0]))
    assert (failed.step, failed.error) == ("read", "ChipError")
    assert "(2, 1, 8, 7); it must be (time, band, y, x) = (2, 1, 8, 8)" in failed.message


class Breaks(Pickle):
    """An exporter that cannot write."""

    error = OSError(errno.EACCES, "Permission denied")

    def write(self, sample: Sample, folder: Path) -> Receipt:
        raise self.error


class Full(Breaks):
    error = OSError(errno.ENOSPC, "No space left on device")


class Bug(Breaks):
    error = TypeError("cannot pickle")  # type: ignore[assignment]


def test_a_sample_that_cannot_be_written(recipe: MakeRecipe) -> None:
    make, tasks = recipe(exporter=Breaks())
    failed = failure(make(tasks[0]))
    assert (failed.step, failed.error) == ("export", "OutputError")
    assert str(make.folder) in failed.message
    failed = failure(dataclasses.replace(make, exporter=Bug())(tasks[0]))
    assert (failed.step, failed.error) == ("export", "TypeError")


def test_a_full_disk_ends_the_run(recipe: MakeRecipe) -> None:
    make, tasks = recipe(exporter=Full())
    with pytest.raises(OutputFull, match="The disk is full"):
        make(tasks[0])


def test_nobody_catches_the_user(recipe: MakeRecipe) -> None:
    make, tasks = recipe(transforms=(Does(raises(KeyboardInterrupt())),))
    with pytest.raises(KeyboardInterrupt):
        make(tasks[0])


def test_one_acquisition_is_a_model_of_all_chips(recipe: MakeRecipe) -> None:
    """Also the label is left alone: all workers wait for it."""
    seen: list[int] = []

    def noted(image: Image) -> Image:
        seen.append(len(image.values))
        return image

    make, tasks = recipe(transforms=(Reflectance(), Does(noted)))
    model = make.model(dataclasses.replace(tasks[0], chip=dataclasses.replace(tasks[0].chip, label_href="none")), []).image
    assert (seen, model.values.shape, model.values.dtype, model.bands) == ([1], (1, 1, 1, 1), np.dtype("float32"), ("B04",))
    (outline,) = make.outlines(model, tasks[:1])
    (whole,) = make.outlines(make.sample(tasks[0], Steps()).images["s2"], tasks[:1])
    assert outline.images["s2"].values.dtype == whole.images["s2"].values.dtype
    assert outline.images["s2"].values.shape == whole.images["s2"].values.shape == (2, 1, 8, 8)


def test_a_model_says_what_crs_mean_that_there_are(recipe: MakeRecipe) -> None:
    """One that a label item made up costs its own chip only."""
    make, tasks = recipe()
    known = make.model(tasks[0], ["EPSG:32633", "EPSG:99999", "EPSG:4326"]).spatial_refs
    assert {name: found["is_geographic"] for name, found in known.items()} == {"EPSG:32633": False, "EPSG:4326": True}


def test_a_transform_that_wants_more_than_one_gets_all(recipe: MakeRecipe) -> None:
    def change(image: Image) -> Image:
        difference = image.values[1] - image.values[0]
        return dataclasses.replace(image, values=np.stack([difference, difference]))

    make, tasks = recipe(transforms=(Reflectance(), Does(change)))
    assert make.model(tasks[0], []).image.values.shape == (2, 1, 1, 1)
    make, _ = recipe(transforms=(Does(raises(ChipError("too dark"))),))
    with pytest.raises(ChipError, match="too dark"):
        make.model(tasks[0], [])
