"""The report of a small team: everything in one folder, and a page that needs nothing else."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team

from analysis.audit.condition import LINK, WORLD
from analysis.audit.document import AuditDocument, Matrices
from analysis.audit.evidence import Check, Influence
from analysis.bandwidth import sweep
from analysis.bandwidth.cell import CellResult, Failure
from analysis.bandwidth.command import COMMAND
from analysis.bandwidth.report.document import Layer
from analysis.bandwidth.report.folder import read_document
from analysis.bandwidth.report.formatting import number
from analysis.bandwidth.report.page import SECTIONS, page
from heliograph import cli

pytestmark = pytest.mark.drawn

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def bandwidth(*arguments):
    """The exit code; argparse leaves by an exception."""
    try:
        return cli.run({"bandwidth": COMMAND}, ["bandwidth", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return save_team(relay_bundles(3, length=6), tmp_path_factory.mktemp("team") / "bundles")


@pytest.fixture(scope="module")
def folder(bundles, tmp_path_factory):
    """A whole report, of a sweep over erasure."""
    pytest.importorskip("matplotlib")
    out = tmp_path_factory.mktemp("report")
    assert bandwidth(bundles, "--local", "--episodes", 6, "--sweep", "erasure=0,1", "--seeds", "1,2", "--out", out) == 0
    return out


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        named = dict(attributes)
        self.ids.append(named.get("id"))
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.slow
def test_the_page_holds_every_section_and_loads_nothing(folder):
    text = (folder / "report.html").read_text()
    page = Reader(text)
    assert page.open == []
    assert [name for name in page.ids if name] == list(SECTIONS)
    assert {link[0] for link in page.links if not link.startswith("data:image/png;base64,")} == {"#"}
    assert page.tags.count("img") == len(list(folder.glob("*.png")))
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "http" not in text.replace("HTTP", "").replace("http2", "")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_page(folder, tmp_path):
    from matplotlib.image import imread

    picture = tmp_path / "page.png"
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile")
    address = (folder / "report.html").as_uri()
    command = [CHROMIUM, *options, "--window-size=1200,3000", f"--screenshot={picture}", address]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    pixels = (imread(picture)[:, :, :3] * 255).astype(int) @ [1, 256, 65536]
    assert pixels.shape == (3000, 1200)
    # Down to the bottom there is more than ground: sections, with texts and plots in colours.
    assert all(len(np.unique(part)) > 50 for part in np.array_split(pixels, 6))


def test_the_document_says_what_was_played_and_found(folder):
    document = json.loads((folder / "report.json").read_text())
    assert {link["missing"] for link in document["links"]} == {0}
    assert [layer["how"] for layer in document["layers"]] == ["computed"] * 5
    sizes = [layer["bytes_per_message"] for layer in document["layers"][1:]]
    assert sizes == sorted(sizes)
    assert document["sweep"]["cells"] == {"finished": 6, "all": 6}
    (erasure,) = (curve for curve in document["sweep"]["curves"] if curve["axis"] == "erasure")
    assert [point["value"] for point in erasure["points"]] == ["0", "1"]
    assert erasure["points"][0]["score"] == document["sweep"]["clear_level"]
    assert erasure["points"][1]["score"] == document["sweep"]["blind_level"]
    assert erasure["points"][1]["read_bits"] == 0
    assert document["settings"]["episodes"] == 6
    assert "heliograph" in document["versions"]


@pytest.mark.slow
def test_the_sentences_quote_the_tables(folder):
    report = read_document(folder)
    *inner, outermost = report.layers
    assert outermost.name == "IP"

    def text_of(*layers: Layer) -> str:
        return " ".join(re.sub(r"<[^>]+>", " ", page(replace(report, layers=layers), {})).split())

    measured = [*inner[:-1], replace(inner[-1], how="measured", bytes_per_message=65.6)]
    told = text_of(*measured, replace(outermost, how="computed", bytes_per_message=125.4))
    assert "a message takes 125.4 bytes at IP (computed), with all that carries it" in told
    assert "125.4 bytes per message at IP, computed" in told
    assert told.count("65.6") == 1, "in the table alone"
    told = text_of(*measured, replace(outermost, how="not measured", bytes_per_message=None))
    assert "a message takes 65.6 bytes at gRPC / HTTP/2 (measured); what IP adds is not known" in told
    assert "with all that carries it" not in told
    told = text_of(*report.layers)
    assert f"{report.summary.episodes} episodes" in told
    assert f"An agent sends {number(report.summary.bits_per_agent_step)} bits per step, actions included" in told


def test_every_plot_has_its_numbers_as_csv(folder):
    rows = {path.name: read_csv(path) for path in folder.glob("*.csv")}
    assert len(rows["links.csv"]) == 6
    assert len(rows["entropy.csv"]) == 4
    assert len(rows["cells.csv"]) == 6
    assert [row["axis"] for row in rows["curves.csv"]] == ["clear", "blind", "erasure", "erasure"]
    assert {row["runs"] for row in rows["curves.csv"]} == {"2"}
    assert {row["how"] for row in rows["layers.csv"]} == {"computed"}


@pytest.mark.slow
def test_resuming_measures_nothing_again_and_adds_to_the_report(folder, bundles, tmp_path, capsys):
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    (again / "trace.jsonl.gz").unlink()
    for cell in list((again / "cells").iterdir())[:2]:
        cell.unlink()
    arguments = (bundles, "--local", "--episodes", 6, "--sweep", "erasure=0,1", "--seeds", "1,2", "--out", again)
    assert bandwidth(*arguments) == 2
    assert "holds a sweep already" in capsys.readouterr().err
    assert bandwidth(*arguments, "--resume") == 0
    assert not (again / "trace.jsonl.gz").exists(), "the measured run was not played again"
    before, after = (json.loads((each / "report.json").read_text())["sweep"] for each in (folder, again))
    assert after["curves"] == before["curves"]


def test_without_matplotlib_there_are_tables_and_a_page(bundles, tmp_path, monkeypatch, capsys):
    for name in ["matplotlib", *(name for name in sys.modules if name.startswith("matplotlib."))]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr("analysis.bandwidth.report.plots", raising=False)
    monkeypatch.delitem(sys.modules, "analysis.bandwidth.report.plots", raising=False)
    assert bandwidth(bundles, "--local", "--episodes", 2, "--out", tmp_path) == 5
    assert "pip install 'heliograph[bandwidth]'" in capsys.readouterr().err
    assert Reader((tmp_path / "report.html").read_text()).tags.count("img") == 0
    assert (tmp_path / "layers.csv").exists()


@pytest.mark.slow
def test_without_jinja_there_is_all_but_the_page(bundles, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert bandwidth(bundles, "--local", "--episodes", 2, "--out", tmp_path) == 5
    told = capsys.readouterr()
    assert "making the page needs jinja2" in told.err
    assert "bytes by layer" in told.out
    assert {"report.json", "layers.csv", "layers.png"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_failed_cell_is_told_and_decides_the_exit_code(bundles, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    play = sweep.run_cell

    def sometimes(cell, *arguments, **keywords):
        if cell.setting.channel == "erasure=0.5":
            return CellResult(cell=cell, found=Failure(reason="node 1 <died>", exit_code=6))
        return play(cell, *arguments, **keywords)

    monkeypatch.setattr(sweep, "run_cell", sometimes)
    arguments = ("--local", "--episodes", 2, "--sweep", "erasure=0.5,1", "--out", tmp_path)
    assert bandwidth(bundles, *arguments) == 6
    said = capsys.readouterr().out
    assert "node 1 <died>" in said
    assert "3 of 4 cells are finished" in said
    assert "node 1 &lt;died&gt;" in (tmp_path / "report.html").read_text()
    document = json.loads((tmp_path / "report.json").read_text())
    (erasure,) = (curve for curve in document["sweep"]["curves"] if curve["axis"] == "erasure")
    assert [point["value"] for point in erasure["points"]] == ["1"]


def test_the_matrix_tells_never_from_not_tried(folder):
    def reached(check, *path):
        return Influence(check=check, path=path, scripts=1, delay=None, after_message=None, actions=0, latents=0)

    audit = AuditDocument(
        **dict.fromkeys(("format", "title", "environment"), ""),
        **dict.fromkeys(("bundles", "world_share", "unused_links", "leaks", "untested"), ()),
        **dict.fromkeys(("version", "run_seed"), 0),
        **dict.fromkeys(("pairs", "triples"), (0, 0)),
        agents=2,
        greedy=True,
        interrupted=False,
        refuted=True,
        checks=(Check(name="isolation", verdict="refuted", said="0 -> 1"),),
        influence=Matrices(world_graph=((None, 1), (None, None)), one_link=((None, None), (3, None))),
        influences=(reached(WORLD, 0, 1), reached(WORLD, 1, 0), reached(LINK, 1, 0)),
    )
    text = page(replace(read_document(folder), influence=audit), {})
    matrices = text[text.index('<div class="figures">') : text.index("</figure>\n</div>")]
    cells = re.findall(r'<td class="(?:never|after\d)">([^<]*)</td>', matrices)
    assert cells == ["", "1", "never", "", "", "not tried", "3", ""]
    assert "refutes" in text


@pytest.mark.slow
def test_texts_are_escaped(folder):
    report = read_document(folder)
    text = page(
        replace(
            report,
            remarks=("<script>alert(1)</script>",),
            layers=(replace(report.layers[0], note='a & "b"'),),
            settings={**report.settings, "environment": "<b>"},
        ),
        {},
    )
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "a &amp; &#34;b&#34;" in text
    assert "<b>," not in text
    assert "&lt;b&gt;</title>" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--codec", "entropy", "--codec", "repeats"], "one codec"),
        (["--codec", "morse"], "unknown codec 'morse'"),
        (["--codec", "entropy"], "tables"),
        (["--resume"], "are for sweeps"),
        (["--jobs", "2"], "are for sweeps"),
        (["--local-cells"], "are for sweeps"),
        (["--sweep", "erasure=2"], "erasure must be a probability"),
        (["--sweep", "codec=repeats", "--sweep", "erasure=0.5"], "needs a reliable link"),
        (["--sweep", "--jobs", "2"], "in parallel"),
        (["--sweep", "--local", "--seeds", "1,1"], "each once"),
        (["--seeds", "one"], "not whole numbers"),
        (["--local", "--namespaces"], "has no links"),
        (["--link-loss", "0.5"], "on the loopback"),
        (["--channel", "erasure=2"], "erasure must be a probability"),
        (["--bundles", "x"], "unrecognized arguments: --bundles"),
        (
            ["--audit", "nowhere.json", "--local", "--episodes", "1"],
            "cannot read the audit nowhere.json: there is no such file",
        ),
    ],
)
def test_what_cannot_be_played_is_told_before_anything_starts(bundles, tmp_path, capsys, arguments, said):
    out = tmp_path / "out"
    assert bandwidth(bundles, *arguments, "--out", out) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_a_team_that_says_nothing_costs_nothing_and_has_nothing_to_sweep(tmp_path, capsys):
    bundles, out = save_team(relay_bundles(2, messages=False), tmp_path / "bundles"), tmp_path / "out"
    assert bandwidth(bundles, "--episodes", 2, "--out", out) == 0
    assert "sends no messages at execution" in capsys.readouterr().out
    shown = (out / "report.html").read_text()
    assert "These bundles send no messages." in shown
    assert "whose agents send no messages, comes to" in shown
    assert "With its messages" not in shown
    report = json.loads((out / "report.json").read_text())
    assert report["summary"]["bits_per_agent_step"] == 0
    alone, centre = report["alternatives"]
    assert (alone["bits_per_agent_step"], alone["ratio"]) == (0, None)
    assert centre["name"] == "central execution"
    assert centre["bits_per_agent_step"] > 0
    assert report["layers"][0]["bytes_per_agent_step"] == 0
    assert (report["information"], report["codecs"]) == (None, [])
    assert bandwidth(bundles, "--local", "--sweep", "--out", tmp_path / "swept") == 2
    assert "send no messages, so there is nothing to sweep over" in capsys.readouterr().err


def test_recost_costs_a_trace_again_without_the_team(folder, tmp_path, capsys):
    trace = folder / "trace.jsonl.gz"
    arguments = ("recost", trace, "--codec", "bit-packed", "--codec", "repeats", "--out", tmp_path)
    assert bandwidth(*arguments) == 0
    assert "repeats" in capsys.readouterr().out
    document = json.loads((tmp_path / "recost.json").read_text())
    assert [each["codec"] for each in document["codecs"]] == ["bit-packed", "repeats"]
    rows = read_csv(tmp_path / "recost.csv")
    measured = json.loads((folder / "report.json").read_text())["summary"]
    assert len(rows) == 2 * measured["messages"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recost", "TRACE"], "required: --codec"),
        (["recost", "--codec", "repeats"], "required: TRACE"),
        (["recost", "TRACE", "--codec", "morse"], "unknown codec 'morse'"),
        (["recost", "TRACE", "--codec", "repeats", "--episodes", "3"], "unrecognized arguments: --episodes"),
        (["recost", "nowhere", "--codec", "repeats"], "nowhere"),
        (["recost", "CUT", "--codec", "repeats"], "CUT"),
        (["recost", "FOREIGN", "--codec", "repeats"], "FOREIGN"),
        (["language", "FOREIGN"], "FOREIGN"),
    ],
)
def test_bad_traces_and_arguments_are_told(folder, tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    whole = (folder / "trace.jsonl.gz").read_bytes()
    (tmp_path / "TRACE").write_bytes(whole)
    (tmp_path / "CUT").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "FOREIGN").write_text('{"hello": 1}\n')
    assert bandwidth(*arguments) == 2
    assert said in capsys.readouterr().err
