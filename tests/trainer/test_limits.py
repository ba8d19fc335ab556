"""What limits a run: each rule on figures that it is about, their order, and which records are the end of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tiny_team import SMALL_MAPPO, small_settings, start

from trainer.training.limits import RULES, limit_of
from trainer.training.summary import in_words

WELL = {
    "held_out/transitions": 500.0,
    "held_out/reward_r2": 0.93,
    "imagination/imagined_return": 1.9,
    "imagination/replayed_return": 1.75,
    "imagination/real_return": 1.8,
    "imagination/return_error": 0.01,
    "imagination/replayed_return_error": 0.01,
    "imagination/real_return_deviation": 0.5,
    "imagination/imagined_length": 13.0,
    "imagination/replayed_length": 13.1,
    "imagination/real_length": 13.6,
    "policy/imagined_after_end": 0.2,
    "policy/entropy": 0.8,
    "evaluate/greedy_outcome": 0.5,
}
MOST = math.log(9)


def limit(*, without: tuple[str, ...] = (), outcome: str = "won", **figures: float) -> tuple[str, str]:
    given = {name: value for name, value in (WELL | figures).items() if name not in without}
    found = limit_of([{"env_steps": 100, "iteration": 1, **given}], outcome=outcome, most_entropy=MOST)
    return found.by, found.sentence


@pytest.mark.parametrize(
    ("by", "figures", "told"),
    [
        ("solved", {"evaluate/greedy_outcome": 0.96}, "0.96"),
        ("tokenizer", {"tokenizer/perplexity": 1.4}, "perplexity of 1.40"),
        ("reward head", {"held_out/reward_r2": 0.034}, "explains 3% of held-out rewards"),
        ("reward head", {"held_out/reward_r2": -0.68}, "explains 0% of held-out rewards (R² -0.68)"),
        (
            "dynamics",
            {"imagination/replayed_return": 0.6},
            "actions that were taken imagination pays 0.6 where the world",
        ),
        ("dynamics", {"imagination/replayed_return": 3.1}, "whatever it pays for the policy's own (1.9)"),
        ("imagined length", {"imagination/imagined_length": 22.0}, "22.0 transitions against 13.6"),
        ("imagined length", {"imagination/imagined_length": 9.0}, "ends where the world goes on"),
        (
            "imagined return",
            {
                "imagination/imagined_return": 2.27,
                "imagination/replayed_return": 1.3,
                "imagination/real_return": 1.28,
            },
            "pays 2.27 where the world pays 1.28 from the same states over as many transitions, and 1.3 with the "
            "actions that were taken, so the policy goes where the model is wrong",
        ),
        (
            "imagined return",
            {"imagination/imagined_return": 2.7},
            "(or, in part, is better than those that collected): a shorter",
        ),
        ("imagined return", {"imagination/imagined_return": 0.4}, "the policy does less of it: more policy rounds"),
        ("after the end", {"policy/imagined_after_end": 0.61}, "61% of the imagined rows"),
        ("decided policy", {"policy/entropy": 0.02}, "entropy is 0.02 of at most 2.20"),
        ("undecided policy", {"policy/entropy": 2.19}, "entropy is 2.19"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_rule_holds_on_what_it_is_about(by: str, figures: dict[str, float], told: str) -> None:
    found, sentence = limit(**figures)
    assert found == by
    assert told in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0, "one sentence"


def test_where_no_rule_holds_it_says_what_was_looked_at() -> None:
    by, sentence = limit()
    assert by == "none"
    assert "explains 93% of held-out rewards" in sentence
    assert "pays 1.9 (1.75 with the actions that were taken) where the world pays 1.8" in sentence


def test_nothing_is_concluded_from_what_is_unknown() -> None:
    assert limit(without=("held_out/transitions", "held_out/reward_r2"))[0] == "too short"
    assert limit(without=("held_out/reward_r2",))[0] == "exploration"
    dream = tuple(name for name in WELL if name.startswith(("imagination/", "policy/")))
    by, sentence = limit(without=dream)
    assert by == "none"
    assert "imagination" not in sentence
    found = limit_of([{"env_steps": 1, **WELL, "policy/entropy": -3.0}], outcome="return", most_entropy=None)
    assert found.by == "none", "the entropy of continuous actions has no largest value"
    assert limit_of([], outcome="won", most_entropy=MOST).by == "too short"


def test_a_difference_counts_only_beyond_its_error_and_a_return_is_no_share() -> None:
    figures = {"imagination/imagined_return": 2.6, "imagination/return_error": 0.5}
    assert limit(**figures)[0] == "none"
    assert limit(**figures | {"imagination/return_error": 0.3})[0] == "imagined return"
    assert limit(outcome="return", **{"evaluate/greedy_outcome": 900.0})[0] == "none"


REPLAYED = tuple(name for name in WELL if "replayed" in name)


def test_a_policy_that_exploits_its_model_does_not_hide_it() -> None:
    """Figures of MARIE on the small railway with three times the updates, which called itself limited by nothing."""
    figures = {
        "imagination/imagined_return": 0.226,
        "imagination/replayed_return": 0.106,
        "imagination/real_return": 0.357,
        "imagination/real_return_deviation": 0.55,
        "model/observation": 0.6,
    }
    by, sentence = limit(**figures)
    assert by == "dynamics"
    assert "pays 0.106 where the world paid 0.357" in sentence
    assert "surprise (model/observation) still falls" in sentence
    assert limit(without=REPLAYED, **figures)[0] == "none"


def test_what_is_imagined_with_real_actions_is_held_to_the_same_thresholds() -> None:
    figures = {"imagination/replayed_return": 1.0, "imagination/replayed_return_error": 0.5}
    assert limit(**figures)[0] == "none"
    assert limit(**figures | {"imagination/replayed_return_error": 0.39})[0] == "dynamics"
    close = {"imagination/replayed_return": 1.36}
    assert limit(**close)[0] == "none"
    assert limit(**close | {"imagination/replayed_return": 1.34})[0] == "dynamics"
    assert limit(**close | {"imagination/replayed_return": 1.34, "imagination/real_return_deviation": 3.0})[0] == "none"


def test_what_pays_otherwise_as_it_lasts_otherwise_is_a_matter_of_the_ends() -> None:
    long = {"imagination/replayed_length": 22.0, "imagination/replayed_return": 3.0}
    assert limit(**long, **{"imagination/imagined_length": 22.0})[0] == "imagined length"
    assert limit(**long)[0] == "dynamics", "where the policy hides it"
    policys = {"imagination/imagined_length": 22.0, "imagination/replayed_return": 3.0}
    assert limit(**policys)[0] == "dynamics", "the ends are right with the actions that were taken"


def test_runs_of_before_it_was_measured_are_told_what_they_were() -> None:
    high, low = {"imagination/imagined_return": 2.7}, {"imagination/imagined_return": 0.4}
    for figures, told in ((high, "a policy learns to please"), (low, "what the team does well is not in it")):
        by, sentence = limit(without=REPLAYED, **figures)
        assert by == "imagined return"
        assert told in sentence
    assert "imagination pays 1.9 where the world pays 1.8" in limit(without=REPLAYED)[1]


def test_one_start_tells_nothing_of_returns() -> None:
    figures = {"imagination/imagined_return": 9.0}
    assert limit(**figures)[0] == "imagined return"
    unknown = ("return_error", "replayed_return_error", "real_return_deviation")
    alone = tuple(f"imagination/{name}" for name in unknown)
    assert limit(without=alone, **figures, **{"imagination/replayed_return": 9.0})[0] == "none"


def test_what_comes_first_is_told_first() -> None:
    """Everything is wrong at once, and is mended in the order of the rules."""
    wrong: dict[str, float] = {
        "tokenizer/perplexity": 1.0,
        "held_out/reward_r2": 0.0,
        "imagination/replayed_return": 0.1,
        "imagination/imagined_length": 22.0,
        "imagination/imagined_return": 9.0,
        "policy/imagined_after_end": 0.9,
        "policy/entropy": 0.0,
    }
    told = []
    for name in list(wrong):
        told.append(limit(**wrong)[0])
        wrong[name] = WELL.get(name, 100.0)
    assert told == [
        *("tokenizer", "reward head", "dynamics", "imagined length", "imagined return", "after the end"),
        "decided policy",
    ]
    assert [name for name in RULES if name in told] == told


def test_the_end_of_a_run_is_its_last_tenth_and_the_newest_of_what_is_measured_less_often() -> None:
    early: dict[str, Any] = {"env_steps": 10, **WELL, "held_out/reward_r2": -5.0}
    late = [{"env_steps": steps, "held_out/reward_r2": r2} for steps, r2 in ((95, 0.2), (100, 0.5))]
    found = limit_of([early, *late], outcome="won", most_entropy=MOST)
    assert found.by == "none"
    assert "explains 35% of held-out rewards" in found.sentence
    assert "pays 1.9" in found.sentence


@pytest.mark.slow
def test_a_run_ends_with_what_limits_it_where_it_has_a_model(tmp_path: Path) -> None:
    training = start(tmp_path / "run", small_settings("relay", env_steps=96))
    summary = training.run()
    training.close()
    assert summary.limit is not None
    assert summary.limit.by in {*RULES, "none"}
    assert summary.limit.sentence in in_words(training.folder, summary)
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["limit"]
    assert told == {"by": summary.limit.by, "sentence": summary.limit.sentence}

    model_free = start(tmp_path / "mappo", small_settings("mappo-relay", small=SMALL_MAPPO, env_steps=48))
    assert model_free.run().limit is None
    model_free.close()
