"""Where a run's data set lies; the demo is made here, on first use."""

from __future__ import annotations

import logging
import time

from lcnkit.demo import DemoOptions, demo_root
from lcnkit.errors import DataError
from lcnkit.options import build
from lcnkit.settings import Dataset
from lcnkit.terminal import progress

log = logging.getLogger(__name__)


def ensure_root(dataset: Dataset) -> str:
    """The folder of the data set.

    Raises:
        DataError: The data set names no folder, and is no demo.
        OutputError: The demo cannot be written to the cache folder.
    """
    if dataset.root is not None:
        return dataset.root
    if dataset.demo is None:
        raise DataError("The data set has no root: give the folder of your archive with dataset.root=PATH, or try dataset=demo.")
    options = build(DemoOptions, dataset.demo, "dataset.demo")
    started = time.perf_counter()
    with progress(options.chips, "demo") as advance:
        root = demo_root(options, lambda done, total: advance(False))
    took = time.perf_counter() - started
    if took > 1:
        log.info("demo       made in %.0f s, kept in %s", took, root)
    return str(root)
