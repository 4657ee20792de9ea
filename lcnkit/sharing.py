"""What the runs of a sweep have in common: workers that stay, tables that are made once, pixels that are read once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lcnkit.contracts import Backend, Pool
from lcnkit.errors import ConfigError
from lcnkit.options import describe
from lcnkit.raster.plane_cache import PlaneCache

T = TypeVar("T")


class Sharing:
    """Shared by the runs inside a ``with`` block; what is left of it ends with the block.

    A run on its own has one to itself, which changes nothing.
    """

    def __init__(self, *, several: bool = False) -> None:
        """What nothing has been put into yet.

        Args:
            several: More than one run is to come: what is made once is kept for the next. Else it is gone when nobody uses it any more.
        """
        self.several = several
        self._stack = ExitStack()
        self._pools: list[tuple[Backend, Pool]] = []
        self._made: dict[Hashable, Any] = {}
        self._planes: Path | None = None
        self._folders: set[str] = set()

    def __enter__(self) -> Sharing:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process (a launcher's) nothing is shared."""
        return _nothing, ()

    def __exit__(self, *error: Any) -> None:
        self._made.clear()
        self._stack.__exit__(*error)

    def take(self, folder: str) -> None:
        """Give a folder to the run that asks first: with ``overwrite=true`` the next one would remove what that one has just made.

        Raises:
            ConfigError: Another run has it.
        """
        if folder in self._folders:
            raise ConfigError(
                f"An earlier run of this sweep has the folder {folder}: folders are named for the overrides, but not for dataset.root, plan and "
                "backend. Give each run a folder of its own: 'hydra.sweep.subdir=${hydra.job.num}'."
            )
        self._folders.add(folder)

    def pool(self, backend: Backend) -> Pool:
        """Workers of the backend, the same for all runs that set it up alike; they end with the block."""
        for known, pool in self._pools:
            if known == backend:
                return pool
        pool = self._stack.enter_context(backend.open())
        self._pools.append((backend, pool))
        return pool

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives for the key, made by the first run that asks; nobody may change it."""
        if not self.several:
            return make()
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def each_once(self, key: Hashable, make: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What ``make`` gives one after the other: kept as in `once`, or gone when the next is there."""
        return iter(self.once(key, lambda: list(make()))) if self.several else make()

    def planes(self, limit: int) -> PlaneCache:
        """Planes kept for the next runs, up to so many bytes, in a folder that goes with the block."""
        if self._planes is None:
            self._planes = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lcnkit-planes-", ignore_cleanup_errors=True)))
        return PlaneCache(self._planes, limit)


def key_of(*parts: Any) -> str:
    """What decides a result, as text: objects that are set up alike have the same."""
    return json.dumps([[type(part).__qualname__, describe(part)] for part in parts], sort_keys=True, default=str)


def _nothing() -> None:
    return None


@contextmanager
def shared(sharing: Sharing | None) -> Iterator[Sharing]:
    """What other runs share, or for a run on its own something that ends with it."""
    if sharing is not None:
        yield sharing
        return
    with Sharing() as own:
        yield own
