"""Open a finished data set: a sequence of samples, whichever exporter wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from lcnkit.contracts import Exporter
from lcnkit.errors import OutputError, UnknownName, did_you_mean, listing
from lcnkit.journal import is_sound
from lcnkit.model import Receipt, Sample
from lcnkit.options import build
from lcnkit.output import FAILURES, MANIFEST, read_manifest
from lcnkit.plugins import load_registry
from lcnkit.terminal import counted


def open_dataset(output: str | os.PathLike[str]) -> Samples:
    """The samples in the output folder of a run; each is read when it is asked for.

    Raises:
        OutputError: The folder holds no finished data set.
        UnknownName: The plugin that wrote it is not installed.
    """
    folder = Path(output).expanduser().absolute()  # it may be read where another folder is the current one
    manifest = read_manifest(folder)
    try:
        options = dict(manifest["config"]["exporter"])
        name = options.pop("name")
    except (KeyError, TypeError) as error:
        raise OutputError(f"{folder / MANIFEST} is not the manifest of a data set that lcnkit wrote.") from error
    try:
        plugin = load_registry().get("exporter", name)
    except UnknownName as error:
        from lcnkit.manifest import LIBRARIES  # which loads what labels need: half of the time that this module takes

        packages = [f"{package} {version}" for package, version in manifest.get("versions", {}).items() if package not in LIBRARIES]
        needed = f" The data set was made with {listing(packages)}: install the package that has the exporter." if packages else ""
        raise UnknownName(f"{error}{needed}") from error
    exporter: Exporter = build(plugin.cls, options, "exporter")
    return Samples(folder, manifest, exporter)


class Samples(Sequence[Sample]):
    """Samples in the order of the label collection, by position or chip id."""

    def __init__(self, folder: Path, manifest: dict[str, Any], exporter: Exporter) -> None:
        """Use `open_dataset`."""
        self.folder = folder
        self.manifest = manifest
        """What ``manifest.json`` says."""
        self._exporter = exporter
        self._receipts = [Receipt.from_dict(values) for values in manifest["samples"]]
        self._positions = {receipt.chip_id: position for position, receipt in enumerate(self._receipts)}
        for position, receipt in enumerate(self._receipts):
            if "label_item_id" in receipt.facts:
                self._positions.setdefault(receipt.facts["label_item_id"], position)

    @property
    def chip_ids(self) -> tuple[str, ...]:
        """Chip ids in order."""
        return tuple(receipt.chip_id for receipt in self._receipts)

    def __len__(self) -> int:
        return len(self._receipts)

    @overload
    def __getitem__(self, key: int | str) -> Sample: ...
    @overload
    def __getitem__(self, key: slice) -> list[Sample]: ...
    def __getitem__(self, key: int | str | slice) -> Sample | list[Sample]:
        """A sample by position, by chip id or label item id; several by slice.

        Raises:
            IndexError: There is no such position.
            KeyError: There is no such chip.
            OutputError: Its file no longer holds it as it was written: it is gone, damaged, or another run has written there.
        """
        if isinstance(key, slice):
            return [self._read(receipt) for receipt in self._receipts[key]]
        if isinstance(key, str):
            if key not in self._positions:
                raise KeyError(f"no chip {key!r}; there is {listing(self.chip_ids, 6)}.{did_you_mean(key, self._positions)}")
            key = self._positions[key]
        try:
            receipt = self._receipts[key]
        except IndexError as error:
            raise IndexError(f"there is no sample {key}: the data set has {counted(len(self), 'chip')}") from error
        return self._read(receipt)

    def __iter__(self) -> Iterator[Sample]:
        return (self._read(receipt) for receipt in self._receipts)

    def __contains__(self, sample: object) -> bool:
        """Whether it has the chip of that id, label item id or sample."""
        name = sample.chip_id if isinstance(sample, Sample) else sample
        return isinstance(name, str) and name in self._positions

    def index(self, sample: object, start: int = 0, stop: int | None = None) -> int:
        """The position of a chip: its id, label item id or sample.

        Raises:
            ValueError: It is not there.
        """
        name = sample.chip_id if isinstance(sample, Sample) else sample
        if name in self:
            position = self._positions[str(name)]
            if position in range(*slice(start, stop).indices(len(self))):
                return position
        raise ValueError(f"no chip {name!r}")

    def _read(self, receipt: Receipt) -> Sample:
        # A file that another run has written meanwhile holds other chips in the same places, and would be read without a word.
        if not is_sound(receipt, self.folder):
            raise OutputError(
                f"Chip {receipt.chip_id}: {self.folder / receipt.file} does not hold the sample that {MANIFEST} tells of. If a run has gone on there "
                "since, open the data set again; if one is under way or was stopped, let it end first (python -m lcnkit retry OUTPUT). "
                "Else the file is gone or damaged: copy it again, or make the data set again with overwrite=true."
            )
        return self._exporter.read(receipt, self.folder)

    def __repr__(self) -> str:
        say, config = self.manifest, self.manifest["config"]
        seen = [entry for entry in say["classes"] if entry["pixels"] and entry["value"] != config["label"]["ignore_index"]]
        periods = counted(len(say["periods"]), "period")
        lacking, failed, dropped = (say["counts"][name] for name in ("missing_frames", "failed", "dropped"))
        rows = {
            "image": f"{' or '.join(say['shapes'][:3]) or 'none'}{' or others' * (len(say['shapes']) > 3)} (time, band, y, x)",
            **{name: f"{listing(source['bands'])} of {source['collection']}" for name, source in say["sources"].items()},
            "strategy": f"{_chosen_by(say)}, {periods}, {' to '.join(say['interval'])}",
            "labels": f"{counted(len(seen), 'class')} of {say['labels']['collection']}",
            "exporter": config["exporter"]["name"],
            "checksum": say["checksum"],
        }
        if lacking:
            rows["missing"] = f"{counted(lacking, 'frame')} without an acquisition"
        if empty := say["counts"].get("empty_frames", 0):  # data sets of before do not say it
            rows["empty"] = f"{counted(empty, 'frame')} whose acquisition has no valid pixel in the chip"
        if failed:
            rows["failed"] = f"{counted(failed, 'chip')}, see {FAILURES}"
        if dropped:
            rows["dropped"] = f"{counted(dropped, 'chip')} (when_empty=drop)"
        width = max(map(len, rows))
        return "\n".join(
            [f"<lcnkit.Samples: {counted(len(self), 'chip')} in {self.folder}>", *(f"  {name:<{width}}  {text}" for name, text in rows.items())]
        )


def _chosen_by(manifest: dict[str, Any]) -> str:
    """The strategy of the plan, which may be another one's; of older data sets, that of the run."""
    (source,) = manifest["sources"].values()
    strategy = source.get("strategy", manifest["config"]["strategy"])
    return str(strategy["name"]) if strategy else "a saved plan"
