"""``python -m symgrad.compat.theano program.py arguments``: run a program of Theano's."""

from __future__ import annotations

import sys

from symgrad.compat.theano_names.running import main

if __name__ == "__main__":
    sys.exit(main())
