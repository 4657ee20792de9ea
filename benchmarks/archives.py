"""Archives to measure on: made by the demo generator, and widened by naming its rasters many times.

A demo of 24 chips with 72 acquisitions takes a minute and a gigabyte, one of 9,000 would take hours. Copies of its chips
have label items and items of their own, whose assets are the rasters of the demo: for a reader they are chips like others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lcnkit.demo import DemoOptions, write_archive
from lcnkit.demo.stac import LABELS, SOURCE

ACQUISITIONS = 72
# Between copies of a chip where each is to have a place of its own: a chip of 2.56 km takes 0.025 degrees.
_STEP_DEGREES = 0.07
#: Items per row group, as `python -m lcnkit index` writes them.
_ROW_GROUP = 2500


def demo(home: Path, **options: Any) -> Path:
    """A demo archive in ``home``, made where it is not there yet."""
    wanted = DemoOptions(**{"acquisitions": ACQUISITIONS, **options})
    root = home / "_".join(["demo", *(f"{name}-{value}" for name, value in vars(wanted).items())])
    if not root.is_dir():
        part = root.with_name(f".{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        write_archive(wanted, part)
        part.rename(root)
    return root


@dataclass(frozen=True)
class Wide:
    """Label items and items of ``chips`` chips, which share the rasters of ``base``."""

    base: Path
    """A demo archive."""
    root: Path
    """Where the copies are, beside ``base``."""
    chips: int
    apart: bool = False
    """Whether each copy has its own place in the metadata; its rasters stay where they are."""
    cloud_known: bool = False
    """Whether all items say their cloud cover; in the demo one chip in eight has none."""

    def write(self, *, items: bool) -> Wide:
        """The label collection, and the items as JSON where ``items``; nothing is done where they are there."""
        if not self.root.is_dir():
            part = self.root.with_name(f".{self.root.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            self._write(part, items=items)
            part.rename(self.root)
        return self

    def index(self, path: Path, root: str | None = None) -> Path:
        """The items as stac-geoparquet, as if their JSON lay below ``root`` (a path or URL; by default where the copies are)."""
        import shapely

        from lcnkit.index.writer import Writer

        items = self._items()
        with Writer(path) as writer:
            while documents := list(islice(items, _ROW_GROUP)):
                selves = [f"{root or self.root}/{SOURCE}/{document['id']}/stac.json" for document in documents]
                outlines = shapely.polygons([document["geometry"]["coordinates"][0] for document in documents])
                writer.add(documents, selves, outlines, [])
            writer.finish()
        return path

    def _write(self, root: Path, *, items: bool) -> None:
        for name, documents in ((LABELS, self._labels()), *([(SOURCE, self._items())] if items else [])):
            (root / name).mkdir(parents=True)
            links = []
            for document in documents:
                (root / name / document["id"]).mkdir()
                (root / name / document["id"] / "stac.json").write_text(json.dumps(document), encoding="utf-8")
                links.append({"rel": "item", "href": f"./{document['id']}/stac.json", "type": "application/json"})
            collection = _read(self.base / name / "collection.json")
            collection["links"] = [link for link in collection["links"] if link["rel"] != "item"] + links
            (root / name / "collection.json").write_text(json.dumps(collection), encoding="utf-8")
        catalog = _read(self.base / "catalog.json")
        catalog["links"] = [link for link in catalog["links"] if link["rel"] != "child" or items or LABELS in link["href"]]
        (root / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")

    def _labels(self) -> Iterator[dict[str, Any]]:
        names = self._base_chips()
        read = {name: _read(self.base / LABELS / f"{LABELS}_{name}" / "stac.json") for name in names}
        for number in range(self.chips):
            turn, position = divmod(number, len(names))
            yield self._copy(read[names[position]], LABELS, names[position], turn)

    def _items(self) -> Iterator[dict[str, Any]]:
        names = self._base_chips()
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for path in sorted((self.base / SOURCE).glob("*/stac.json")):
            document = _read(path)
            found[document["id"].removeprefix(f"{SOURCE}_").rpartition("_")[0]].append(document)
        for number in range(self.chips):
            turn, position = divmod(number, len(names))
            for document in found[names[position]]:
                yield self._copy(document, SOURCE, names[position], turn)

    def _base_chips(self) -> list[str]:
        return sorted(path.name.removeprefix(f"{LABELS}_") for path in (self.base / LABELS).glob(f"{LABELS}_*"))

    def _copy(self, document: dict[str, Any], collection: str, chip: str, turn: int) -> dict[str, Any]:
        """The item of another chip with the same rasters."""
        name = document["id"].replace(f"_{chip}", f"_{chip}c{turn:04d}")
        properties = dict(document["properties"])
        if self.cloud_known and collection == SOURCE:
            properties.setdefault("eo:cloud_cover", (turn * 7 + int(name[-4:])) % 101)
        shift = turn * _STEP_DEGREES if self.apart else 0.0
        ring = [[round(x + shift, 7), y] for x, y in document["geometry"]["coordinates"][0]]
        west, south, east, north = document["bbox"]
        home = f"{'../' * 3}{self.base.name}/{collection}/{document['id']}"
        return {
            **document,
            "id": name,
            "bbox": [west + shift, south, east + shift, north],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": properties,
            "links": [link for link in document["links"] if link["rel"] != "source"],
            "assets": {key: {**asset, "href": f"{home}/{asset['href'].removeprefix('./')}"} for key, asset in document["assets"].items()},
        }


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
