"""Index files that lie elsewhere: copied to the cache folder, and copied again when they have changed there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lcnkit.archive import Store, open_store
from lcnkit.cache_dir import cache_folder
from lcnkit.errors import DataError
from lcnkit.index.names import holds_items, is_hidden, matching, split_pattern
from lcnkit.secrets import scrub

# Seconds to connect, and to wait for the next bytes.
_TIMEOUT_S = (10.0, 60.0)
_CHUNK = 1 << 20
# Waits double from the first on.
_ATTEMPTS, _FIRST_WAIT_S = 4, 0.5
_WHY = {401: "it wants an account", 403: "it may not be read by everybody; only public files can be", 404: "there is no such file"}


class _NotThereError(Exception):
    """The server says that there is no such file."""


class _PassingError(Exception):
    """A failure that may pass."""


def remote_files(url: str, endpoint: str | None, *, again: bool = True) -> list[tuple[str, Path]]:
    """Copies of the files that ``url`` means, each with its name below a folder (``""`` for a single file), in order of their names.

    Args:
        url: Of a file (``https://``, ``s3://``), or in a bucket also of a folder, or with ``*`` in it; public.
        endpoint: Of the S3-compatible service of an ``s3://`` URL; ``None``: Amazon's.
        again: Ask the server what there is and whether it has changed; else copies that are there will do.

    Raises:
        DataError: They cannot be had.
    """
    folder, pattern = split_pattern(url) if url.startswith("s3://") else (url, "")
    try:
        store, address = open_store(folder, endpoint)
    except DataError as error:
        raise DataError(str(error).replace("dataset.root", "catalog.path").replace("dataset.endpoint", "catalog.endpoint")) from error
    if not pattern and (holds_items(folder) or not store.can_list):
        try:
            return [("", _copy(address, url, again=again))]
        except _NotThereError as error:
            if not store.can_list:
                raise DataError(f"catalog.path={scrub(url)} cannot be fetched: {error}") from error
            missing = str(error)
    else:
        missing = "it holds no .parquet file"
    try:
        names = _names(store, address, pattern, again=again)
    except OSError as error:
        raise DataError(f"catalog.path={scrub(url)}: {scrub(str(error))}. Look whether the bucket and catalog.endpoint are right.") from error
    if not names:
        raise DataError(f"catalog.path={scrub(url)} cannot be used: {missing}. Give a .parquet file, or the folder of some.")
    try:
        return [(name, _copy(store.readable(f"{folder.rstrip('/')}/{name}"), url, again=again)) for name in names]
    except _NotThereError as error:
        raise DataError(f"catalog.path={scrub(url)} changed while it was read: {error}. Run again.") from error


def _names(store: Store, address: str, pattern: str, *, again: bool) -> list[str]:
    """Names of the index files in a folder; what was found is noted, so that a worker need not ask."""
    noted = _place(f"{address} {pattern}").with_suffix(".json")
    if noted.exists() and not again:
        return [str(name) for name in json.loads(noted.read_text())]
    names = sorted(name for name in _listed(store, address) if matching(name, pattern))
    if names:
        _write(noted, lambda file: file.write(json.dumps(names).encode()))
    return names


def _listed(store: Store, folder: str, below: str = "") -> Iterator[str]:
    for entry in store.entries(folder):
        if is_hidden(entry.name):
            continue
        if entry.is_folder:
            yield from _listed(store, f"{folder}/{entry.name}", f"{below}{entry.name}/")
        elif holds_items(entry.name):
            yield f"{below}{entry.name}"


def _place(address: str) -> Path:
    return cache_folder() / "index" / "remote" / f"{hashlib.sha256(address.encode()).hexdigest()[:24]}.parquet"


def _copy(address: str, url: str, *, again: bool) -> Path:
    copy = _place(address)
    if copy.exists() and not again:
        return copy
    wait = _FIRST_WAIT_S
    for left in reversed(range(_ATTEMPTS)):
        try:
            _renew(copy, address)
            break
        except _PassingError as error:
            if not left:
                raise DataError(f"catalog.path={scrub(url)} cannot be fetched: {error} ({_ATTEMPTS} attempts)") from error
            time.sleep(wait)
            wait *= 2
        except OSError as error:
            raise DataError(f"catalog.path={scrub(url)} cannot be fetched: {scrub(' '.join(str(error).split()))[:300]}") from error
    return copy


def _renew(copy: Path, address: str) -> None:
    """Copy the file, unless the server says that the copy is as good."""
    import requests

    tag = copy.with_suffix(".etag")
    known = tag.read_text() if copy.exists() and tag.exists() else ""
    try:
        with requests.get(address, headers={"If-None-Match": known} if known else {}, timeout=_TIMEOUT_S, stream=True) as answer:
            if answer.status_code == 304:
                return
            if not answer.ok:
                raise _refusal(answer)
            _write(copy, lambda file: _fetch(answer, file))
            tag.write_text(answer.headers.get("ETag", ""))
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _PassingError(_cause(error)) from error


def _refusal(answer: Any) -> Exception:
    """What an answer says, in plain words; S3 gives its reason as a code in XML."""
    from lcnkit.raster.http import is_passing

    status, code = answer.status_code, re.search(r"<Code>(\w+)</Code>", answer.text[:2000])
    said = f"HTTP {status}{f' {code[1]}' if code else ''}"
    if is_passing(status):
        return _PassingError(said)
    if code and code[1] == "NoSuchBucket":
        return OSError(f"there is no such bucket ({said})")
    kind = _NotThereError if status in (404, 410) else OSError
    return kind(f"{_WHY.get(status, 'the server refuses')} ({said})")


def _cause(error: BaseException) -> str:
    text = scrub(" ".join(str(error).split()))
    innermost = re.findall(r"\[Errno -?\d+\] ([^'\")\]]+)", text)
    return innermost[-1] if innermost else text[-200:]


def _fetch(answer: Any, file: Any) -> None:
    for chunk in answer.iter_content(_CHUNK):
        file.write(chunk)
    wanted = answer.headers.get("Content-Length")
    if wanted is not None and not answer.headers.get("Content-Encoding") and file.tell() != int(wanted):
        raise _PassingError(f"the answer was cut: {file.tell()} of {wanted} bytes")


def _write(path: Path, fill: Any) -> None:
    """Write a file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            fill(file)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
