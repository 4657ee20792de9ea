"""The plan: every candidate with the choice made, as a table that outlives the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import COLUMNS
from lcnkit.errors import PlanError, listing
from lcnkit.output import SELECTION, whole_file
from lcnkit.selection import Shape

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"lcnkit"
_ATTRS = b"PANDAS_ATTRS"
# Rows that are written at a time: a table of hundreds of thousands is not held twice.
_ROWS = 100_000


@dataclass(frozen=True)
class Plan:
    """All candidates of a run, chosen or not, and why."""

    table: pd.DataFrame
    """`lcnkit.candidates.COLUMNS`, one row per chip and candidate."""
    chip_ids: tuple[str, ...]
    """The chips that were planned, also those without a candidate."""
    n_periods: int
    shape: Shape

    def without_rows(self) -> Plan:
        """The same plan, its rows left to ``selection.parquet``: a large table is not wanted in memory while pixels are read."""
        return replace(self, table=self.table.iloc[:0].copy())


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan as Parquet; the same plan gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.Schema.from_pandas(plan.table.head(_ROWS), preserve_index=False)
    about = {"n_periods": plan.n_periods, "by_period": plan.shape.by_period, "n_frames": plan.shape.n_frames}
    metadata = {
        **(schema.metadata or {}),
        _KEY: json.dumps({**about, "chip_ids": plan.chip_ids}),
        # What pandas gives back as `attrs` and writes again; not the chips, which an edited plan may hold fewer of.
        _ATTRS: json.dumps({"lcnkit": about}),
    }
    schema = schema.with_metadata(metadata)
    with whole_file(path, durable=True) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(plan.table), _ROWS):
            part = pa.Table.from_pandas(plan.table.iloc[start : start + _ROWS], schema, preserve_index=False, nthreads=1)
            writer.write_table(part.replace_schema_metadata(metadata))


def load_plan(path: Path, shape: Shape) -> Plan:
    """Read a plan, also one that was edited with pandas: then its chips are those that have a row.

    Args:
        path: The file, or the output folder that holds it.
        shape: Used where the file no longer says how its frames are meant.

    Raises:
        PlanError: The file is absent, no Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path.expanduser()
    path = path / SELECTION if path.is_dir() else path
    try:
        stored = pq.read_table(path)
    except FileNotFoundError as error:
        raise PlanError(f"The plan {path} does not exist. Give the selection.parquet of an earlier run with plan=PATH.") from error
    except (OSError, pa.ArrowException) as error:
        raise PlanError(f"The plan {path} cannot be read: {error}") from error
    table: pd.DataFrame = stored.to_pandas().reset_index(drop=True)
    needed = [name for name in COLUMNS if name not in ("rank", "reason", "cloud_source")]
    missing = [name for name in needed if name not in table.columns]
    metadata = stored.schema.metadata or {}
    about: Mapping[str, Any] = json.loads(metadata.get(_KEY, b"{}")) or json.loads(metadata.get(_ATTRS, b"{}")).get("lcnkit", {})
    # A run whose chips have no candidate at all has such a plan; an edited one without a row is a mistake.
    if missing or not (len(table) or about.get("chip_ids")):
        what = f"lacks the columns {listing(missing)}" if missing else "has no row"
        raise PlanError(f"The plan {path} {what}. Give the selection.parquet of an earlier run, or a copy of it that was edited.")
    for name, filler in (("rank", 0), ("reason", ""), ("cloud_source", "")):
        if name not in table.columns:
            table[name] = filler
    return Plan(
        table=_typed(table, path)[list(COLUMNS)],
        chip_ids=tuple(about.get("chip_ids") or table["chip_id"].unique()),
        n_periods=int(about.get("n_periods") or table["n_periods"].iloc[0]),
        shape=Shape(about["by_period"], about["n_frames"]) if "by_period" in about else shape,
    )


def _typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns in their own types, which editing may have changed; nothing is chosen that is not marked so.

    Raises:
        PlanError: A column holds something else.
    """
    import pandas as pd

    column = ""
    try:
        for column, (kind, _) in COLUMNS.items():
            if kind.startswith("datetime64"):
                table[column] = pd.to_datetime(table[column], utc=True, format="ISO8601")
            elif kind == "bool":
                table[column] = table[column].astype("boolean").fillna(False)
            elif kind == "str":
                table[column] = table[column].astype(object).where(table[column].notna(), "")
            else:
                table[column] = pd.to_numeric(table[column])
            table = table.astype({column: kind})
    except (TypeError, ValueError) as error:
        raise PlanError(f"The plan {path}: the column `{column}` must hold {COLUMNS[column][0]} ({COLUMNS[column][1]}): {error}") from error
    return table
