"""Answers of plugins, looked at before they are used: one that breaks its contract costs its chip, and is not taken for data."""

from __future__ import annotations

import json
import numbers
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lcnkit.contracts import Catalog, Exporter, Outcome, Reader, Transform
from lcnkit.errors import ChipError, PluginError, listing
from lcnkit.model import Frame, Image, Item, Receipt, Sample
from lcnkit.model.href import is_url
from lcnkit.terminal import counted

_ONE_EACH = "it must give one for each href, in their order"


def items_of(catalog: Catalog, frames: Sequence[Frame]) -> list[Item]:
    """The items that frames show, in their order.

    Raises:
        ChipError: The catalog gave others, or more or fewer: pixels would go by wrong names.
    """
    items = catalog.items([frame.item_href for frame in frames])
    wanted = [frame.item_id for frame in frames]
    if not isinstance(items, Sequence) or not all(isinstance(item, Item) for item in items):
        raise ChipError(f"The catalog {_class(catalog)} must give a list of Item; `items` gave {_kind_of(items)}.")
    if len(items) != len(wanted):
        raise ChipError(f"The catalog {_class(catalog)} was asked for {counted(len(wanted), 'item')}, and `items` gave {len(items)}: {_ONE_EACH}.")
    for item, name in zip(items, wanted, strict=True):
        if item.id != name:
            raise ChipError(f"The catalog {_class(catalog)} was asked for the item {name}, and `items` gave {item.id} in its place: {_ONE_EACH}.")
    return list(items)


def image_read(image: Any, reader: Reader, shape: tuple[int, ...], bands: Sequence[str]) -> Image:
    """What a reader gave.

    Raises:
        ChipError: It is not the image that was asked for.
    """
    checked = _image(image, f"The reader {_class(reader)}")
    if checked.values.shape != shape:
        raise ChipError(f"The reader gave an image of shape {checked.values.shape}; it must be (time, band, y, x) = {shape}.")
    if tuple(checked.bands) != tuple(bands):
        raise ChipError(f"The reader {_class(reader)} gave the bands {listing(checked.bands)}; it must give {listing(bands)}, in that order.")
    if checked.values.dtype.kind not in "iuf":
        raise ChipError(f"The reader {_class(reader)} gave values of type {checked.values.dtype}; they must be integers or floats, as stored.")
    return checked


def image_transformed(image: Any, before: Image, transform: Transform) -> Image:
    """What a transform made of an image.

    Raises:
        ChipError: It is no image, or one of another time or place.
    """
    name = _class(transform)
    checked = _image(image, f"The transform {name}")
    old, new = before.values.shape, checked.values.shape
    if new[0] != old[0] or new[2:] != old[2:]:
        raise ChipError(f"The transform {name} changed time or grid: {old} became {new}; only bands may change.")
    if len(set(checked.bands)) != len(checked.bands):
        raise ChipError(f"The transform {name} gave the bands {listing(checked.bands)}; each name may be there once.")
    if checked.values.dtype.kind not in "biuf":
        raise ChipError(f"The transform {name} gave values of type {checked.values.dtype}; they must be numbers.")
    return checked


def receipt_of(receipt: Any, sample: Sample, exporter: Exporter, folder: Path) -> Receipt:
    """What an exporter says of a sample that it wrote.

    Raises:
        ChipError: It is of another sample, tells of no file, or cannot be kept as JSON.
    """
    name = f"The exporter {_class(exporter)}"
    if not isinstance(receipt, Receipt):
        raise ChipError(f"{name} must return a Receipt; `write` returned {_kind_of(receipt)}.")
    if receipt.chip_id != sample.chip_id:
        raise ChipError(f"{name} wrote chip {sample.chip_id}, and its receipt is of chip {receipt.chip_id!r}.")
    try:
        json.dumps(receipt.as_dict(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ChipError(f"{name} gave a receipt that cannot be kept as JSON: {error}. Its values must be plain texts and numbers.") from error
    for fact in ("frames", "bands"):
        if not isinstance(receipt.facts.get(fact), dict) or receipt.facts[fact].keys() != sample.images.keys():
            raise ChipError(
                f"{name} gave a receipt without the fact {fact!r} of each source: lcnkit.exporter.receipts.facts_of(sample) gives all facts."
            )
    if not is_url(receipt.file) and not os.path.exists(folder / receipt.file):
        raise ChipError(f"{name} gave a receipt of the file {receipt.file}, which is not there.")
    return receipt


def receipts_finished(finished: Any, receipts: Sequence[Receipt], exporter: Exporter) -> Iterator[Receipt]:
    """The receipts that an exporter gave for a finished data set.

    Raises:
        PluginError: They are not those of the samples written, in their order.
    """
    name = f"The exporter {_class(exporter)}"
    if not isinstance(finished, Sequence):
        raise PluginError(f"{name} must return the receipts; `finish` returned {_kind_of(finished)}.")
    if len(finished) != len(receipts):
        raise PluginError(f"{name} was given {len(receipts)} receipts, and `finish` returned {len(finished)}: it must return one for each sample.")
    for receipt, given in zip(finished, receipts, strict=True):
        if not isinstance(receipt, Receipt) or receipt.chip_id != given.chip_id:
            found = f"that of chip {receipt.chip_id!r}" if isinstance(receipt, Receipt) else _kind_of(receipt)
            raise PluginError(f"{name}: in the place of the receipt of chip {given.chip_id}, `finish` returned {found}; their order must stay.")
        yield receipt


class Outcomes:
    """Outcomes that a backend gave: each task is to have one."""

    def __init__(self, tasks: int) -> None:
        """Args: tasks is how many there are."""
        self._missing = bytearray(b"\1" * tasks)

    def check(self, outcome: Any) -> None:
        """Take an outcome.

        Raises:
            PluginError: It is none, or of no task, or the second of one.
        """
        if not isinstance(outcome, Outcome) or not isinstance(outcome.index, int):
            raise PluginError(f"The backend must give an Outcome for each task; its `map` gave {_kind_of(outcome)}.")
        if not 0 <= outcome.index < len(self._missing) or not self._missing[outcome.index]:
            again = "a second outcome" if 0 <= outcome.index < len(self._missing) else "an outcome"
            raise PluginError(f"The backend gave {again} for task {outcome.index} of {len(self._missing)} (from 0); each has one.")
        self._missing[outcome.index] = 0

    @property
    def missing(self) -> list[int]:
        """Tasks without one."""
        return [index for index, missing in enumerate(self._missing) if missing]


def _image(image: Any, who: str) -> Image:
    if not isinstance(image, Image):
        raise ChipError(f"{who} must return an Image; it returned {_kind_of(image)}.")
    if not isinstance(image.values, np.ndarray) or not isinstance(image.valid, np.ndarray):
        raise ChipError(
            f"{who} gave an Image with values and mask of {_kind_of(image.values)} and {_kind_of(image.valid)}; both must be numpy arrays."
        )
    if image.valid.dtype != bool:
        raise ChipError(f"{who} gave an Image with a mask of type {image.valid.dtype}; it must be bool, True where values are good.")
    if image.nodata is not None and not isinstance(image.nodata, numbers.Real):
        raise ChipError(f"{who} gave the nodata value {image.nodata!r}; it must be a number, or None.")
    return image


def _class(plugin: object) -> str:
    return type(plugin).__name__


def _kind_of(value: Any) -> str:
    return type(value).__name__
