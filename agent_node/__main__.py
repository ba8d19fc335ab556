"""`python -m agent_node …` is `heliograph node …` without the search for other commands: 5 MB less per node."""

import sys

from agent_node.command import COMMAND
from heliograph.cli import run

sys.exit(run({"node": COMMAND}, ["node", *sys.argv[1:]]))
