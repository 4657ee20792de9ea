"""The configuration of each run of a sweep, composed once.

Hydra composes those of all runs before the first one starts, so that mistakes are found early, and each again when it is
its turn. Composing one takes longer than planning and reading a few chips does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Configurations that wait for their run; of larger sweeps, the others are composed twice.
_MOST_KEPT = 64


@contextmanager
def composed_once() -> Iterator[None]:
    """Inside the block, what Hydra has composed for a job is given to the next who asks for it, once."""
    # Hydra takes sweepers of one's own from its own packages only, and asks none of them where to compose.
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    compose = ConfigLoaderImpl.load_sweep_config
    kept: dict[tuple[str, ...], Any] = {}
    given: set[tuple[str, ...]] = set()

    def load_sweep_config(self: Any, master_config: Any, sweep_overrides: list[str]) -> Any:
        job = tuple(sweep_overrides)
        if job in kept:
            given.add(job)
            return kept.pop(job)
        config = compose(self, master_config, sweep_overrides)
        # Of two jobs that are alike, the second must not get what Hydra has completed for the first.
        if len(kept) < _MOST_KEPT and job not in given:
            kept[job] = config
        return config

    ConfigLoaderImpl.load_sweep_config = load_sweep_config  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_sweep_config = compose  # type: ignore[method-assign]
