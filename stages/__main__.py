"""`python -m stages`: the ready-made stages, in the terminal."""

from __future__ import annotations

import sys

from ._catalogue import main

if __name__ == "__main__":
    sys.exit(main())
