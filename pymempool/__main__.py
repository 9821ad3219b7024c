# SPDX-License-Identifier: MIT
"""`python -m pymempool` is the command `pymempool`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
