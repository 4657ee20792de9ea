"""The output folder: files appear whole or not at all, and what is done is never done twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lcnkit.errors import OutputError, OutputFull, SetupError
from lcnkit.model import Receipt

#: Work in progress lives here, below the output folder; it is gone when the run has ended.
STATE = ".lcnkit"
MANIFEST = "manifest.json"
SELECTION = "selection.parquet"
FAILURES = "failures.csv"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends well: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            yield file
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Any) -> None:
    """JSON in a stable form: the same values give the same bytes."""
    with whole_file(path) as file:
        file.write((json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextmanager
def guarded(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError inside the block into an `OutputError` that says where, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutputFull(
                f"The disk is full: cannot {doing} in {path} ({error.strerror}). What is written is kept: make room, "
                "then run the same command with the same output_dir to go on."
            ) from error
        raise OutputError(f"Cannot {doing} in {path}: {error.strerror or error}. Choose another folder with output_dir=PATH.") from error


class OutputFolder:
    """A folder that one run has claimed; `claim` makes one."""

    def __init__(self, path: Path, *, resumed: bool) -> None:
        """Args: path is an existing folder; resumed says that an earlier run of the same configuration left something."""
        self.path = path
        self.resumed = resumed
        self._journal = path / STATE / "journal.jsonl"

    def record(self, receipt: Receipt) -> None:
        """Remember a sample that is written, so that a later run need not make it again."""
        with guarded(self.path, "write the journal"), self._journal.open("ab") as file:
            # A line that a full disk or a kill has torn must not take the next one with it.
            torn = file.tell() > 0 and not _ends_a_line(self._journal)
            file.write((b"\n" if torn else b"") + (json.dumps(receipt.as_dict()) + "\n").encode())

    def receipts(self) -> dict[str, Receipt]:
        """What earlier runs finished, by chip, as far as the files are still there in full length."""
        known: dict[str, Receipt] = {}
        for values in (*_manifest_samples(self.path), *_journal_lines(self._journal)):
            try:
                receipt = Receipt.from_dict(values)
                entry = self.path / receipt.file
                # A sample may be a folder (zarr): then being there has to do.
                whole = entry.is_dir() or entry.stat().st_size >= receipt.offset + receipt.size
            except (OSError, TypeError, KeyError, AttributeError):
                continue  # a torn line or a file that is gone: the sample is made again
            if whole:
                known[receipt.chip_id] = receipt
        return known

    def forget_state(self) -> None:
        """Remove the work in progress: the manifest has taken its place."""
        for name in ("journal.jsonl", "run.json"):
            (self.path / STATE / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / STATE / "parts", ignore_errors=True)


@contextmanager
def claim(path: Path, config: Mapping[str, Any], *, overwrite: bool) -> Iterator[OutputFolder]:
    """Take a folder for one run, and let no other run use it meanwhile.

    Raises:
        OutputError: The folder cannot be written, is in use by another run, or holds a data set of another
            configuration and ``overwrite`` is not set; the message shows the difference.
    """
    from filelock import FileLock, Timeout

    state = path / STATE
    with guarded(path, "make the output folder"):
        state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "lock")
    with guarded(path, "lock the output folder"):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:  # which is an OSError too
            raise OutputError(f"Another run is using {path}. Wait for it to end, or choose another folder with output_dir=PATH.") from error
    try:
        folder = _prepared(path, config, overwrite=overwrite)
        try:
            yield folder
        except SetupError as error:
            if not folder.resumed and not isinstance(error, OutputFull):
                _forget_start(path)
            raise
    finally:
        # The folder of the state goes before the lock is given up: afterwards it may be another run's.
        if not any(entry.name != "lock" for entry in _entries(state)):
            shutil.rmtree(state, ignore_errors=True)
        lock.release()


def _lies_in(plan: Path, path: Path) -> bool:
    return path.resolve() in (plan.resolve(), plan.resolve().parent)


def _forget_start(path: Path) -> None:
    """Leave no record of a run that could not start, so that the corrected command may use the folder."""
    if not (path / STATE / "journal.jsonl").exists():
        for file in (path / STATE / "run.json", path / SELECTION):
            file.unlink(missing_ok=True)


def _prepared(path: Path, config: Mapping[str, Any], *, overwrite: bool) -> OutputFolder:
    earlier = _earlier_config(path)
    if overwrite and config.get("plan") and _lies_in(Path(str(config["plan"])), path):
        raise OutputError(
            f"overwrite=true would remove plan={config['plan']} before it is read. Copy it to another folder, or give another output_dir."
        )
    if overwrite:
        with guarded(path, "remove the earlier data set"):
            _wipe(path)
        earlier = None
    elif earlier is None and _looks_used(path):
        raise OutputError(
            f"{path} holds {', '.join(_looks_used(path))} of which lcnkit has no record. Choose another folder with "
            "output_dir=PATH, or replace them with overwrite=true."
        )
    elif earlier is not None and earlier != config:
        raise OutputError(
            f"{path} holds a data set of another configuration: {'; '.join(differences(earlier, config))}. "
            "Choose another folder with output_dir=PATH, or replace it with overwrite=true."
        )
    with guarded(path, "remove what a killed run left half written"):
        for folder in (path, path / "items", path / STATE):
            for entry in folder.glob(".*.partial"):
                entry.unlink()
    if earlier is None:
        with guarded(path, "write"):
            write_json(path / STATE / "run.json", config)
    return OutputFolder(path, resumed=earlier is not None)


def differences(earlier: Any, now: Any, most: int = 8) -> list[str]:
    """What differs between two configurations, one ``key: A there, B now`` each."""
    old, new = dict(_flat(earlier)), dict(_flat(now))
    lines = [
        f"{key} is {old.get(key, 'absent')} there and {new.get(key, 'absent')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, "absent") != new.get(key, "absent")
    ]
    return lines[:most] + ([f"and {len(lines) - most} more"] if len(lines) > most else [])


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, list) and any(isinstance(value, Mapping) for value in values):
        for position, value in enumerate(values):
            yield from _flat(value, f"{prefix}[{position}]")
    else:
        yield prefix, json.dumps(values)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a finished data set.

    Raises:
        OutputError: There is none, or it cannot be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise OutputError(f"{path} holds no finished data set: it has no {MANIFEST}. Give the folder that a run wrote.") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{path / MANIFEST} cannot be read: {error}") from error
    return manifest


def _earlier_config(path: Path) -> Any:
    for file, key in ((path / STATE / "run.json", None), (path / MANIFEST, "config")):
        try:
            values = json.loads(file.read_bytes())
            return values if key is None else values[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _manifest_samples(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        samples: Sequence[Mapping[str, Any]] = json.loads((path / MANIFEST).read_bytes())["samples"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return [sample for sample in samples if isinstance(sample, Mapping)] if isinstance(samples, list) else ()


def _ends_a_line(journal: Path) -> bool:
    with journal.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _journal_lines(journal: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines = journal.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue  # the line being written when the run was killed
        if isinstance(values, Mapping):
            yield values


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


_OURS = ("items.pkl", "items", SELECTION, MANIFEST, FAILURES, "report.html")


def _looks_used(path: Path) -> list[str]:
    return [name for name in _OURS if (path / name).exists()]


def _wipe(path: Path) -> None:
    """Remove what a run leaves, and nothing else that may lie in the folder."""
    samples = [*_manifest_samples(path), *_journal_lines(path / STATE / "journal.jsonl")]
    written = {str(sample.get("file", "")).split("/")[0] for sample in samples} - {"", ".", "..", STATE}
    for name in {*_OURS, *written, ".hydra"}:
        entry = path / name
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    for entry in _entries(path / STATE):
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()
