"""JSON of the output folder: long lists written and read entry by entry, in the bytes that they have as a whole."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lcnkit.output import holds_json_with, manifest_samples, write_json, write_json_with


@given(
    st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text()), min_size=1, max_size=3),
    st.lists(st.dictionaries(st.text(), st.lists(st.integers(-5, 5), max_size=3) | st.text(), max_size=3), max_size=4),
)
def test_a_long_list_is_written_entry_by_entry_in_the_same_bytes(values: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        values.pop("samples", None)
        values["lcnkit"] = 1
        write_json_with(path / "a.json", values, "samples", iter(entries))
        write_json(path / "b.json", {**values, "samples": entries})
        assert (path / "a.json").read_bytes() == (path / "b.json").read_bytes()
        assert holds_json_with(path / "a.json", values, "samples", iter(entries))
        assert not holds_json_with(path / "a.json", {**values, "lcnkit": 2}, "samples", entries)
        assert not holds_json_with(path / "a.json", values, "samples", [*entries, {}])
        assert not entries or not holds_json_with(path / "a.json", values, "samples", entries[:-1])
        assert not holds_json_with(path / "absent.json", values, "samples", entries)
        (path / "a.json").rename(path / "manifest.json")
        assert list(manifest_samples(path)) == entries
        (path / "manifest.json").write_text(json.dumps({"samples": entries, **values}, indent=1), encoding="utf-8")
        assert list(manifest_samples(path)) == entries, "in any other layout, too"


@given(st.integers(0, 10**6), st.sampled_from(["cut", "{", "]", "x", '"']))
def test_a_manifest_that_is_damaged_tells_of_no_sample(place: int, damage: str) -> None:
    """Wherever it is: what is left of it is no evidence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.json")
        write_json_with(path, {"lcnkit": 1, "config": {"a": [1, 2]}}, "samples", [{"chip_id": name, "facts": {"n": [1]}} for name in "abc"])
        text = path.read_text()
        place %= len(text)
        path.write_text(text[:place] if damage == "cut" else f"{text[:place]}{damage}{text[place + 1 :]}")
        try:
            found = json.loads(path.read_bytes())["samples"]
        except (ValueError, KeyError):
            found = []
        assert list(manifest_samples(Path(folder))) == found
