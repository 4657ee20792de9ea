"""Index files that lie elsewhere: copied to the cache folder, and copied again when they have changed there."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

from lcnkit.cache_dir import cache_folder
from lcnkit.errors import DataError
from lcnkit.secrets import scrub

# Seconds to connect, and to wait for the next bytes.
_TIMEOUT_S = (10.0, 60.0)
_CHUNK = 1 << 20


def local_copy(url: str, endpoint: str | None = None, *, again: bool = True) -> Path:
    """A file on this machine with what ``url`` (``https://`` or ``s3://``, public) holds.

    Args:
        url: Of the file.
        endpoint: Of the S3-compatible service of an ``s3://`` URL.
        again: Ask whether it has changed; else a copy that is there will do.

    Raises:
        DataError: It cannot be had.
    """
    import requests

    from lcnkit.archive import open_store

    address = open_store(url, endpoint)[1]  # of s3://, the address that anybody can read
    copy = cache_folder() / "index" / "remote" / f"{hashlib.sha256(address.encode()).hexdigest()[:24]}.parquet"
    tag = copy.with_suffix(".etag")
    if copy.exists() and not again:
        return copy
    try:
        known = tag.read_text() if copy.exists() and tag.exists() else ""
        headers = {"If-None-Match": known} if known else {}
        with requests.get(address, headers=headers, timeout=_TIMEOUT_S, stream=True) as answer:
            if answer.status_code != 304:
                answer.raise_for_status()
                _fetch(answer, copy)
                tag.write_text(answer.headers.get("ETag", ""))
    except (requests.RequestException, OSError) as error:
        raise DataError(f"catalog.path={scrub(url)} cannot be fetched: {scrub(' '.join(str(error).split()))[:300]}") from error
    return copy


def _fetch(answer: Any, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_name(f".{copy.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
        wanted = answer.headers.get("Content-Length")
        if wanted is not None and not answer.headers.get("Content-Encoding") and part.stat().st_size != int(wanted):
            raise OSError(f"the answer was cut: {part.stat().st_size} of {wanted} bytes")
        os.replace(part, copy)
    finally:
        part.unlink(missing_ok=True)
