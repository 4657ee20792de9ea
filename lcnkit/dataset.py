"""Open a finished data set: a sequence of samples, whichever exporter wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from lcnkit.contracts import Exporter
from lcnkit.errors import did_you_mean, listing
from lcnkit.model import Receipt, Sample
from lcnkit.options import build
from lcnkit.output import read_manifest
from lcnkit.plugins import load_registry


def open_dataset(output: str | os.PathLike[str]) -> Samples:
    """The samples in the output folder of a run; each is read when it is asked for.

    Raises:
        OutputError: The folder holds no finished data set.
        UnknownName: The plugin that wrote it is not installed.
    """
    folder = Path(output)
    manifest = read_manifest(folder)
    options = dict(manifest["config"]["exporter"])
    exporter: Exporter = build(load_registry().get("exporter", options.pop("name")).cls, options, "exporter")
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
            self._positions.setdefault(str(receipt.facts.get("label_item_id")), position)

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
        """
        if isinstance(key, slice):
            return [self._read(receipt) for receipt in self._receipts[key]]
        if isinstance(key, str):
            if key not in self._positions:
                raise KeyError(f"no chip {key!r}; there is {listing(self.chip_ids, 6)}.{did_you_mean(key, self.chip_ids)}")
            key = self._positions[key]
        return self._read(self._receipts[key])

    def __iter__(self) -> Iterator[Sample]:
        return (self._read(receipt) for receipt in self._receipts)

    def __contains__(self, chip_id: object) -> bool:
        return chip_id in self._positions

    def _read(self, receipt: Receipt) -> Sample:
        return self._exporter.read(receipt, self.folder)

    def __repr__(self) -> str:
        config = self.manifest["config"]
        lines = [
            f"<lcnkit.Samples: {len(self)} chip{'' if len(self) == 1 else 's'} in {self.folder}>",
            f"  image     {' or '.join(self.manifest['shapes']) or 'none'} (time, band, y, x)",
            *(f"  {name:<9} {', '.join(source['bands'])} of {source['collection']}" for name, source in self.manifest["sources"].items()),
            f"  strategy  {config['strategy']['name']}, {len(self.manifest['periods'])} periods, {' to '.join(self.manifest['interval'])}",
            f"  labels    {sum(entry['pixels'] > 0 for entry in self.manifest['classes'])} classes of {self.manifest['labels']['collection']}",
            f"  exporter  {config['exporter']['name']}, {self.manifest['checksum']}",
        ]
        return "\n".join(lines)
