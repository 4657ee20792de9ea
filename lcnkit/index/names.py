"""Names of stac-geoparquet files: which files of a folder are meant."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

_ENDS = (".parquet", ".geoparquet")


def holds_items(name: str) -> bool:
    """Whether a file of that name is stac-geoparquet."""
    return name.endswith(_ENDS)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not for others."""
    return name.startswith((".", "_"))


def files_below(folder: str) -> list[str]:
    """Index files in a folder on disk and those inside it, by their names below it."""
    found: list[str] = []
    for home, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [os.path.relpath(os.path.join(home, name), folder) for name in names if holds_items(name) and not is_hidden(name)]
    return sorted(found)


def split_pattern(path: str) -> tuple[str, str]:
    """A path or ``s3://`` URL with ``*`` or ``?`` in it: the folder before them, and the pattern below it (``""`` without them)."""
    parts = path.split("/")
    first = next((place for place, part in enumerate(parts) if "*" in part or "?" in part), None)
    return (path, "") if first is None else ("/".join(parts[:first]), "/".join(parts[first:]))


def matching(name: str, pattern: str) -> bool:
    """Whether a name below a folder fits a pattern, folder by folder; any fits none."""
    names, patterns = name.split("/"), pattern.split("/")
    return not pattern or (len(names) == len(patterns) and all(map(fnmatchcase, names, patterns)))
