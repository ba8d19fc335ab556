"""Agents that withhold what is much as their last message: alike in training, in imagination and in nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from acting_again import states_of
from relay_team import PATIENT
from test_training_channel import CPU, LENGTH, channel, collected, made, world

from coordinator.channel import Channel
from coordinator.plan.plan import make_plan
from coordinator.running.in_process import LocalTeam
from coordinator.running.local import evaluate as evaluate_bundles
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.sending import Sending
from heliograph.settings import resolve
from trainer.algorithms.dreamer.lossy import HoldingState
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import AGE, SENT
from trainer.export.bundles import export_team
from trainer.export.tables import learned_tables
from trainer.policy.draws import GreedyDraws, RandomDraws
from trainer.training.evaluation import evaluate
from trainer.world_model.withholding import NEVER, LastSent

RULE = {"heartbeat": 4, "changes": 1, "late": "hold"}
EPISODES, SEED = 12, 6


def test_a_message_is_withheld_until_it_changes_much_or_is_due() -> None:
    rule = channel(share=0.0, **RULE)
    base = torch.zeros(1, 1, 4, dtype=torch.int64)
    little, much = base.clone(), base.clone()
    little[..., :1], much[..., :2] = 1, 1
    last, found = LastSent.nothing(base), []
    for ids in (base, base, little, much, much, base, much, much, much, much):
        last, sent = last.after(ids, rule)
        found.append((bool(sent), int(last.steps)))
    assert [sent for sent, _ in found] == [True, False, False, True, False, True, True, False, False, False]
    assert [steps for _, steps in found] == [0, 1, 2, 0, 1, 0, 0, 1, 2, 3]
    assert bool(last.after(much, rule)[1]), "the heartbeat"
    first = torch.tensor([True])
    assert bool(LastSent.nothing(base).after(base, rule)[1])
    assert bool(last.after(much, rule, first=first)[1])


def test_nodes_and_networks_withhold_by_the_same_rule() -> None:
    random, rule = np.random.default_rng(0), channel(share=0.0, **RULE)
    sending = Sending(heartbeat=rule.heartbeat, changes=rule.changes)
    for _ in range(300):
        before, now = random.integers(2, size=(2, 4), dtype=np.int32)
        steps = int(random.integers(1, 6))
        last = LastSent(ids=torch.from_numpy(before).long()[None, None], steps=torch.tensor([[steps - 1]]))
        assert sending.withholds(now, before, steps=steps) != bool(
            last.after(torch.from_numpy(now)[None, None], rule)[1]
        )


@pytest.mark.parametrize("faults", [{}, {"share": 0.8, "erasure": 0.6, "delay_steps": 2}], ids=["clear", "lossy"])
def test_the_posterior_of_what_was_collected_is_the_state_of_those_who_acted(faults: dict[str, Any]) -> None:
    algorithm = made(**RULE, **faults)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    found = algorithm.model.observe(window, GreedyDraws().latent)
    for t, state in enumerate(states_of(algorithm, window)):
        torch.testing.assert_close(state.deter, found.deter[t], atol=1e-5, rtol=1e-4)
        assert isinstance(state, HoldingState)


def test_what_is_withheld_is_nowhere_new_and_all_else_is_where_nothing_is_lost() -> None:
    algorithm = made(**RULE)
    window = collected(algorithm).sample(np.random.default_rng(0), batch=32).window
    sent, age = window.columns[SENT][1:], window.columns[AGE][1:].long()
    assert 0.3 < float(sent.float().mean()) < 0.95
    others = ~torch.eye(sent.shape[-1], dtype=torch.bool)
    assert torch.equal((age == 0)[..., others], sent.unsqueeze(-2).expand_as(age)[..., others])
    assert int(age.max()) < RULE["heartbeat"]
    assert sent[0].all(), "the first message of an episode"


def test_imagination_withholds_from_where_experience_was() -> None:
    algorithm = made(**RULE)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    start = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws())
    assert start.last is not None
    # Drawn again, latents change otherwise than those who acted saw them, so the last messages are taken as recorded.
    before = start.last.steps.unflatten(0, (LENGTH, -1))
    assert (before[0] == NEVER).all()
    expected = torch.where(window.columns[SENT][1], 0, NEVER)
    assert torch.equal(before[1], expected)
    for t in range(2, LENGTH):
        expected = torch.where(window.columns[SENT][t], 0, expected + 1)
        assert torch.equal(before[t].clamp(max=NEVER), expected.clamp(max=NEVER))
    outlook = algorithm.imagination().transition(start, window.action[1:].flatten(0, 1))
    assert outlook.last is not None
    assert outlook.links is not None
    others = ~torch.eye(3, dtype=torch.bool)
    held = outlook.last.steps.unsqueeze(-2).expand(-1, 3, -1)[:, others]
    assert torch.equal(outlook.links.age[:, others], held), "nothing else is lost"


def test_tables_are_of_what_is_sent() -> None:
    algorithm = made(**RULE)
    replay = collected(algorithm)
    tables = learned_tables(algorithm, replay)
    assert tables is not None
    window = replay.newest_window(4096)
    assert window is not None
    goes_on = ~window.first[1:]
    assert int(tables.counts[0].sum()) == int((window.columns[SENT][1:] & goes_on.unsqueeze(-1)).sum())


@pytest.fixture(scope="module")
def withholding_team(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mamba, Any]:
    algorithm, folder = made(layers=1, **RULE), tmp_path_factory.mktemp("withholding")
    export_team(algorithm, algorithm.spec, folder, run_id="withholding", training_step=0)
    return algorithm, load_team(folder)


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_bundles_do_what_the_networks_do(withholding_team: tuple[Mamba, Any], greedy: bool) -> None:
    algorithm, bundles = withholding_team
    central = evaluate(algorithm.policy(), world(4), episodes=EPISODES, seed=SEED, greedy=greedy, device=CPU)
    stage = World(registry.make("relay", count=1, parameters=bundles[0].manifest.environment_parameters))
    team, records = LocalTeam(bundles, run_seed=SEED, greedy=greedy), []
    returns = [
        team.run_episode(stage, episode=episode, observe=records.append, report_latents=True).result.team_return
        for episode in range(EPISODES)
    ]
    np.testing.assert_allclose(returns, central.team_return, rtol=0, atol=1e-5)
    said = np.stack([record.latent[:, 0] >= 0 for record in records])
    assert 0.3 < said.mean() < 0.95, "who withholds a message reports none"


@pytest.mark.slow
def test_what_is_withheld_is_not_in_the_books_and_what_it_needs_is_told(withholding_team: tuple[Mamba, Any]) -> None:
    _, bundles = withholding_team
    plan = make_plan(bundles, episodes=4, pace=PATIENT, greedy=True)
    assert plan.late_policy == "hold"
    (summary,) = evaluate_bundles(plan).summaries
    most = summary.steps * 3 * 2
    assert 0.3 * most < summary.messages < 0.95 * most
    assert summary.masked == 0, "what is withheld is held"
    with pytest.raises(SettingsError, match="withhold messages"):
        make_plan(bundles, episodes=1, late_policy="mask")
    with pytest.raises(SettingsError, match="rate-bits"):
        make_plan(bundles, episodes=1, late_policy="hold", channel=Channel.parse("rate-bits=3"))
    with pytest.raises(SettingsError, match="with nearest not everyone"):
        make_plan(bundles, episodes=1, late_policy="hold", channel=Channel.parse("nearest=1"))
    with pytest.raises(SettingsError, match="in relay as it is here not everyone receives"):
        make_plan(bundles, episodes=1, late_policy="hold", overrides=["hears=range"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"heartbeat": 3}, "late = hold"),
        ({"changes": 2, "late": "hold"}, "heartbeat of 2 or more"),
    ],
)
def test_rules_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(ChannelSettings, values, source="channel")


@pytest.mark.parametrize(
    ("values", "parameters", "said"),
    [
        ({"heartbeat": 7}, {}, "episodes of relay have 6 steps"),
        ({"heartbeat": 4, "changes": 33}, {}, "a latent has 32 ids"),
        ({"heartbeat": 4}, {"hears": "range"}, "not everyone receives from everyone"),
    ],
)
def test_rules_that_a_world_has_no_room_for_are_refused(
    values: dict[str, Any], parameters: dict[str, Any], said: str
) -> None:
    spec = registry.make("relay", count=1, parameters=parameters).spec
    settings = MambaSettings.model_validate({"channel": {"late": "hold"} | values})
    with pytest.raises(SettingsError, match=said):
        Mamba(settings, spec, device=CPU)
