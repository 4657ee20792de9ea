"""Archives: label and source collections, wherever they lie and whatever their layout.

STAC or LandCoverNet's host layout; on disk, on a web server, or in an S3 bucket.
"""

from lcnkit.archive.archive import Archive, folder_of
from lcnkit.archive.collection import Collection, load_item
from lcnkit.archive.store import DISK, Store, open_store

__all__ = ["DISK", "Archive", "Collection", "Store", "folder_of", "load_item", "open_store"]
