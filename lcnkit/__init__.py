"""lcnkit: training-ready chips from STAC label collections and satellite time series.

    from lcnkit import compose, prepare, open_dataset

    report = prepare(compose(["+strategy=season_min_cc", "n_periods=3"]))
    samples = open_dataset(report.output)

Names are imported on first use, so that importing lcnkit costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcnkit.config import compose as compose
    from lcnkit.dataset import Samples as Samples
    from lcnkit.dataset import open_dataset as open_dataset
    from lcnkit.hookspecs import hookimpl as hookimpl
    from lcnkit.pipeline import Report as Report
    from lcnkit.pipeline import prepare as prepare
    from lcnkit.settings import Dataset as Dataset
    from lcnkit.settings import LabelOptions as LabelOptions
    from lcnkit.settings import Run as Run
    from lcnkit.settings import Source as Source

__version__ = "0.1.0"

_HOMES = {
    "compose": "lcnkit.config",
    "prepare": "lcnkit.pipeline",
    "Report": "lcnkit.pipeline",
    "open_dataset": "lcnkit.dataset",
    "Samples": "lcnkit.dataset",
    "hookimpl": "lcnkit.hookspecs",
    "Run": "lcnkit.settings",
    "Source": "lcnkit.settings",
    "Dataset": "lcnkit.settings",
    "LabelOptions": "lcnkit.settings",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lcnkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
