"""Claiming an output folder: one run at a time, and never two configurations in one data set."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lcnkit.errors import OutputError, OutputFull, SetupError
from lcnkit.journal import LOCK, OutputFolder, journaled_files
from lcnkit.output import FAILURES, MANIFEST, SELECTION, STATE, guarded, manifest_samples, write_json
from lcnkit.owner import OWNER, owner_text, write_owner

log = logging.getLogger(__name__)


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
    lock = FileLock(state / LOCK)
    with guarded(path, "lock the output folder"):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:  # which is an OSError too
            raise OutputError(
                f"Another run is using {path}: {owner_text(state)}. Wait for it to end, or choose another folder with output_dir=PATH."
            ) from error
    try:
        with guarded(path, "write"):
            write_owner(state)
        folder = _prepared(path, config, overwrite=overwrite)
        try:
            yield folder
        except SetupError as error:
            if not folder.resumed and not isinstance(error, OutputFull):
                _forget_start(path)
            raise
    finally:
        # The folder of the state goes before the lock is given up: afterwards it may be another run's.
        with suppress(OSError):
            (state / OWNER).unlink(missing_ok=True)
        if not any(entry.name != LOCK for entry in _entries(state)):
            shutil.rmtree(state, ignore_errors=True)
        lock.release()


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
    damaged = earlier is None and (path / STATE / "run.json").exists() and not (path / MANIFEST).exists()
    if damaged and not overwrite:
        log.warning("The record of the interrupted run in %s is damaged: it cannot go on, and begins anew", path)
    if overwrite or damaged:
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
        _remove_half_written(path)
    if earlier is None:
        with guarded(path, "write"):
            write_json(path / STATE / "run.json", config)
    return OutputFolder(path, resumed=earlier is not None)


def _lies_in(plan: Path, path: Path) -> bool:
    return path.resolve() in (plan.resolve(), plan.resolve().parent)


def differences(earlier: Any, now: Any, most: int = 8) -> list[str]:
    """What differs between two configurations, one ``key is A there and B now`` each."""
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


def _earlier_config(path: Path) -> Mapping[str, Any] | None:
    """The configuration of what is in the folder: that of the run under way, else that of the finished data set."""
    for file, key in ((path / STATE / "run.json", None), (path / MANIFEST, "config")):
        try:
            values = json.loads(file.read_bytes())
            config = values if key is None else values[key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(config, Mapping):
            return config
    return None


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


_OURS = ("items.pkl", "items", SELECTION, MANIFEST, FAILURES, "report.html")


def _looks_used(path: Path) -> list[str]:
    return [name for name in _OURS if (path / name).exists()]


def _remove_half_written(path: Path) -> None:
    """Files and folders that were to be renamed when they are whole."""
    for folder in ("", "*/", f"{STATE}/*/"):
        for entry in path.glob(f"{folder}.*.[0-9]*.partial"):
            _remove(entry)


def _wipe(path: Path) -> None:
    """Remove what a run leaves, and nothing else that may lie in the folder."""
    samples = {str(sample.get("file", "")) for sample in manifest_samples(path)} | journaled_files(path)
    written = {file.split("/")[0] for file in samples} - {"", ".", "..", STATE}
    for name in {*_OURS, *written, ".hydra"}:
        _remove(path / name)
    for entry in _entries(path / STATE):
        if entry.name not in (LOCK, OWNER):
            _remove(entry)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
