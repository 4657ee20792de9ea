"""The machine that figures come from."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("lcnkit", "numpy", "pandas", "pyarrow", "rasterio", "dask", "stackstac", "odc-stac", "imagecodecs")


def machine(folder: Path) -> dict[str, str]:
    """CPU, memory, the file system of ``folder``, and versions: what a figure depends on besides the code."""
    return {
        "CPU": f"{_cpu()}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
        "memory": _memory(),
        "file system": _file_system(folder),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {found}" for name in _LIBRARIES if (found := _version(name))),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return "unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _file_system(folder: Path) -> str:
    """The type of the mount that holds ``folder``."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    path = str(folder.resolve())
    holding = [(place, kind) for place, kind in mounts if path == place or path.startswith(place.rstrip("/") + "/")]
    return max(holding, key=lambda mount: len(mount[0]))[1] if holding else "unknown"
