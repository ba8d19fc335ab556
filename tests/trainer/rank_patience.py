"""`heliograph train` of a rank that lets the first one tell how it has ended, however long that still takes to begin.

torchrun … tests/trainer/rank_patience.py ARGUMENT …
"""

from __future__ import annotations

import sys

from heliograph.cli import main
from trainer.ranks import launched

launched.LEAVING_S = 300.0  # while the other rank still starts its worker, it does not hear of this one

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
