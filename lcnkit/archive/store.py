"""Stores: where the files of an archive lie, and how they are read and listed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from lcnkit.model.href import is_url

T = TypeVar("T")
R = TypeVar("R")
# Bytes read at once: an item fits.
_PART = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A file or folder of a folder."""

    name: str
    is_folder: bool


@dataclass(frozen=True)
class Store:
    """The disk; stores elsewhere derive from it. Hrefs are absolute paths here, URLs there.

    What goes wrong is an `OSError`: `FileNotFoundError` where there is no such file, any other where nobody can tell.
    """

    is_remote: ClassVar[bool] = False
    """Whether every read is a request."""
    can_list: ClassVar[bool] = True
    """Whether `entries` works; web servers do not list."""

    def read(self, href: str) -> bytes:
        """The bytes of a file."""
        # Half the system calls of `open`: a crawl reads 150,000 small files.
        file = os.open(href, os.O_RDONLY)
        try:
            parts = []
            while part := os.read(file, _PART):
                parts.append(part)
                if len(part) < _PART:
                    break
            return b"".join(parts)
        finally:
            os.close(file)

    def exists(self, href: str) -> bool:
        """Whether there is such a file."""
        return os.path.exists(href)

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, by name; nothing where there is no such folder."""
        try:
            with os.scandir(folder) as found:
                every = [Entry(entry.name, entry.is_dir()) for entry in found if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(every, key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder."""
        return [entry.name for entry in self.entries(folder) if entry.is_folder]

    def readable(self, href: str) -> str:
        """The href as anybody can read it: what this store alone understands becomes a URL."""
        return href

    def map(self, function: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """``function`` of each thing, in order; many at once where each waits for an answer."""
        return map(function, things)


DISK = Store()


def open_store(root: str, endpoint: str | None = None) -> tuple[Store, str]:
    """The store that ``root`` lies in, and ``root`` as an absolute path or an ``http(s)://`` URL, without a slash at its end.

    Args:
        root: A path, ``https://...`` or ``s3://bucket/prefix``.
        endpoint: Of the S3-compatible service, for an ``s3://`` root; ``None`` is Amazon's own.

    Raises:
        DataError: ``root`` has a scheme that nobody here can read.
    """
    if root.startswith("s3://"):
        from lcnkit.archive.s3 import S3

        bucket = S3.of(root, endpoint)
        return bucket, bucket.readable(root).rstrip("/")
    if root.startswith(("http://", "https://")):
        from lcnkit.archive.http import Http

        return Http(), root.rstrip("/")
    if is_remote(root):
        from lcnkit.errors import DataError

        raise DataError(f"dataset.root={root}: no such place can be read; give a path, https://... or s3://BUCKET/PREFIX.")
    # Not `expanduser` of pathlib, which raises where there is no such user.
    return DISK, os.path.abspath(os.path.expanduser(root.removeprefix("file://")))


def is_remote(root: str) -> bool:
    """Whether ``root`` lies on a web server or in a bucket."""
    return is_url(root) and not root.startswith("file://")


def store_of(href: str) -> Store:
    """The store that an absolute href can be read from without knowing more."""
    return open_store(href)[0] if is_url(href) else DISK
