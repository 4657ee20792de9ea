"""Files of the output folder: they appear whole or not at all, and an error says where and what to do."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from lcnkit.errors import OutputError, OutputFull
from lcnkit.model import Packed

#: Work in progress lives here, below the output folder; it is gone when the run has ended.
STATE = ".lcnkit"
MANIFEST = "manifest.json"
SELECTION = "selection.parquet"
FAILURES = "failures.csv"

# How `write_json_with` lays a list out, at the end of an object: before it, between two entries, and after the last.
_LIST, _BETWEEN, _LAST = b",\n  NAME: [", b"\n    },", b"\n    }\n  ]\n}\n"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def file_name(chip_id: str) -> str:
    """A relative path for a chip's own file, without an ending: its id, or the id quoted where it would lead out of its folder."""
    parts = chip_id.split("/")
    return chip_id if "\\" not in chip_id and not {"", ".", ".."} & set(parts) else quote(chip_id, safe="")


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends well: written beside, then renamed.

    Args:
        durable: It is on the disk before it gets its name: it is whole or absent even where the machine goes down.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Any) -> None:
    """JSON in a stable form: the same values give the same bytes. A durable file, see `whole_file`."""
    with whole_file(path, durable=True) as file:
        file.write(_json(values) + b"\n")


def write_json_with(path: Path, values: Mapping[str, Any], name: str, entries: Iterable[Any]) -> None:
    """What `write_json` writes of ``{**values, name: [*entries]}``, with one entry in memory at a time; ``values`` hold something."""
    with whole_file(path, durable=True) as file:
        file.writelines(_json_with(values, name, entries))


def holds_json_with(path: Path, values: Mapping[str, Any], name: str, entries: Iterable[Any]) -> bool:
    """Whether a file holds just what `write_json_with` would write."""
    try:
        with path.open("rb") as file:
            return all(file.read(len(part)) == part for part in _json_with(values, name, entries)) and not file.read(1)
    except OSError:
        return False


def _json_with(values: Mapping[str, Any], name: str, entries: Iterable[Any]) -> Iterator[bytes]:
    yield _json(values).removesuffix(b"\n}") + _LIST.replace(b"NAME", _json(name))
    before, after = b"\n    ", b"]\n}\n"
    for entry in entries:
        # Inside a text, a line's end is two other letters: each that is there ends a line of the file.
        yield before + _json(entry).replace(b"\n", b"\n    ")
        before, after = b",\n    ", b"\n  ]\n}\n"
    yield after


def _entries(data: bytes, name: str) -> Iterator[Any]:
    """The entries of a file that `write_json_with` wrote, one in memory at a time.

    Raises:
        ValueError: It has another layout, or is damaged.
    """
    import orjson

    opening = _LIST.replace(b"NAME", _json(name))
    before = data.find(opening)
    start, end = before + len(opening), len(data) - len(_LAST)
    if before < 0 or not data.startswith(b"\n    {", start) or not data.endswith(_LAST):
        raise ValueError("another layout")
    json.loads(data[:before] + b"\n}")
    while start < end:
        stop = data.find(_BETWEEN, start, end)
        stop = end if stop < 0 else stop
        yield orjson.loads(data[start:stop] + b"}")
        start = stop + len(_BETWEEN)


def _json(values: Any) -> bytes:
    import orjson  # Python's own takes ten times as long where it indents

    json.dumps(values, allow_nan=False)  # it is strict, though: orjson would write null for NaN
    made: bytes = orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    return made


def _any_entries(data: bytes, name: str) -> Iterable[Any]:
    entries = json.loads(data)[name]
    return entries if isinstance(entries, list) else ()


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


def manifest_samples(path: Path) -> Packed[Mapping[str, Any]]:
    """What the manifest says of its samples; nothing where there is none, or it is damaged."""
    try:
        data = (path / MANIFEST).read_bytes()
    except OSError:
        return Packed()
    for read in (_entries, _any_entries):
        with suppress(ValueError, KeyError, TypeError):
            return Packed(sample for sample in read(data, "samples") if isinstance(sample, Mapping))
    return Packed()
