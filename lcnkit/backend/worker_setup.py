"""What every worker does before its first chip, local or not."""

from __future__ import annotations

import importlib
from typing import Any

from distributed import WorkerPlugin

from lcnkit.backend.worker_needs import WANTED_BY_EVERY_CHIP
from lcnkit.memory import keep_freed_memory

#: The name of the plugin on a cluster: it is registered once, however many runs use the cluster.
NAME = "lcnkit"


def set_up() -> None:
    """Make this process a worker: freed memory stays for the next chip, libraries are loaded."""
    keep_freed_memory()
    for library in WANTED_BY_EVERY_CHIP:
        importlib.import_module(library)


class WorkerSetup(WorkerPlugin):
    """Sets up the workers of an existing cluster, those too that join later."""

    name = NAME

    def setup(self, worker: Any) -> None:
        """Called by Dask in each worker."""
        set_up()
