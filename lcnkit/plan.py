"""The plan: every candidate with the choice made, as a table that outlives the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import COLUMNS
from lcnkit.errors import PlanError, listing
from lcnkit.output import whole_file
from lcnkit.selection import Shape

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"lcnkit"


@dataclass(frozen=True)
class Plan:
    """All candidates of a run, chosen or not, and why."""

    table: pd.DataFrame
    """`lcnkit.candidates.COLUMNS`, one row per chip and candidate."""
    chip_ids: tuple[str, ...]
    """The chips that were planned, also those without a candidate."""
    n_periods: int
    shape: Shape


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan as Parquet; the same plan gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(plan.table, preserve_index=False)
    about = {"chip_ids": plan.chip_ids, "n_periods": plan.n_periods, "by_period": plan.shape.by_period, "n_frames": plan.shape.n_frames}
    with whole_file(path) as file:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: json.dumps(about)}), file, compression="zstd")


def load_plan(path: Path, shape: Shape) -> Plan:
    """Read a plan, also one that was edited with pandas.

    Args:
        shape: Used where the file no longer says how its frames are meant (pandas drops that when it writes).

    Raises:
        PlanError: The file is absent, no Parquet, or lacks a column.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stored = pq.read_table(path)
    except FileNotFoundError as error:
        raise PlanError(f"The plan {path} does not exist. Give the selection.parquet of an earlier run with plan=PATH.") from error
    except (OSError, pa.ArrowException) as error:
        raise PlanError(f"The plan {path} cannot be read: {error}") from error
    table: pd.DataFrame = stored.to_pandas()
    needed = [name for name in COLUMNS if name not in ("rank", "reason", "cloud_source")]
    missing = [name for name in needed if name not in table.columns]
    if missing or not len(table):
        what = f"lacks the columns {listing(missing)}" if missing else "has no row"
        raise PlanError(f"The plan {path} {what}. Give the selection.parquet of an earlier run, or a copy of it that was edited.")
    about: Mapping[str, Any] = json.loads((stored.schema.metadata or {}).get(_KEY, b"{}"))
    for name, filler in (("rank", 0), ("reason", ""), ("cloud_source", "")):
        if name not in table.columns:
            table[name] = filler
    return Plan(
        table=table.astype({"selected": bool, "period": "int64"})[list(COLUMNS)],
        chip_ids=tuple(about.get("chip_ids") or table["chip_id"].unique()),
        n_periods=int(about.get("n_periods") or table["n_periods"].iloc[0]),
        shape=Shape(about["by_period"], about["n_frames"]) if "by_period" in about else shape,
    )
