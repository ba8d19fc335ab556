"""`python -m heliograph` is the console script."""

import os
import sys

from heliograph.cli import main

if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    # The console script does not search the current folder either, unless an environment in it is asked for by name.
    del sys.path[0]

sys.exit(main())
