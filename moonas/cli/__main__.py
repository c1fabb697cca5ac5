"""Entry point of ``python -m moonas.cli``."""

import sys

from . import run_script

sys.exit(run_script())
