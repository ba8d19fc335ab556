"""`python -m heliograph` is the console script."""

import sys

from heliograph.cli import main

sys.exit(main())
