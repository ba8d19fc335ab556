"""A penalty on the bits of messages: their expected length by the tables that are exported with the team."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_training_channel import collected, made

from heliograph.codecs import LatentTables
from heliograph.errors import SettingsError
from heliograph.settings import resolve
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.links import SENT
from trainer.experience.window import Window
from trainer.export.tables import learned_tables
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws
from trainer.training.preset import load_settings
from trainer.training.settings import TrainSettings
from trainer.world_model.message_cost import MessageCost, MessagePrice
from trainer.world_model.message_settings import MessageSettings

WITHHOLDING = {"share": 0.0, "heartbeat": 4, "changes": 1, "late": "hold"}
OPEN = {"share": 0.0, "late": "mask"}


def priced(algorithm: type = Mamba, channel: dict[str, Any] | None = None, **message: Any) -> Mamba:
    found: Mamba = made(algorithm, message={"bits_scale": 0.5} | message, **(channel or OPEN))
    return found


def price(algorithm: Mamba) -> MessagePrice:
    assert algorithm.price is not None
    return algorithm.price


def window_of(algorithm: Mamba) -> Window:
    return collected(algorithm).sample(np.random.default_rng(0), batch=16).window


@pytest.mark.parametrize("channel", [OPEN, WITHHOLDING], ids=["all sent", "some withheld"])
def test_bits_are_those_of_the_exported_tables_per_step_of_an_agent(channel: dict[str, Any]) -> None:
    algorithm = priced(channel=channel)
    window = window_of(algorithm)
    algorithm.update_model(window, Means())
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    counts = price(algorithm).counts()
    assert counts is not None
    weights = LatentTables(counts).weights
    bits = -np.log2(weights / weights.sum(1, keepdims=True))
    probabilities = posteriors.probabilities.detach().numpy()
    total = steps = 0.0
    for t, b, n in np.ndindex(*window.present.shape):
        last = t == len(window.first) - 1
        if (
            not window.present[t, b, n]
            or (not last and bool(window.first[t + 1, b]))
            or (last and SENT in window.columns)
        ):
            continue
        steps += 1
        if SENT not in window.columns or bool(window.columns[SENT][t + 1, b, n]):
            total += float((probabilities[t, b, n] * bits).sum())
    # Counts are whole numbers, what is learned by is not.
    assert float(price(algorithm).cost(window, posteriors).bits.detach()) == pytest.approx(total / steps, rel=2e-3)


def test_the_bits_of_a_single_message_are_its_own() -> None:
    algorithm = priced()
    window = window_of(algorithm)
    last = len(window.first) - 1  # after which no episode ends
    slot = int(window.present[last, 0].nonzero()[0])
    alone = torch.zeros_like(window.present)
    alone[last, 0, slot] = True
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    bits = price(algorithm).cost(replace(window, present=alone), posteriors).bits
    assert float(bits.detach()) == pytest.approx(4 * 3), "4 ids of 8 classes, of which nothing was seen"


def test_the_tables_of_an_export_are_those_that_were_learned_by() -> None:
    algorithm = priced()
    replay = collected(algorithm)
    found = learned_tables(algorithm, replay)
    assert found is not None
    assert price(algorithm).counts() is None, "nothing was learned yet, so these were counted"
    algorithm.update_model(replay.sample(np.random.default_rng(0)).window, Means())
    counts = price(algorithm).counts()
    assert counts is not None
    assert learned_tables(algorithm, replay) == LatentTables(counts)
    assert learned_tables(algorithm, replay) != found


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [Mamba, Mag])
def test_bits_fall_where_they_are_priced_and_only_there(algorithm: type) -> None:
    bits = {}
    for scale in (1e-9, 3.0):
        team = priced(algorithm, bits_scale=scale)
        window = window_of(team)
        for _ in range(15):
            metrics = Means()
            team.update_model(window, metrics)
        bits[scale] = metrics.result()["model/message_bits"]
    assert bits[3.0] < 0.5 * bits[1e-9]


def test_the_weight_rises_from_nothing_and_then_a_step_is_that_of_a_team_without() -> None:
    free, team = made(**OPEN), priced(anneal_updates=4)
    window = window_of(free)
    found = []
    for each in (free, team):
        torch.manual_seed(1)
        loss = each.observe_and_lose(window)
        found.append(loss.total)
    assert torch.equal(*found)
    weights = []
    for _ in range(6):
        team.update_model(window, Means())
        weights.append(float(price(team).weight))
    assert weights == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5, 0.5])


def test_a_team_without_a_price_has_no_part_of_it() -> None:
    without = made(**OPEN)
    assert without.price is None
    assert not [name for name in without.model.state_dict() if "price" in name]


def test_nothing_is_penalised_below_the_budget() -> None:
    found = MessagePrice(MessageSettings(bits_scale=0.5, budget_bits=6.0), categoricals=4, classes=8)

    def penalty(bits: float) -> float:
        cost = MessageCost(bits=torch.tensor(bits), shares=torch.zeros(4, 8), messages=torch.tensor(1.0))
        return float(found.penalty(cost))

    assert [penalty(bits) for bits in (5.0, 6.0, 8.0)] == [0.0, 0.0, 1.0]


def test_what_was_learned_of_messages_is_in_a_checkpoint() -> None:
    before, after = priced(anneal_updates=2), priced(anneal_updates=2)
    for _ in range(2):
        before.update_model(window_of(before), Means())
    after.model.load_state_dict(before.model.state_dict())
    for name in ("shares", "seen", "weight"):
        assert torch.equal(getattr(price(before), name), getattr(price(after), name))
    assert float(price(after).weight) == 0.25


def test_a_class_that_was_never_sent_has_a_word_and_nothing_seen_is_all_alike() -> None:
    found = MessagePrice(MessageSettings(bits_scale=1.0), categoricals=2, classes=8)
    assert torch.equal(found.code_bits(), torch.full((2, 8), 3.0))
    shares = torch.zeros(2, 8)
    shares[:, 0] = 1.0
    for count in (0.0, 5.0):
        found.see(MessageCost(bits=torch.tensor(0.0), shares=shares, messages=torch.tensor(count)))
    assert found.code_bits()[:, 0].max() < 0.01
    assert 12 < float(found.code_bits()[:, 1:].max()) < 14


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"message": {"anneal_updates": 5}}, "bits_scale is 0"),
        ({"message": {"budget_bits": 5}}, "bits_scale is 0"),
        ({"message": {"bits_scale": -1}}, "bits_scale"),
        ({"message": {"bits_scale": 1.0}, "model": {"communication": "none"}}, "communication is none"),
        ({"message": {"bits_scale": 1.0, "budget_bits": 5}}, "at least 32 bits per agent-step"),
        (
            {"message": {"bits_scale": 1.0, "budget_bits": 5}, "channel": {"heartbeat": 5, "late": "hold"}},
            "at least 6.4 bits per agent-step",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(MambaSettings, values, source="mamba")


@pytest.mark.parametrize(("rising", "told"), [(23, None), (24, "= 24 updates of the model, and this run makes 24")])
def test_a_run_that_ends_before_the_price_has_risen_would_never_learn_how_much_to_say(
    rising: int, told: str | None
) -> None:
    message = f"mamba.message={{bits_scale=0.1, precision='learned', anneal_updates={rising}}}"
    changes = ("environment.copies=4", "schedule.steps_per_iteration=3", "mamba.model_updates=3", message)

    def resolved(*more: str) -> TrainSettings:
        return load_settings("relay", [*changes, "schedule.env_steps=90", *more])  # eight iterations

    if told is None:
        assert resolved().schedule.env_steps == 90
        return
    with pytest.raises(SettingsError, match=told):
        resolved()
    assert resolved("mamba.message.precision=whole").schedule.env_steps == 90, "a price that is still rising is one"
