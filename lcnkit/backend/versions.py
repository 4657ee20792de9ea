"""Do client, scheduler and workers have the same packages? Asked before the first task, and shown as a table.

Only functions of the standard library are sent, by reference: they run where lcnkit is not installed, and under another Python.
"""

from __future__ import annotations

import importlib.metadata
import logging
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lcnkit.errors import BackendError

log = logging.getLogger(__name__)

Policy = Literal["refuse", "warn", "ignore"]

MISSING = "not installed"

# What travels between the processes, or decides which pixels come out. The scheduler handles no pixels.
_EXACT, _MINOR, _LOOSE = ("dask", "distributed"), ("python", "numpy"), ("cloudpickle", "pandas", "rasterio")
_ON_SCHEDULER = ("python", "dask", "distributed", "cloudpickle")


@dataclass(frozen=True)
class Difference:
    """A package that is not the same everywhere."""

    package: str
    client: str
    scheduler: str
    """Empty where the scheduler does not need it."""
    workers: tuple[tuple[str, int], ...]
    """Versions and how many workers have them."""
    matters: bool
    """Whether a run must not start."""

    @property
    def lacking(self) -> bool:
        """Whether some worker does not have it at all."""
        return any(version == MISSING for version, _ in self.workers)


def check_versions(client: Any, policy: Policy) -> None:
    """Compare what this process, the scheduler and the workers of a Dask client have installed.

    Raises:
        BackendError: Packages differ that matter, and ``policy`` is ``refuse``.
    """
    if policy == "ignore":
        return
    found = differences(client)
    serious = [one for one in found if one.matters]
    if serious and policy == "refuse":
        raise BackendError(f"The workers have other packages than this process:\n\n{table(serious)}\n\n{_advice(serious)}")
    if found:
        log.warning("The workers have other packages than this process:\n\n%s\n", table(found))


def differences(client: Any) -> list[Difference]:
    """Packages that differ; those that matter first."""
    found = []
    for package in ("python", "lcnkit", *plugin_packages(), *_EXACT, "numpy", *_LOOSE):
        here = _here(package)
        workers = Counter(_workers(client, package))
        scheduler = _scheduler(client, package) if package in _ON_SCHEDULER else ""
        others = [*workers, *([scheduler] if scheduler else [])]
        if any(version != here for version in others):
            matters = package not in _LOOSE and any(_significant(package, version) != _significant(package, here) for version in others)
            found.append(Difference(package, here, scheduler, tuple(sorted(workers.items())), matters))
    return sorted(found, key=lambda one: not one.matters)


def plugin_packages() -> list[str]:
    """Installed packages with plugins that a worker may need: what offers nothing but backends stays with the client."""
    return sorted({point.dist.name for point in importlib.metadata.entry_points(group="lcnkit") if point.dist and _on_workers(point)} - {"lcnkit"})


def table(rows: Sequence[Difference]) -> str:
    """The differences for a person, in plain text."""
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    schedulers = any(row.scheduler for row in rows)
    for name in ("package", "client", *(["scheduler"] if schedulers else []), "workers"):
        shown.add_column(name)
    for row in rows:
        workers = ", ".join(f"{version} ({count})" if len(row.workers) > 1 else version for version, count in row.workers)
        shown.add_row(row.package, row.client, *([row.scheduler] if schedulers else []), workers)
    text = io.StringIO()
    Console(file=text, width=120, color_system=None, force_terminal=False).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def _advice(rows: Iterable[Difference]) -> str:
    lacking = [row for row in rows if row.lacking]
    wanted = " ".join(f"{row.package}=={row.client}" for row in (lacking or rows) if row.package != "python")
    what = "Install on the workers what they lack" if lacking else "Install the same on the workers"
    advice = f"{what}: pip install {wanted}" if wanted else f"Run the workers with Python {platform.python_version()}"
    return f"{advice}; or choose an image that has it. backend.versions=warn goes on all the same."


def _here(package: str) -> str:
    if package == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # lcnkit from a folder
        return MISSING


def _workers(client: Any, package: str) -> Iterator[str]:
    question = (platform.python_version,) if package == "python" else (importlib.metadata.version, package)
    for answer in client.run(*question, on_error="return").values():
        if isinstance(answer, str):
            yield answer
        elif isinstance(answer, importlib.metadata.PackageNotFoundError):
            yield MISSING
        else:  # a worker that went while it was asked; its successor has the same packages
            log.debug("a worker did not say its version of %s: %r", package, answer)


def _scheduler(client: Any, package: str) -> str:
    try:
        if package == "python":
            return str(client.run_on_scheduler(platform.python_version))
        return str(client.run_on_scheduler(importlib.metadata.version, package))
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _significant(package: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if package in _MINOR else version


def _on_workers(point: importlib.metadata.EntryPoint) -> bool:
    try:
        module = point.load()
    except Exception:  # a broken plugin is reported where plugins are loaded; it is of no use to workers either
        return False
    return {name for name in dir(module) if name.startswith("lcnkit_")} != {"lcnkit_backend"}
