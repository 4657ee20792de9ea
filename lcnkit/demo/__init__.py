"""The embedded demo: a synthetic archive shaped like LandCoverNet, made on first use.

Same layout, same kinds of files, same gaps as the real thing, and no download: what works on the
demo works on an unpacked LandCoverNet region.
"""

from __future__ import annotations

from lcnkit.demo.archive import write_archive
from lcnkit.demo.cache import demo_root
from lcnkit.demo.options import DemoOptions

__all__ = ["DemoOptions", "demo_root", "write_archive"]
