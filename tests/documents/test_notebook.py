"""The notebook of examples/ runs from its first cell to its last, shrunk, and is kept without what it printed."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "score_against_erasure.ipynb"
DEADLINE_S = 240
"""For one cell on a busy machine; a cell that hangs is a failure."""

nbformat = pytest.importorskip("nbformat")


def test_it_is_kept_without_outputs() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not [cell for cell in cells if cell.outputs or cell.execution_count is not None]


@pytest.mark.slow
def test_it_trains_runs_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("torch")
    monkeypatch.setenv("HELIOGRAPH_QUICK", "1")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    document = nbformat.read(NOTEBOOK, as_version=4)
    with warnings.catch_warnings():
        # The kernel's client closes its sockets when it is collected.
        warnings.simplefilter("ignore", ResourceWarning)
        nbclient.NotebookClient(document, timeout=DEADLINE_S, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in document.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert (tmp_path / "runs" / "erasure-quick" / "bundles" / "agent-1").is_dir()
