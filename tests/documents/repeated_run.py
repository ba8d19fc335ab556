"""Copies of a run folder under other seeds, as if its training had been repeated: `SOURCE COPY…`."""

import json
import shutil
import sys
from pathlib import Path

source, *copies = map(Path, sys.argv[1:])
for place, copy in enumerate(copies):
    shutil.copytree(source, copy)
    settings = json.loads((copy / "settings.json").read_text())
    (copy / "settings.json").write_text(json.dumps(settings | {"seed": 100 + place}))
