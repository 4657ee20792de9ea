"""The plan: every candidate with the choice made, as a table that outlives the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.candidates import COLUMNS
from lcnkit.errors import PlanError, listing
from lcnkit.model import Interval
from lcnkit.output import SELECTION, guarded, whole_file
from lcnkit.selection import Shape

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KEY = b"lcnkit"
_ATTRS = b"PANDAS_ATTRS"
# Rows of a row group, however many come in at a time: the same rows give the same bytes.
_ROWS = 8192
# Rows that are read together: a year of 400 chips.
_ROWS_READ = 32_768


@dataclass(frozen=True)
class Plan:
    """What was planned; the candidates themselves are in a file."""

    path: Path
    """``selection.parquet``, once it is written."""
    chip_ids: tuple[str, ...]
    """The chips that were planned, also those without a candidate."""
    n_periods: int
    shape: Shape
    strategy: Mapping[str, Any] | None = None
    """Who chose: the strategy's name and options; ``None`` where that is not known."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """All candidates, chosen or not, and why: `lcnkit.candidates.COLUMNS`, one row per chip and candidate.

        Read from the file when it is first asked for: of thousands of chips it takes hundreds of megabytes.
        """
        return SavedPlan(self.path, self.shape).table


class PlanWriter:
    """Writes the file of a plan as its candidates come in; it appears when the ``with`` block ends well.

    Raises:
        OutputError: It cannot be written.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stack = ExitStack()
        self._waiting: list[pa.Table] = []

    def __enter__(self) -> PlanWriter:
        import pyarrow.parquet as pq

        self._schema = _schema_of(self._plan)
        with self._guarded():
            file = self._stack.enter_context(whole_file(self._plan.path, durable=True))
            self._file = self._stack.enter_context(pq.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True))
        return self

    def add(self, table: pd.DataFrame) -> None:
        """Write the candidates of some chips."""
        import pyarrow as pa

        for start in range(0, len(table), _ROWS):  # some at a time: as Arrow has them, texts are there a second time
            some = table.iloc[start : start + _ROWS][list(COLUMNS)]
            rows = pa.Table.from_pandas(some, self._schema, preserve_index=False, nthreads=1)
            self._waiting.append(rows.replace_schema_metadata(self._schema.metadata))
            if sum(map(len, self._waiting)) >= _ROWS:
                self._write(_ROWS)

    def each(self, tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The same tables, each written when it is taken."""
        for table in tables:
            self.add(table)
            yield table

    def __exit__(self, *error: Any) -> None:
        with self._guarded():
            if error[0] is None:
                self._write(1)
            self._stack.__exit__(*error)

    def _write(self, least: int) -> None:
        """Whole row groups of what waits, as long as there are so many rows."""
        import pyarrow as pa

        every = pa.concat_tables(self._waiting) if self._waiting else self._schema.empty_table()
        start = 0
        with self._guarded():
            while len(every) - start >= least:
                self._file.write_table(every.slice(start, _ROWS))
                start += min(_ROWS, len(every) - start)
        self._waiting = [every.take(pa.array(range(start, len(every)), "int64"))]  # a slice would hold all of them
        pa.default_memory_pool().release_unused()  # what is freed of a part would stay with Arrow, and its memory grow with the parts

    def _guarded(self) -> Any:
        return guarded(self._plan.path.parent, "write the plan")


def _schema_of(plan: Plan) -> pa.Schema:
    """The columns in their types, and what the file says of the plan."""
    import pandas as pd
    import pyarrow as pa

    kinds = {name: "object" if kind == "str" else kind for name, (kind, _) in COLUMNS.items()}
    row = pd.DataFrame({name: pd.Series([""] if kind == "object" else [0], dtype=kind) for name, kind in kinds.items()})
    schema = pa.Schema.from_pandas(row, preserve_index=False)
    about = {"n_periods": plan.n_periods, "by_period": plan.shape.by_period, "n_frames": plan.shape.n_frames, "strategy": plan.strategy}
    metadata = {
        **(schema.metadata or {}),
        _KEY: json.dumps({**about, "chip_ids": plan.chip_ids}),
        # What pandas gives back as `attrs` and writes again; not the chips, which an edited plan may hold fewer of.
        _ATTRS: json.dumps({"lcnkit": about}),
    }
    return schema.with_metadata(metadata)


# What a plan that was edited may lack, and what stands for it then.
_FILLERS: Mapping[str, Any] = {"rank": 0, "reason": "", "cloud_source": ""}


class SavedPlan:
    """A plan that is there, also one that was edited with pandas: then its chips are those that have a row."""

    def __init__(self, path: Path, shape: Shape) -> None:
        """Nothing is read yet but what the file says of itself.

        Args:
            path: The file, or the output folder that holds it.
            shape: Used where the file no longer says how its frames are meant.

        Raises:
            PlanError: The file is absent, no Parquet, or lacks a column.
        """
        import pyarrow.parquet as pq

        path = path.expanduser()
        self.path = path / SELECTION if path.is_dir() else path
        with self._reading():
            self._file = pq.ParquetFile(self.path, page_checksum_verification=True)
        schema = self._file.schema_arrow
        columns = schema.empty_table().to_pandas().reset_index(drop=True).columns
        missing = [name for name in COLUMNS if name not in columns and name not in _FILLERS]
        metadata = schema.metadata or {}
        about: Mapping[str, Any] = json.loads(metadata.get(_KEY, b"{}")) or json.loads(metadata.get(_ATTRS, b"{}")).get("lcnkit", {})
        # A run whose chips have no candidate, or no label that can be read, has such a plan; an edited one without a row is a mistake.
        if missing or not (self._file.metadata.num_rows or "chip_ids" in about):
            what = f"lacks the columns {listing(missing)}" if missing else "has no row"
            raise PlanError(f"The plan {self.path} {what}. Give the selection.parquet of an earlier run, or a copy of it that was edited.")
        self.plan = Plan(
            self.path,
            chip_ids=tuple(about.get("chip_ids") or self.chips_with_rows),
            n_periods=int(about.get("n_periods") or next(self._tables())["n_periods"].iloc[0]),
            shape=Shape(about["by_period"], about["n_frames"]) if "by_period" in about else shape,
            strategy=about.get("strategy"),
        )

    @cached_property
    def chips_with_rows(self) -> tuple[str, ...]:
        """Ids of the chips that have a candidate, in the order of the first."""
        with self._reading():
            every = (batch["chip_id"].to_pylist() for batch in self._file.iter_batches(_ROWS_READ, columns=["chip_id"], use_threads=False))
            return tuple(dict.fromkeys(str(chip_id) for some in every for chip_id in some if chip_id is not None))

    @cached_property
    def interval(self) -> Interval | None:
        """The days that were planned; ``None`` where no candidate tells."""
        first = next(self._tables())
        if not len(first) or first[["interval_start", "interval_end"]].iloc[0].isna().any():
            return None
        start, end = first["interval_start"].iloc[0], first["interval_end"].iloc[0]
        return Interval(start.date(), end.date() - timedelta(days=1))

    def parts(self) -> Iterator[pd.DataFrame]:
        """The candidates, some thousand after the other; at least one table.

        Raises:
            PlanError: The file is damaged, a column holds something else than it must, or what is selected lies in no period.
        """
        for table in self._tables():
            nowhere = table["selected"] & ((table["period"] < 1) | (table["period"] > self.plan.n_periods))
            if nowhere.any():
                row = table[nowhere].iloc[0]
                raise PlanError(
                    f"The plan {self.path} selects {row['item_id']} of chip {row['chip_id']} in period {row['period']}; there are the periods 1 "
                    f"to {self.plan.n_periods}. Take the choice back (selected=False), or give the row its period."
                )
            yield table

    def _tables(self) -> Iterator[pd.DataFrame]:
        import pyarrow as pa

        with self._reading():
            empty = () if self._file.metadata.num_rows else (self._file.schema_arrow.empty_table(),)
            for some in chain(empty, self._file.iter_batches(_ROWS_READ, use_threads=False)):
                table = some.to_pandas().reset_index(drop=True)
                for name, filler in _FILLERS.items():
                    if name not in table.columns:
                        table[name] = filler
                yield _typed(table, self.path)[list(COLUMNS)]
                pa.default_memory_pool().release_unused()

    @property
    def table(self) -> pd.DataFrame:
        """All candidates, see `Plan.table`."""
        import pandas as pd

        return pd.concat(list(self.parts()), ignore_index=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except FileNotFoundError as error:
            raise PlanError(f"The plan {self.path} does not exist. Give the selection.parquet of an earlier run with plan=PATH.") from error
        except (OSError, pa.ArrowException) as error:
            raise PlanError(f"The plan {self.path} cannot be read: {str(error).rstrip('.')}.") from error


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
