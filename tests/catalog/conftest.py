"""Files of items."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from indexed import written


@pytest.fixture
def file(tiny, tmp_path: Path) -> Path:
    return written(tiny.root, tmp_path / "items.parquet")


@pytest.fixture
def parts(file: Path, tmp_path: Path) -> Path:
    """The file in two parts, a folder each, and what is not for us."""
    with pq.ParquetFile(file) as opened:
        table, metadata = opened.read(), opened.metadata.metadata
    for number, part in enumerate((table.slice(0, 4), table.slice(4))):
        path = tmp_path / "parts" / f"day={number}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(part.replace_schema_metadata({b"geo": metadata[b"geo"]}), path)
    (tmp_path / "parts" / ".hidden").mkdir()
    (tmp_path / "parts" / ".hidden" / "x.parquet").write_bytes(b"not for us")
    (tmp_path / "parts" / "_metadata.parquet").write_bytes(b"not for us")
    (tmp_path / "parts" / "README.txt").write_text("read me")
    return tmp_path / "parts"
