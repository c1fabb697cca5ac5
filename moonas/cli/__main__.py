"""Entry point of ``python -m moonas.cli``."""

import sys

from . import main

sys.exit(main())
