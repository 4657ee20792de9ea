"""STAC items and their assets, as light as a reader on a worker needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lcnkit.errors import MissingAsset, did_you_mean, listing
from lcnkit.model.href import resolve

if TYPE_CHECKING:
    import pystac


class OpenedFile(Protocol):
    """A file that is read in parts; threads may do so at once."""

    @property
    def error(self) -> OSError | None:
        """Why it could not be read, where that is known: errors do not pass through GDAL."""

    @property
    def size(self) -> int:
        """Bytes; 0 where the file cannot be had."""

    def whole(self) -> bytes | None:
        """All bytes, where the file is about as small as a chip; else ``None``."""

    def read(self, start: int, count: int, keep: bool = True) -> bytes:
        """The bytes from ``start``; fewer at the end of the file, none where they cannot be had.

        Args:
            keep: Whether they are likely to be wanted again.
        """


class Opener(Protocol):
    """Opens assets whose address is not enough: a server wants a header. It can be pickled and hashed, and holds no secret itself."""

    def serves(self, href: str) -> bool:
        """Whether an asset at ``href`` is to be opened by this."""

    def open(self, href: str) -> OpenedFile:
        """The file; nothing is asked of the server yet."""


@dataclass(frozen=True)
class Asset:
    """One file of an item."""

    item_id: str
    key: str
    href: str
    """Absolute: a path or a URL."""
    fields: Mapping[str, Any]
    """The asset's STAC fields as published (``raster:bands``, ``proj:shape``, ...)."""
    opener: Opener | None = None
    """What opens the file where ``href`` alone does not; `lcnkit.raster.gdal.read_raster` takes it."""

    @property
    def raster_band(self) -> Mapping[str, Any]:
        """The first entry of ``raster:bands`` (STAC raster extension 1) or ``bands`` (STAC 1.1).

        Raster extension 2 puts the same keys with a prefix, or on the asset itself; they are given here
        without it. Keys: ``nodata``, ``scale``, ``offset``, ``data_type``, as far as published.
        """
        merged: dict[str, Any] = {}
        entries = [self.fields, *(self.fields.get("bands") or [])[:1], *(self.fields.get("raster:bands") or [])[:1]]
        for entry in entries:
            for key in ("nodata", "scale", "offset", "data_type"):
                for name in (f"raster:{key}", key):
                    if entry.get(name) is not None:
                        merged[key] = entry[name]
        return merged


@dataclass(frozen=True)
class Item:
    """A STAC item: its JSON, and where that JSON was found.

    pystac's object costs 0.4 ms to make and most steps never need it: `to_pystac` makes one at the edge.
    """

    href: str
    """Absolute path or URL of the item's JSON; relative asset hrefs start from here."""
    document: Mapping[str, Any]
    """The item as published."""
    opener: Opener | None = None
    """Opens those of its assets whose address is not enough."""

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.document["id"])

    @property
    def properties(self) -> Mapping[str, Any]:
        """The item's properties; none where they are no object."""
        properties = self.document.get("properties")
        return properties if isinstance(properties, Mapping) else {}

    @property
    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        """The item's assets by key, as published; without what is no object."""
        assets = self.document.get("assets")
        if not isinstance(assets, Mapping):
            return {}
        sound = all(isinstance(fields, Mapping) for fields in assets.values())
        return assets if sound else {key: fields for key, fields in assets.items() if isinstance(fields, Mapping)}

    @property
    def links(self) -> list[Mapping[str, Any]]:
        """The item's links, as published; without what is no object."""
        links = self.document.get("links")
        return [link for link in links if isinstance(link, Mapping)] if isinstance(links, list) else []

    def asset(self, key: str) -> Asset:
        """The asset of that key.

        Raises:
            MissingAsset: The item has none; the message lists those it has.
        """
        fields = self.assets.get(key)
        if fields is None or "href" not in fields:
            raise MissingAsset(
                f"Item {self.id!r} has no asset {key!r}; it has {listing(sorted(self.assets))}."
                f"{did_you_mean(key, self.assets)} Choose among these with `bands=[...]`."
            )
        href = resolve(str(fields["href"]), self.href)
        return Asset(self.id, key, href, fields, self.opener if self.opener is not None and self.opener.serves(href) else None)

    def absolute(self) -> dict[str, Any]:
        """The item's JSON with absolute asset hrefs and no links, for libraries that take plain items."""
        assets = {key: {**fields, "href": resolve(str(fields.get("href", "")), self.href)} for key, fields in self.assets.items()}
        return {**self.document, "assets": assets, "links": []}

    def to_pystac(self) -> pystac.Item:
        """The pystac object, asset hrefs absolute."""
        import pystac

        return pystac.Item.from_dict(self.absolute())
