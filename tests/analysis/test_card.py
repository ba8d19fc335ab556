"""Model cards: what they say was measured of exactly these bundles, or is `unknown`; hubs and people can read them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from relay_team import relay_bundles, relay_plan

from analysis.card.card import Card, card_of
from analysis.card.evaluation import read_evaluation
from analysis.card.page import page
from coordinator.running.local import evaluate
from heliograph import bundle as bundles
from heliograph.certificates.signing_keys import make_signing_key, read_trusted_key
from heliograph.cli import main
from heliograph.documents import write_json
from heliograph.run_status import RunState, RunStatus, write_status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder's bundles, and `report.json` of them in both conditions."""
    bundles.save_team(relay_bundles(2), tmp_path / "run" / "bundles")
    found = evaluate(relay_plan(2, episodes=4, greedy=True, conditions=("open", "cut"), run_seed=5))
    write_json(found.as_dict(), tmp_path / "run" / "report.json")
    return tmp_path / "run"


def card(run: Path, *words: str, code: int = 0) -> None:
    assert main(["card", str(run), "--report", str(run / "report.json"), *words]) == code


def front(text: str) -> dict[str, object]:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def the_card(run: Path, **words: str) -> Card:
    team = bundles.load_team(run / "bundles")
    evaluation = read_evaluation(run / "report.json", None, team, remedy="")
    return card_of(team, evaluation, name="a team", licence="unknown", training_seed=None, signing_key=None)


def refused(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    capsys.readouterr()
    card(run, *words, code=2)
    return capsys.readouterr().err.splitlines()[-1]


def test_a_card_says_what_the_report_says(run: Path) -> None:
    (run / "settings.json").write_text('{"seed": 31}')
    write_status(run, RunStatus(state=RunState.FINISHED))
    card(run, "--licence", "apache-2.0", "--name", "pair: one")
    text = (run / "card" / "README.md").read_text()
    opened, cut = json.loads((run / "report.json").read_text())["summaries"]
    for summary in (opened, cut):
        estimate = summary["outcome"]
        assert f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}], 4 episodes" in text
    assert f"| bits per agent and step | {opened['bits_per_agent_step']:.1f} |" in text
    for said in ("| training seed | 31 |", "evaluation seed 5", "| audit of decentralised execution | not audited |"):
        assert said in text
    for bundle in bundles.load_team(run / "bundles"):
        assert bundle.digest in text
    head = front(text)
    assert (head["license"], head["library_name"]) == ("apache-2.0", "heliograph")
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == pytest.approx(opened["outcome"]["mean"], abs=1e-4)
    assert head["model-index"][0]["name"] == "pair: one"
    assert json.loads((run / "card" / "card.json").read_text())["training_seed"] == 31
    assert json.loads((run / "card" / "evaluation.json").read_text())["run_seed"] == 5


@pytest.mark.parametrize(("state", "said"), [(RunState.INTERRUPTED, True), (RunState.FINISHED, False)])
def test_a_training_that_is_not_finished_is_told(run: Path, state: RunState, said: bool) -> None:
    (run / "settings.json").write_text('{"seed": 31}')
    write_status(run, RunStatus(state=state, env_steps=12))
    card(run)
    assert ("Of a training that is not finished: interrupted." in (run / "card" / "README.md").read_text()) == said


def test_steps_of_which_nobody_has_said_anything_are_unknown(run: Path) -> None:
    evaluation = read_evaluation(run / "report.json", None, bundles.load_team(run / "bundles"), remedy="")
    team = relay_bundles(2, training_step=0)
    for seed, told in ((None, "unknown"), (31, "0")):
        made = card_of(team, evaluation, name="a", licence="unknown", training_seed=seed, signing_key=None)
        assert f"| environment steps of training | {told} |" in page(made, drawing=False)


def test_the_hubs_own_package_reads_it(run: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card(run)
    found = hub.ModelCard.load(run / "card" / "README.md")
    assert found.data.license == "unknown"
    assert [result.metric_type for result in found.data.eval_results] == ["won", "won_masked", "mean_reward"]


def test_what_was_not_measured_is_unknown(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    opened, _ = report["summaries"]
    opened |= {"bits_per_agent_step": None, "latency_p50_s": None}
    opened["inexact"] = {"bits_per_agent_step": {"at_least": None, "why": "node 1 died"}}
    write_json(report | {"summaries": [opened]}, run / "report.json")
    card(run)
    text = (run / "card" / "README.md").read_text()
    for said in (
        "| the same with every message masked | unknown: not measured |",
        "| bits per agent and step | unknown |",
        "| latency of a step, p50 / p99 | unknown: not measured |",
        "| training seed | unknown |",
        "| licence | `unknown` |",
        "not everything was counted, because node 1 died",
    ):
        assert said in text
    assert "masked" not in yaml.safe_dump(front(text))


def test_bundles_beside_it_are_signed_and_those_of_the_run_are_as_they_were(run: Path, tmp_path: Path) -> None:
    make_signing_key(tmp_path / "key")
    card(run, "--sign", str(tmp_path / "key"))
    public = read_trusted_key(tmp_path / "key.pub")
    for bundle in bundles.load_team(run / "card" / "bundles"):
        bundle.verify(public)
    assert public.hex() in (run / "card" / "README.md").read_text()
    assert all(bundle.signature is None for bundle in bundles.load_team(run / "bundles"))


def test_without_an_evaluation_of_these_bundles_it_says_what_to_run(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", str(run)]) == 2
    told = capsys.readouterr().err
    assert "there is no evaluation of these bundles" in told
    assert told.endswith(f"Make one: heliograph card {run} --evaluate\n")
    report = json.loads((run / "report.json").read_text())
    for change, why in (
        ({"interrupted": True}, "it was broken off"),
        ({"summaries": report["summaries"][1:]}, "it has no score with messages"),
        ({"format": "heliograph-audit"}, "what is read here is 'heliograph-report'"),
        ({"versions": [{}]}, "it lacks 'digests'"),
    ):
        write_json(report | change, run / "report.json")
        assert why in refused(capsys, run)
    write_json(report, run / "report.json")
    bundles.save_team(relay_bundles(2, training_step=900), run / "bundles")
    assert "it is of other bundles (training step 0, not 900)" in refused(capsys, run)
    assert not (run / "card").exists()


def test_a_card_replaces_a_card_and_nothing_else(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card(run)
    (run / "card" / "episode.gif").write_bytes(b"of an earlier one")
    card(run, "--name", "newer")
    assert "# newer" in (run / "card" / "README.md").read_text()
    assert not (run / "card" / "episode.gif").exists()
    (run / "card" / ".git").mkdir()
    told = refused(capsys, run)
    assert "would be replaced whole, and holds what is no part of a card: .git. Move that away" in told
    assert (run / "card" / ".git").exists()
    told = refused(capsys, run, "--to", str(run / "bundles"))
    assert told.endswith("is there and holds no card. Name another folder with --to")
    assert "is no licence's id" in refused(capsys, run, "--licence", "a b\nc")


def test_a_score_of_another_world_is_not_taken_for_that_of_the_bundles(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(
        relay_plan(2, episodes=1, greedy=True, conditions=("open",)), parameters={"agents": 2, "observation_noise": 0.5}
    )
    write_json(evaluate(plan).as_dict(), run / "report.json")
    told = refused(capsys, run)
    assert "it is of another world than the bundles' own (observation_noise=0.5)" in told


def test_how_a_run_differs_from_a_plain_one_is_said(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    settings = report["settings"] | {"codec": "most-informative:1"}
    write_json(report | {"settings": settings, "lost_episodes": 3, "stale_acts": 2}, run / "report.json")
    card(run)
    text = (run / "card" / "README.md").read_text()
    for said in ("by the codec most-informative:1.", "3 episodes were lost with", "2 actions came after their step"):
        assert said in text


def test_of_one_episode_there_is_no_interval_of_a_return(run: Path) -> None:
    found = replace(the_card(run), episodes=1, masked_episodes=1)
    text = page(found, drawing=False)
    assert f"| return per agent | {found.team_return.mean:.3f} (of one episode: interval unknown) |" in text
    assert f"[{found.score.low:.3f}, {found.score.high:.3f}], 1 episodes" in text, "Wilson's is known"
    assert yaml.safe_dump(front(page(replace(found, measure="return"), drawing=False))).count("interval unknown") == 2


def test_names_of_others_make_no_markup(run: Path) -> None:
    nasty = "x`|\n<script>\u202e\u0085---\n\ud800"
    found = replace(the_card(run), algorithm=nasty, name="a\n---\nlicense: mit", remarks=(f"{nasty} [a](b)",))
    text = page(found, drawing=False)
    text.encode()
    assert front(text)["license"] == "unknown"
    assert "\n<script>" not in text
    assert text.count("\n---\n") == 1, "the front matter ends once"
    assert "\u202e" not in text
    assert next(line for line in text.splitlines() if line.startswith("| algorithm |")).count("|") == 3
    assert r"\[a\](b)" in text


@pytest.mark.slow
@pytest.mark.usefixtures("warm_teams")
def test_it_evaluates_audits_and_draws(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run), "--evaluate", "--episodes", "3", "--seed", "4"]) == 0
    folder = run / "card"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["README.md", "audit.json", "bundles", "card.json", "episode.gif", "evaluation.json"]
    )
    assert (folder / "episode.gif").read_bytes().startswith(b"GIF89a")
    told = json.loads((folder / "card.json").read_text())
    assert (told["episodes"], told["evaluation_seed"], told["run"]) == (3, 4, "2 processes, scripted in relay")
    assert told["audit"].startswith("holds (8 checks hold")
    assert told["latency_p50_s"] > 0
    # Again, of what is kept; an audit of other bundles is none of these.
    bundles.save_team(relay_bundles(2, training_step=900), run / "bundles")
    capsys.readouterr()
    assert main(["card", str(run)]) == 2
    assert "it is of other bundles" in capsys.readouterr().err
