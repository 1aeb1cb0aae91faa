"""Lets `python -m iris_core.cli` stand for `iris`."""

import sys

from iris_core.cli.main import main

sys.exit(main())
