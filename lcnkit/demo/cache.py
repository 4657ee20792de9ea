"""The demo archive in the cache folder: made once, whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import fields
from pathlib import Path

from lcnkit.cache_dir import CACHE_VARIABLE, cache_folder
from lcnkit.demo.archive import Progress, write_archive
from lcnkit.demo.options import DemoOptions
from lcnkit.errors import OutputError

#: Part of the folder's name; raise it whenever the same options come to give other bytes.
FORMAT_VERSION = 1


def demo_root(options: DemoOptions, progress: Progress | None = None) -> Path:
    """The folder of the archive in the cache, made on first use.

    Safe to call from several processes at once: one makes the archive, the others wait for it.

    Args:
        options: Which archive.
        progress: Called after each chip with the number of chips done and of all chips; not called
            when the archive is there already.

    Raises:
        OutputError: The cache folder cannot be written.
    """
    root = cache_folder() / "demo" / _folder_name(options)
    try:
        if not root.is_dir():
            _make_once(options, root, progress)
    except (OSError, NotImplementedError) as error:  # filelock raises the latter where files cannot be locked
        raise OutputError(
            f"The demo archive cannot be made in {root}: {error}. Set {CACHE_VARIABLE} to a folder that can be written and has room."
        ) from error
    return root


def _folder_name(options: DemoOptions) -> str:
    values = (f"{field.name}-{getattr(options, field.name)}" for field in fields(options))
    return "_".join([f"v{FORMAT_VERSION}", *values])


def _make_once(options: DemoOptions, root: Path, progress: Progress | None) -> None:
    from filelock import FileLock

    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if root.is_dir():  # another process made it while this one waited
            return
        part = root.parent / f".{root.name}.part"
        # Only the holder of the lock writes here, so what lies here is of a process that died.
        shutil.rmtree(part, ignore_errors=True)
        try:
            write_archive(options, part, progress)
            os.rename(part, root)
        except BaseException:  # also KeyboardInterrupt: half an archive is of no use
            shutil.rmtree(part, ignore_errors=True)
            raise
