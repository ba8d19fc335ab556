"""Agents that choose how many ids they say: alike in training, in imagination and in nodes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from acting_again import states_of
from test_training_channel import CPU, LENGTH, collected, made, world

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph import codecs
from heliograph.bundle import load_team
from heliograph.codecs import LatentTables
from heliograph.environments import registry
from heliograph.errors import CheckpointError, SettingsError
from heliograph.manifest import PREFIX_VERSION
from heliograph.settings import resolve
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.collector import Collector
from trainer.experience.messages import messages_made, messages_sent
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.export.bundles import export_team
from trainer.export.tables import learned_tables
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws, RandomDraws
from trainer.training.checkpoint import put_weights
from trainer.training.evaluation import evaluate
from trainer.world_model.imagination import roll_out
from trainer.world_model.saying import shares_sent

OPEN = {"share": 0.0, "late": "mask"}
WITHHOLDING = {"share": 0.0, "heartbeat": 4, "changes": 1, "late": "hold"}
LOSSY = {**WITHHOLDING, "share": 0.8, "erasure": 0.6, "delay_steps": 2}
EPISODES, SEED, CLASSES, CATEGORICALS = 12, 6, 8, 4


def choosing(algorithm: type = Mamba, **values: Any) -> Mamba:
    """A team that says something else at every step."""
    found: Mamba = made(algorithm, message={"bits_scale": 0.1, "precision": "learned"}, **(OPEN | values))
    assert found.model.saying is not None
    with torch.no_grad():
        for parameter in found.model.saying.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.7)
            else:
                parameter.zero_()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("channel", [OPEN, WITHHOLDING, LOSSY], ids=["open", "withholding", "lossy"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_the_posterior_of_what_was_collected_is_the_state_of_those_who_acted(
    shared: bool, channel: dict[str, Any]
) -> None:
    algorithm = choosing(shared=shared, **channel)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    found = algorithm.model.observe(window, GreedyDraws().latent)
    assert found.said is not None
    assert 0.1 < float((found.said == CLASSES).float().mean()) < 0.9
    for t, state in enumerate(states_of(algorithm, window)):
        torch.testing.assert_close(state.deter, found.deter[t], atol=1e-5, rtol=1e-4)
        assert torch.equal(state.told, found.sent[t])


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("late", [0, 1], ids=["in time", "late"])
def test_imagination_hears_what_experience_heard(shared: bool, late: int) -> None:
    algorithm = choosing(shared=shared, **({"share": 1.0, "delay_steps": 1, "late": "hold"} if late else {}))
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    start = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws())
    algorithm.draws = GreedyDraws()
    outlook = algorithm.imagination().transition(start, window.action[1:].flatten(0, 1))
    torch.testing.assert_close(outlook.deter, posteriors.deter[1:].flatten(0, 1), atol=1e-5, rtol=1e-4)


def test_an_id_that_is_not_said_moves_its_sender_and_nobody_else() -> None:
    algorithm = choosing()
    rssm, action = algorithm.model.rssm, torch.zeros(1, 3, dtype=torch.int64)
    ids, keep = torch.zeros(1, 3, CATEGORICALS, dtype=torch.int64), torch.ones(1, 3, 1)
    other = ids.clone()
    other[0, 1, 2:] = 5

    def rows(latent: torch.Tensor, said: int) -> torch.Tensor:
        sent = latent.clone()
        sent[0, 1, said:] = CLASSES
        tokens = torch.where(
            torch.eye(3, dtype=torch.bool)[None, :, :, None],
            rssm.as_read(rssm.tokens(latent, action, keep)),
            rssm.as_read(rssm.tokens(sent, action, keep)),
        )
        return rssm.communicate(tokens, torch.ones(1, 3, 3, dtype=torch.bool))[0]

    moved = [(rows(ids, said) != rows(other, said)).any(-1).tolist() for said in (2, 3)]
    assert moved == [[False, True, False], [True, True, True]]


def test_chances_of_ids_are_those_of_numbers_that_reach_them() -> None:
    numbers = torch.tensor([0.1, 0.2, 0.3, 0.4])
    torch.testing.assert_close(shares_sent(numbers), torch.tensor([0.9, 0.7, 0.4]))


@pytest.mark.slow
def test_at_first_most_messages_are_whole_and_under_a_price_they_become_shorter() -> None:
    team: Mamba = made(message={"bits_scale": 2.0, "precision": "learned"}, **OPEN)
    window = collected(team).sample(np.random.default_rng(0), batch=16).window
    assert team.model.saying is not None
    optimiser = torch.optim.Adam(team.model.saying.parameters(), lr=0.05)

    def said() -> float:
        shares = team.model.observe(window, GreedyDraws().latent).shares
        assert shares is not None
        return float(shares.detach().mean())

    assert 0.8 < said() < 0.9
    for _ in range(12):
        optimiser.zero_grad()
        team.observe_and_lose(window).total.backward()
        optimiser.step()
    assert said() < 0.1


def test_the_choice_learns_from_those_who_read() -> None:
    team = choosing()
    window = collected(team).sample(np.random.default_rng(0)).window
    assert team.price is not None
    loss = team.observe_and_lose(window)
    assert loss.messages is not None
    (loss.total - team.price.penalty(loss.messages)).backward()
    assert team.model.saying is not None
    gradients = [parameter.grad for parameter in team.model.saying.parameters()]
    assert all(gradient is not None and float(gradient.abs().sum()) > 0 for gradient in gradients)


def test_the_choice_begins_to_be_learned_when_the_price_has_risen() -> None:
    team: Mamba = made(message={"bits_scale": 0.1, "anneal_updates": 2, "precision": "learned"}, **OPEN)
    window = collected(team).sample(np.random.default_rng(0)).window

    def choice(of: Mamba) -> torch.Tensor:
        assert of.model.saying is not None
        return torch.cat([parameter.detach().flatten() for parameter in of.model.saying.parameters()])

    begun, moved = choice(team), []
    for _ in range(3):
        team.update_model(window, Means())
        moved.append(not torch.equal(choice(team), begun))
    assert moved == [False, False, True]
    # Networks that come from a training whose price had risen begin at the first update all the same.
    settings = {"bits_scale": 0.05, "anneal_updates": 2, "precision": "learned"}
    other: Mamba = made(message=settings, **OPEN)
    other.model.load_state_dict(team.model.state_dict())
    begun = choice(other)
    other.update_model(window, Means())
    assert torch.equal(choice(other), begun)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_team_learns_to_say_few_ids_and_is_understood() -> None:
    torch.manual_seed(0)
    signal = registry.make("relay-signal", count=64, parameters={})
    settings = MambaSettings.model_validate(
        {
            "model": {
                "hidden": 64,
                "recurrent": 64,
                "categoricals": 32,
                "classes": 16,
                "communication_layers": 1,
                "heads": 4,
                "dropout": 0.0,
                "position_scale": 0.5,
                "posterior_scale": 20.0,
            },
            "loss": {
                "kl_scale": 0.03,
                "reward_scale": 30.0,
                "reward_loss": "squared",
                "reconstruction_loss": "bernoulli",
            },
            "optimiser": {"learning_rate": 1e-3, "gradient_clip": 10.0},
            "message": {"bits_scale": 0.03, "anneal_updates": 300, "precision": "learned"},
        }
    )
    team = Mamba(settings, signal.spec, device=CPU)
    replay = Replay(
        ReplaySettings(capacity=1024, window=4, batch=32, start="first"), signal.spec, copies=64, columns=team.columns()
    )
    collector = Collector(signal, team.behaviour(), replay, seed=2, device=CPU)
    collector.collect(48, team.behaviour())
    collector.commit()
    random = np.random.default_rng(0)
    heldback = replay.sample(random, batch=256).window

    def known() -> tuple[float, float]:
        """Loss of the reward, which tells what the other one has seen, and ids in a message."""
        said = team.model.observe(heldback, GreedyDraws().latent).said
        assert said is not None
        loss = team.observe_and_lose(heldback).terms["reward"]
        return float(loss.detach()), float((said < 16).float().sum(-1).mean())

    for _ in range(300):
        team.update_model(replay.sample(random).window, Means())
    assert known()[1] == 32, "as at the beginning, most likely"
    for _ in range(120):
        team.update_model(replay.sample(random).window, Means())
    loss, ids = known()
    assert loss < 0.05, "without messages it is 0.19"
    assert 0 < ids < 20


def test_bits_are_those_of_what_is_said_and_of_its_number() -> None:
    team = choosing(**WITHHOLDING)
    window = collected(team).sample(np.random.default_rng(0), batch=16).window
    team.update_model(window, Means())
    assert team.price is not None
    counts = team.price.counts()
    assert counts is not None
    assert counts.shape == (CATEGORICALS, CLASSES + 1)
    weights = LatentTables(counts).weights[:, :-1]
    bits = np.maximum(-np.log2(weights / weights.sum(1, keepdims=True)), 1)  # no word is shorter
    found = team.model.observe(window, GreedyDraws().latent)
    assert found.shares is not None
    expected = (found.shares.unsqueeze(-1) * found.probabilities).detach().numpy() * bits
    of_message = expected.sum((-1, -2)) + 3
    sent, steps = messages_sent(window).numpy(), messages_made(window).numpy()
    assert 0.1 < sent.sum() / steps.sum() < 0.95
    cost = team.price.cost(window, found)
    assert float(cost.bits.detach()) == pytest.approx((of_message * sent).sum() / steps.sum(), rel=2e-3)


@pytest.fixture(scope="module", params=[OPEN, WITHHOLDING], ids=["open", "withholding"])
def chosen_team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mamba, Any]:
    algorithm, folder = choosing(**request.param), tmp_path_factory.mktemp("saying")
    tables = learned_tables(algorithm, collected(algorithm))
    export_team(algorithm, algorithm.spec, folder, run_id="saying", training_step=0, tables=tables)
    return algorithm, load_team(folder)


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_bundles_do_what_the_networks_do(chosen_team: tuple[Mamba, Any], greedy: bool) -> None:
    algorithm, bundles = chosen_team
    central = evaluate(algorithm.policy(), world(4), episodes=EPISODES, seed=SEED, greedy=greedy, device=CPU)
    manifest = bundles[0].manifest
    stage = World(registry.make("relay", count=1, parameters=manifest.environment_parameters))
    late = "mask" if manifest.sending is None else "hold"
    codec = codecs.make("entropy", manifest.message, bundles[0].tables)
    for spec in ("bit-packed", "entropy"):
        team = LocalTeam(bundles, run_seed=SEED, greedy=greedy, late_policy=late, codec=spec)
        records: list[Any] = []
        returns = [
            team.run_episode(stage, episode=episode, observe=records.append, report_latents=True).result.team_return
            for episode in range(EPISODES)
        ]
        np.testing.assert_allclose(returns, central.team_return, rtol=0, atol=1e-5)
    assert manifest.format_version == PREFIX_VERSION
    latents = np.concatenate([record.latent for record in records])
    latents = latents[latents[:, 0] >= 0]
    counts = (latents < CLASSES).sum(1)
    assert len(set(counts.tolist())) > 2, "how much is said differs from step to step"
    assert all(codec.size_bits(latent) <= manifest.message.codec.size_bits(latent) for latent in latents)


@pytest.mark.parametrize("chooses", [True, False])
def test_a_team_goes_on_with_a_choice_that_it_had_not_or_without_the_one_it_had(
    chooses: bool, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = (made(**OPEN), choosing()) if chooses else (choosing(), made(**OPEN))
    own = {name: value.clone() for name, value in after.model.state_dict().items()}
    given = {name: dict(module.state_dict()) for name, module in before.modules().items()}
    with caplog.at_level(logging.WARNING):
        put_weights(given, after, origin=Path("runs/before"))
    found = after.model.state_dict()
    assert all(torch.equal(found[name], given["model"].get(name, value)) for name, value in own.items())
    how = "that fits, so that it begins anew" if chooses else "which is left out, as here is none"
    assert [record.getMessage() for record in caplog.records] == [
        f"the networks of runs/before have {'no' if chooses else 'a'} model.{part}{' ' if chooses else ', '}{how}"
        for part in ("saying", "price")
    ]
    given["model"] = {name: value for name, value in given["model"].items() if "reward" not in name}
    with pytest.raises(CheckpointError, match="reward"):
        put_weights(given, after, origin=Path("runs/before"))


def test_mag_plans_with_what_is_said() -> None:
    algorithm = choosing(Mag)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    metrics = Means()
    algorithm.update_model(window, metrics)
    rollout = algorithm.imagine_from(window)
    assert torch.isfinite(rollout.reward).all()
    assert (
        roll_out(
            algorithm.imagination(),
            algorithm.starts(window, algorithm.model.observe(window, GreedyDraws().latent), slice(0, 1), RandomDraws()),
            predict=algorithm.imagination().predict,
        ).reward.shape[0]
        == 3
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"message": {"precision": "learned"}}, "bits_scale is 0"),
        (
            {
                "message": {"precision": "learned", "bits_scale": 1},
                "channel": {"share": 0.5, "erasure": 0.5, "late": "predict"},
            },
            "give one",
        ),
        ({"message": {"precision": "learned", "bits_scale": 1}, "model": {"communication": "central"}}, "ego"),
        (
            {"message": {"precision": "learned", "bits_scale": 1, "budget_bits": 5}},
            "at least 6 bits per agent-step, which say",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(MambaSettings, values, source="mamba")
