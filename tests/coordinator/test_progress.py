"""Progress inside a longer work counts there, and shows no bar of its own."""

from coordinator.observers.progress import Progress, counted_by


def test_inner_progress_counts_on_the_outer_one(capsys, monkeypatch):
    monkeypatch.setattr("coordinator.observers.progress.LINE_INTERVAL_S", 0.0)
    with Progress("cells", total=6) as outer:
        for name in ("one", "two"):
            with counted_by(outer.advance), Progress(name, total=3) as inner:
                inner.advance()
                inner.reach(3)
    said = capsys.readouterr().err
    assert [line.split(",")[0] for line in said.splitlines()] == [f"cells: {done}/6" for done in range(1, 6)]


def test_afterwards_progress_shows_itself_again(capsys, monkeypatch):
    monkeypatch.setattr("coordinator.observers.progress.LINE_INTERVAL_S", 0.0)
    counted = []
    with counted_by(lambda: counted.append(1)), Progress("inner", total=2) as inner:
        inner.reach(2)
    with Progress("alone", total=2) as bar:
        bar.advance()
    assert len(counted) == 2
    assert capsys.readouterr().err.startswith("alone: 1/2")
