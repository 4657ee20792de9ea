"""Where lcnkit keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

#: Environment variable that names the cache folder.
CACHE_VARIABLE = "LCNKIT_CACHE_DIR"


def cache_folder() -> Path:
    """The cache folder as an absolute path: ``LCNKIT_CACHE_DIR``, else the user's cache folder. It may not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("lcnkit")).absolute()
