"""The journal: what a run has written, so that what is done is never done twice."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from lcnkit.errors import listing
from lcnkit.model import PackedDict, Receipt
from lcnkit.model.href import is_url
from lcnkit.output import MANIFEST, STATE, guarded, manifest_samples
from lcnkit.owner import OWNER
from lcnkit.terminal import counted, progress

log = logging.getLogger(__name__)

#: What one run at a time holds.
LOCK = "lock"

#: Under this key a line of the journal holds the checksum of its other values.
_CHECK = "check"


class OutputFolder:
    """A folder that one run has claimed; `lcnkit.claim` makes one."""

    def __init__(self, path: Path, *, resumed: bool) -> None:
        """Args: path is an existing folder; resumed says that an earlier run of the same configuration left something."""
        self.path = path
        self.resumed = resumed
        self._journal = path / STATE / "journal.jsonl"

    @property
    def unfinished(self) -> bool:
        """Whether an earlier run ended before it could finish the data set."""
        return self._journal.exists()

    def record(self, receipt: Receipt) -> None:
        """Remember a sample that is written, so that a later run need not make it again."""
        with guarded(self.path, "write the journal"), self._journal.open("ab") as file:
            # A line that a full disk or a kill has torn must not take the next one with it.
            torn = file.tell() > 0 and not _ends_a_line(self._journal)
            file.write((b"\n" if torn else b"") + _line(receipt))

    def before_moving(self) -> None:
        """Note that the samples of a finished data set may lie elsewhere from now on: the manifest that is there can no longer be believed."""
        if (self.path / MANIFEST).exists():
            self._journal.touch()

    def after_moving(self, receipts: Iterable[Receipt]) -> None:
        """Remember where they lie, so that they need not be made again where the run ends before the next manifest is written."""
        if (self.path / MANIFEST).exists():
            for receipt in receipts:
                self.record(receipt)

    def receipts(self) -> PackedDict[Receipt]:
        """What earlier runs finished, by chip, as far as the files are still there.

        The manifest of a run that ended is believed, but for the length of the files. All else is compared with its checksum:
        the machine may have gone down before a sample was on the disk, and a run may have been killed between moving the samples
        of an earlier manifest and writing its own.
        """
        known: PackedDict[Receipt] = PackedDict()
        finished = _read(manifest_samples(self.path))
        if not self.unfinished:
            known.update((receipt.chip_id, receipt) for receipt in finished if _is_there(receipt, self.path))
            return known
        written: dict[str, list[Receipt]] = {}
        for receipt in chain(finished, _read(_lines(self._journal))):
            written.setdefault(receipt.chip_id, []).insert(0, receipt)
        damaged = []
        with progress(len(written), "verify") as advance:
            for chip_id, versions in written.items():
                sound = next((receipt for receipt in versions if _is_there(receipt, self.path) and is_sound(receipt, self.path)), None)
                if sound is not None:
                    known[chip_id] = sound
                else:
                    damaged.append(chip_id)
                advance(sound is None)
        if damaged:
            are = counted(len(damaged), "sample is", "samples are")
            log.warning("resume     %s lost or damaged since, and made again: %s", are, listing(damaged, 6))
        return known

    def forget_state(self) -> None:
        """Remove the work in progress: the manifest has taken its place. The journal goes first, as it tells of the rest."""
        state = self.path / STATE
        (state / "journal.jsonl").unlink(missing_ok=True)
        for entry in state.iterdir() if state.is_dir() else ():
            if entry.name in (LOCK, OWNER):
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def journaled_files(path: Path) -> set[str]:
    """The files, relative to the folder, that an unfinished run has written samples to."""
    return {str(values.get("file", "")) for values in _lines(path / STATE / "journal.jsonl")}


def _line(receipt: Receipt) -> bytes:
    text = json.dumps(receipt.as_dict())
    return f'{text[:-1]}, "{_CHECK}": "{_check_of(text)}"}}\n'.encode()


def _check_of(text: str) -> str:
    import xxhash

    return xxhash.xxh3_64_hexdigest(text.encode())


def _lines(journal: Path) -> Iterator[Mapping[str, Any]]:
    """The lines that are as they were written."""
    try:
        lines = journal.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            values = json.loads(line)
            sound = isinstance(values, dict) and values.pop(_CHECK, None) == _check_of(json.dumps(values))
        except (ValueError, RecursionError):
            continue  # the line being written when the run was killed, or what a crash has made of it
        if sound:
            yield values


def _read(samples: Iterable[Mapping[str, Any]]) -> Iterator[Receipt]:
    for values in samples:
        try:
            yield Receipt.from_dict(values)
        except (TypeError, AttributeError):
            continue  # a manifest that somebody edited: the sample is made again


def _is_there(receipt: Receipt, folder: Path) -> bool:
    """Whether the sample's file is there in full length. It may be a folder (zarr): then being there has to do."""
    if is_url(receipt.file):
        return True  # the exporter that wrote it there is asked
    try:
        entry = folder / receipt.file
        return entry.is_dir() or entry.stat().st_size >= receipt.offset + receipt.size
    except (OSError, TypeError, ValueError):
        return False


def is_sound(receipt: Receipt, folder: Path) -> bool:
    """Whether the sample's bytes are those that were written, as far as its checksum can tell."""
    import xxhash

    if is_url(receipt.file):
        return True  # a bucket has said that it holds what was sent
    path, kind = folder / receipt.file, "xxh3_128:"
    if path.is_dir() or not receipt.checksum.startswith(kind):
        return True
    found, left = xxhash.xxh3_128(), receipt.size
    try:
        with path.open("rb") as file:
            file.seek(receipt.offset)
            while left and (data := file.read(min(left, 1 << 20))):
                found.update(data)
                left -= len(data)
    except OSError:
        return False
    return f"{kind}{found.hexdigest()}" == receipt.checksum


def _ends_a_line(journal: Path) -> bool:
    with journal.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
