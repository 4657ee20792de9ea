"""LandCoverNet's classes."""

from __future__ import annotations

#: Names by class number, as the published label items give them (`file:values`).
LANDCOVERNET_CLASSES = (
    "No Data",
    "Water",
    "Artificial Bareground",
    "Natural Bareground",
    "Permanent Snow/Ice",
    "Woody Vegetation",
    "Cultivated Vegetation",
    "(Semi) Natural Vegetation",
)
