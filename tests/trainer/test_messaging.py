"""CommNet and TarMAC: what is made of messages, and what a gate does to them; as bundles, too."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from relay_team import PATIENT
from test_ppo_updates import made
from torch.nn import functional

from coordinator.plan.plan import make_plan
from coordinator.running.in_process import LocalTeam
from coordinator.running.local import evaluate as evaluate_bundles
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.sending import Sending
from trainer.algorithms.commnet.commnet import CommNet, MeanReading
from trainer.algorithms.dreamer.execution import TeamState
from trainer.algorithms.model_free.messaging_step import MessagingStep
from trainer.algorithms.model_free.settings import MessagingSettings
from trainer.algorithms.tarmac.settings import TarMacSettings
from trainer.algorithms.tarmac.tarmac import TargetedReading, TarMac
from trainer.export.bundles import export_team
from trainer.policy.draws import GreedyDraws
from trainer.training.checkpoint import put_weights
from trainer.training.evaluation import evaluate

K, CLASSES, H, G, N = 4, 8, 16, 12, 3
CPU = torch.device("cpu")
SIZES = {"hidden": H, "recurrent": G, "categoricals": K, "classes": CLASSES, "message_scale": 20.0}
IDS = torch.randint(CLASSES, (2, N, K), generator=torch.Generator().manual_seed(1))
DETER = torch.randn(2, N, G, generator=torch.Generator().manual_seed(2))
OWN = torch.eye(N, dtype=torch.bool)
READABLE = torch.tensor([[[0, 1, 1], [1, 0, 0], [0, 0, 0]]], dtype=torch.bool).expand(2, N, N)
SPOKEN = torch.ones(2, N, 1)


def dense(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The same as a product with one-hot vectors."""
    return functional.one_hot(ids, CLASSES).flatten(-2).to(table.dtype) @ table


def test_commnet_hears_the_mean_of_the_others_and_of_nobody_nothing() -> None:
    reading = MeanReading(MessagingSettings.model_validate(SIZES))
    said = dense(reading.table.table, IDS)
    heard = reading(IDS, DETER, readable=READABLE, own=OWN, sent=SPOKEN)
    torch.testing.assert_close(heard[:, 0], (said[:, 1] + said[:, 2]) / 2)
    torch.testing.assert_close(heard[:, 1], said[:, 0])
    assert (heard[:, 2] == 0).all()
    quiet = SPOKEN.clone()
    quiet[:, 2] = 0
    some = reading(IDS, DETER, readable=READABLE, own=OWN, sent=quiet)
    torch.testing.assert_close(some[:, 0], said[:, 1] / 2)  # whoever says nothing counts among the others


def test_tarmac_attends_by_signature_to_what_it_has_received_and_to_itself() -> None:
    torch.manual_seed(0)
    reading = TargetedReading(TarMacSettings.model_validate(SIZES | {"signature": 1, "attention": 5}))
    keys, values = dense(reading.key.table, IDS[..., :1]), dense(reading.value.table, IDS[..., 1:])
    heard = reading(IDS, DETER, readable=READABLE, own=OWN, sent=SPOKEN)
    for reader, senders in enumerate(([0, 1, 2], [0, 1], [2])):
        query = reading.query(DETER[:, reader]).unsqueeze(1)
        weights = torch.softmax((query * keys[:, senders]).sum(-1) / math.sqrt(5), dim=-1)
        torch.testing.assert_close(heard[:, reader], (weights.unsqueeze(-1) * values[:, senders]).sum(1))
    with pytest.raises(ValueError, match=r"tarmac\.signature is 4, but a message has 4 categoricals"):
        TarMacSettings.model_validate(SIZES | {"signature": 4})


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("talker", [CommNet, TarMac])
def test_what_should_have_been_said_is_learned_from_those_that_received_it(talker: type, gate: bool) -> None:
    torch.manual_seed(0)
    spec = registry.make("relay", count=1, parameters={"agents": N}).spec
    settings = TarMacSettings if talker is TarMac else MessagingSettings
    own = {"signature": 2} if talker is TarMac else {}
    network = talker(settings.model_validate(SIZES | {"gate": gate} | own), spec, device=CPU).network
    ids = IDS.clamp(min=1)
    ids[0, 1] = 0  # agent 1 says nothing in the first copy, if there is a gate
    state = TeamState(ids=ids, action=network.initial_state(2).action, deter=DETER)
    hears = torch.zeros(2, N, N, dtype=torch.bool)
    hears[:, 0, 1] = True
    said = torch.full((2, N, K, CLASSES), 1 / CLASSES, requires_grad=True)
    for first in (False, True):
        begins = torch.full((2,), first)
        after = network.advance(state, torch.randn(2, N, H), first=begins, hears=hears, probabilities=said)
        (gradient,) = torch.autograd.grad(after[:, 0].sum(), said)
        taught = (gradient != 0).flatten(2).any(-1).tolist()
        itself = talker is TarMac  # attends to its own message, too
        heard = [[itself, not gate, False], [itself, True, False]]
        assert taught == ([[False] * N] * 2 if first else heard)


@pytest.mark.parametrize("sees", [False, True])
def test_a_message_tells_what_was_seen_if_it_sees_even_where_nothing_is_remembered(sees: bool) -> None:
    spec = registry.make("relay", count=1, parameters={"agents": N}).spec
    torch.manual_seed(0)
    network = CommNet(MessagingSettings.model_validate(SIZES | {"message_sees": sees}), spec, device=CPU).network
    seen = network.seen(torch.rand(2, N, spec.observation_size))
    said = network.choices(torch.zeros(2, N, G), seen)
    assert bool((said[0] != said[1]).any()) is sees


@pytest.mark.parametrize("talker", [CommNet, TarMac])
@pytest.mark.parametrize("gate", [False, True])
def test_what_is_exported_does_what_the_team_does(talker: type, gate: bool) -> None:
    settings, own = (MessagingSettings, {}) if talker is CommNet else (TarMacSettings, {"signature": 1})
    spec = registry.make("relay", count=1, parameters={"agents": N}).spec
    torch.manual_seed(0)
    chosen = settings.model_validate(SIZES | {"gate": gate, "message_sees": True, "state_scale": 1.0} | own)
    network = talker(chosen, spec, device=CPU).network
    if network.gate is not None:
        network.gate[-1].weight.data.mul_(10.0)
    before, spoken = network.initial_state(1), set()
    for first in (True, False, False, True, False):
        observation, mask = torch.rand(1, N, spec.observation_size), torch.ones(1, N, spec.actions, dtype=torch.bool)
        hears, begins = torch.rand(1, N, N) > 0.5, torch.tensor([first])
        _, after = network.act(
            before, observation=observation, action_mask=mask, hears=hears, first=begins, draws=GreedyDraws()
        )
        for slot in range(N):
            present = hears[0, slot] | OWN[slot]
            ids, action, _, deter = MessagingStep(network, slot=slot)(
                observation[0, slot],
                mask[0, slot],
                before.ids[0].int(),
                before.action[0].int(),
                present,
                begins[0],
                torch.tensor(True),
                before.deter[0, slot],
                torch.rand(network.noise_size),
            )
            assert torch.equal(ids, after.ids[0, slot].int())
            assert int(action) == int(after.action[0, slot])
            torch.testing.assert_close(deter, after.deter[0, slot])
            spoken.add(tuple(ids.tolist()))
        before = after
    assert len(spoken) > 2


@pytest.mark.slow
def test_whoever_is_to_tell_the_state_teaches_others_to_say_it() -> None:
    algorithm, replay = made("commnet")
    sequences = algorithm.sequences(*replay.unread())
    torch.manual_seed(0)
    settings = MessagingSettings.model_validate(SIZES | {"state_scale": 2.0})
    team = CommNet(settings, algorithm.spec, device=CPU)
    telling = team.network.telling
    assert telling is not None
    loss = team.decisions(sequences).auxiliary
    assert loss is not None
    whole = sequences.observation.flatten(-2) if sequences.state is None else sequences.state
    errors = [
        (telling(team.network.along(sequences).deter[row, number, agent]) - whole[row, number]).square().sum()
        for row, number, agent in sequences.counts.nonzero().tolist()
    ]
    torch.testing.assert_close(loss, 2 * torch.stack(errors).mean())
    weight = team.network.message[0].weight
    assert isinstance(weight, torch.Tensor)
    (taught,) = torch.autograd.grad(loss, weight)
    assert (taught != 0).any()
    heard = torch.zeros(*sequences.counts.shape, sequences.counts.shape[-1], dtype=torch.bool)
    unheard = team.decisions(replace(sequences, hears=heard)).auxiliary
    assert unheard is not None
    (untaught,) = torch.autograd.grad(unheard, weight)
    assert (untaught == 0).all()


@pytest.mark.parametrize("scales", [(0.0, 2.0), (2.0, 0.0), (1.0, 2.0)])
def test_networks_carry_over_whether_or_not_the_state_was_or_is_to_be_told(
    scales: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    spec = registry.make("relay-signal", count=1).spec
    before, after = (
        CommNet(MessagingSettings.model_validate(SIZES | {"state_scale": scale}), spec, device=CPU) for scale in scales
    )
    given = {name: dict(module.state_dict()) for name, module in before.modules().items()}
    with caplog.at_level(logging.WARNING):
        put_weights(given, after, origin=Path("runs/before"))
    for name, value in after.network.state_dict().items():
        assert (name.startswith("telling.") and not scales[0]) or torch.equal(value, given["policy"][name])
    assert [("policy.telling" in record.getMessage()) for record in caplog.records] == [True] * (0.0 in scales)


def gated(bias: float | None = None) -> CommNet:
    """An untrained team on relay-signal, whose gates open as that says."""
    torch.manual_seed(0)
    spec = registry.make("relay-signal", count=1).spec
    algorithm = CommNet(MessagingSettings.model_validate(SIZES | {"gate": True}), spec, device=CPU)
    algorithm.network.head[-1].weight.data.mul_(1000.0)
    gate = algorithm.network.gate
    assert gate is not None
    gate[-1].weight.data.mul_(10.0)
    if bias is not None:
        gate[-1].bias.data.fill_(bias)
    return algorithm


def returns(algorithm: CommNet, *, links_cut: bool = False) -> np.ndarray:
    world = registry.make("relay-signal", count=8)
    return evaluate(
        algorithm.policy(), world, episodes=40, seed=3, greedy=False, device=CPU, links_cut=links_cut
    ).team_return


def test_a_gate_that_is_shut_is_as_good_as_a_cut_link_and_an_open_one_is_not() -> None:
    shut, wide = gated(-1000.0), gated(1000.0)
    assert np.array_equal(returns(shut), returns(shut, links_cut=True))
    assert not np.array_equal(returns(wide), returns(wide, links_cut=True))


def test_whether_to_speak_is_learned_as_a_part_of_the_action() -> None:
    algorithm, replay = made("commnet", entropy_scale=0.0)
    assert isinstance(algorithm, CommNet)
    gate = algorithm.network.gate
    assert gate is not None
    before = gate[-1].weight.detach().clone()
    algorithm.update(replay, np.random.default_rng(1))
    assert (gate[-1].weight != before).all()


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_an_agent_that_goes_on_to_say_nothing_sends_nothing(tmp_path: Path, greedy: bool) -> None:
    algorithm = gated()
    assert algorithm.step_function(0).sending == Sending(heartbeat=3, changes=0)
    export_team(algorithm, algorithm.spec, tmp_path / "team", run_id="gated", training_step=0)
    bundles = load_team(tmp_path / "team")
    central = evaluate(
        algorithm.policy(), registry.make("relay-signal", count=8), episodes=24, seed=3, greedy=greedy, device=CPU
    )
    team = LocalTeam(bundles, run_seed=3, greedy=greedy)
    stage = World(registry.make("relay-signal", count=1))
    played = [team.run_episode(stage, episode=episode).result.team_return for episode in range(24)]
    np.testing.assert_allclose(played, central.team_return, rtol=0, atol=1e-5)
    with pytest.raises(SettingsError, match="withhold messages"):
        make_plan(bundles, episodes=1, late_policy="mask")
    plan = make_plan(bundles, episodes=8, pace=PATIENT, greedy=greedy)
    (summary,) = evaluate_bundles(plan).summaries
    assert 0 < summary.messages < summary.steps * 2
