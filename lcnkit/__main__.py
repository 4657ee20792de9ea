"""``python -m lcnkit``."""

import sys

from lcnkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
