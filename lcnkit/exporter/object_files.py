"""Whole files in a bucket or any other place that fsspec knows, written and read in one piece."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from lcnkit.errors import ConfigError, OutputError
from lcnkit.secrets import scrub

# Stores where an object appears when it is whole. Elsewhere a file is written beside, and renamed.
_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}
# Those that obstore can serve where fsspec's own package (s3fs, gcsfs, adlfs) is not installed.
_OBSTORE = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "abfs"}


def put(url: str, content: bytes, options: Mapping[str, Any]) -> None:
    """Write a file; it appears under its name when it is whole.

    Raises:
        OSError: It cannot be written.
    """
    system, protocol, path = _opened(url, options)
    with _as_os_errors(url):
        if protocol in _WHOLE:
            system.pipe_file(path, content)
            return
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        beside = f"{path}.{os.getpid()}.partial"
        system.pipe_file(beside, content)
        system.mv(beside, path)


def get(url: str, options: Mapping[str, Any]) -> bytes:
    """The whole file.

    Raises:
        OSError: It cannot be read.
    """
    system, _, path = _opened(url, options)
    with _as_os_errors(url):
        content: bytes = system.cat_file(path)
    return content


def size(url: str, options: Mapping[str, Any]) -> int | None:
    """Bytes of the file, ``None`` where it is not there."""
    system, _, path = _opened(url, options)
    try:
        with _as_os_errors(url):
            return int(system.info(path)["size"])
    except FileNotFoundError:
        return None


def try_out(url: str, options: Mapping[str, Any]) -> None:
    """Write a small file and remove it.

    Raises:
        OutputError: That is not possible.
    """
    trial = f"{url.rstrip('/')}/.lcnkit-trial-{os.getpid()}"
    try:
        put(trial, b"lcnkit", options)
        system, _, path = _opened(trial, options)
        system.rm_file(path)
    except ConfigError:
        raise
    except Exception as error:  # every store has errors of its own
        why = scrub(" ".join(str(error).split()))[:300] or type(error).__name__
        raise OutputError(
            f"exporter.url={scrub(url)} cannot be written: {why} Credentials come from the environment (AWS_ACCESS_KEY_ID, ...), other "
            "options of the store from exporter.store_options."
        ) from error


@contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """What a store's own errors say, as an error that the rest of lcnkit knows: the store may answer another time."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConnectionError(f"{scrub(url)}: {scrub(' '.join(str(error).split()))[:300]}") from error


def _opened(url: str, options: Mapping[str, Any]) -> tuple[Any, str, str]:
    """File system, protocol, and the path in it."""
    protocol, _, path = url.partition("://")
    return _system(protocol, json.dumps(options, sort_keys=True)), protocol, path


@lru_cache(maxsize=4)
def _system(protocol: str, options: str) -> Any:
    import fsspec

    given: dict[str, Any] = json.loads(options)
    try:
        return fsspec.filesystem(protocol, **given)
    except (ImportError, ValueError) as error:
        if protocol not in _OBSTORE:
            raise ConfigError(f"exporter.url: {protocol}:// cannot be used: {error}.") from error
    try:
        from obstore.fsspec import FsspecStore
    except ImportError as error:
        raise ConfigError(
            f'exporter.url: {protocol}:// needs a package: pip install "lcnkit[remote]" (obstore), or fsspec\'s own ({error}).'
        ) from error
    store: Any = FsspecStore  # typed for each protocol apart
    return store(_OBSTORE[protocol], **given)
