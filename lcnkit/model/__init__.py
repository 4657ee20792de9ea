"""The data that travel between the steps: small, frozen, and free of any plugin or configuration."""

from lcnkit.model.chip import Chip, Interval
from lcnkit.model.grid import Grid
from lcnkit.model.item import Asset, Item
from lcnkit.model.packed import Packed, PackedDict
from lcnkit.model.receipt import Failure, Receipt
from lcnkit.model.sample import Frame, Image, Sample

__all__ = ["Asset", "Chip", "Failure", "Frame", "Grid", "Image", "Interval", "Item", "Packed", "PackedDict", "Receipt", "Sample"]
