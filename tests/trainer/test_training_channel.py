"""Learning with a channel: what is lost or late is alike for those who collect, for the posterior and in imagination.

The chain of equalities ends at the runtime: a team in one process whose messages the simulated channel delays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from acting_again import states_of

from coordinator.channel import Channel
from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.settings import resolve
from trainer.algorithms.dreamer.lossy import HoldingState, LossyTeam
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mag.settings import MagSettings
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.collector import Collector
from trainer.experience.links import AGE, FAULT, NOTHING, OF_EPISODE, OLDEST, Links, advance, begin, known_ages
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.experience.window import Window
from trainer.export.bundles import export_team
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws, RandomDraws
from trainer.world_model.imagination import roll_out
from trainer.world_model.own_rssms import own_rssm

pytestmark = pytest.mark.slow  # each is short, all of them are seconds

CPU = torch.device("cpu")
LENGTH, COPIES = 8, 6
MIXED = {"share": 0.8, "erasure": 0.9, "burst_loss": 0.6, "delay_steps": 2, "dropout": 0.5, "late": "hold"}


def uniform(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=generator)


def ages(settings: ChannelSettings, *, rows: int, steps: int, agents: int = 2) -> torch.Tensor:
    """int64 [T, M, N, N], from the first step of episodes on."""
    draw = uniform(1)
    links, found = begin(settings, rows=rows, agents=agents, uniform=draw), []
    for _ in range(steps):
        found.append(links.age)
        links = advance(links, settings, draw)
    return torch.stack(found)


def channel(**values: object) -> ChannelSettings:
    return ChannelSettings.model_validate({"share": 1.0, "late": "hold"} | values)


def made(
    algorithm: type = Mamba,
    shared: bool = True,
    hears: str = "all",
    layers: int = 3,
    message: Mapping[str, object] | None = None,
    **values: object,
):
    """An untrained team of three; bundles of one layer are made in half the time."""
    torch.manual_seed(3)
    model = {
        "hidden": 16,
        "recurrent": 12,
        "communication_layers": layers,
        "categoricals": 4,
        "classes": 8,
        "heads": 2,
        "posterior_scale": 20.0,
        "dropout": 0.0,
        "shared": shared,
    }
    settings = MambaSettings.model_validate(
        {
            "model": model,
            "policy": {"critic_heads": 2, "horizon": 3, "start_states": 8},
            "channel": values,
            "message": message or {},
        }
    )
    spec = world(1, hears).spec
    sections = (settings,) if algorithm is Mamba else (settings, MagSettings(candidates=2, horizon=2))
    found = algorithm(*sections, spec, device=CPU)
    with torch.no_grad():  # a policy that follows what it hears
        for module, factor in ((found.actor, 6.0), (found.model.rssm, 2.0)):
            for parameter in module.parameters():
                parameter.mul_(factor if parameter.dim() > 1 else 1.0)
        for slot in range(spec.agents):
            predictor = own_rssm(found.model.rssm, slot).predictor
            if predictor is not None and predictor.rest[-1].bias.eq(0).all():  # predictions other than what is held
                for parameter in predictor.parameters():
                    parameter.add_(0.4 * torch.randn_like(parameter))
    return found


def world(copies: int, hears: str = "all"):
    return registry.make("relay", count=copies, parameters={"agents": 3, "length": LENGTH, "hears": hears})


def collected(algorithm: Mamba) -> Replay:
    environment = registry.make("relay", count=COPIES, parameters=algorithm.spec.parameters)
    settings = ReplaySettings(capacity=600, window=LENGTH + 1, batch=4, start="first")
    replay = Replay(settings, environment.spec, copies=COPIES, columns=algorithm.columns())
    collector = Collector(environment, algorithm.behaviour(), replay, seed=2, device=CPU)
    collector.collect(3 * LENGTH, algorithm.behaviour())
    collector.commit()
    return replay


def test_a_late_message_is_as_old_as_it_is_late_once_it_has_come() -> None:
    found = ages(channel(delay_steps=1), rows=4, steps=6)
    own = torch.eye(2, dtype=torch.bool)
    assert (found[:, :, own] == 0).all()
    others = found[:, :, ~own]
    assert (others[0] == 0).all(), "the zero vector of a first step is heard"
    assert (others[1] == NOTHING).all()
    assert (others[2:] == 1).all()


def test_what_is_held_grows_older_until_a_message_comes_and_a_mask_holds_nothing() -> None:
    held = ages(channel(erasure=0.9), rows=400, steps=7)
    others = held[:, :, ~torch.eye(2, dtype=torch.bool)]
    before, after = others[1:-1], others[2:]
    assert ((after == 0) | (after == torch.where(before == NOTHING, NOTHING, before + 1))).all()
    assert (after > 2).any()
    masked = ages(channel(erasure=0.9, late="mask"), rows=400, steps=7)
    assert set(masked[1:, :, ~torch.eye(2, dtype=torch.bool)].unique().tolist()) == {NOTHING, 0}


@pytest.mark.parametrize(("name", "largest"), [("erasure", 0.8), ("burst_loss", 0.6), ("dropout", 0.6)])
def test_rates_are_uniform_up_to_the_largest(name: str, largest: float) -> None:
    rates = {name: largest} | ({"burst_steps": 8.0} if name == "burst_loss" else {})
    found = ages(channel(**rates, late="mask"), rows=20_000, steps=9)
    lost = (found[1:, :, 0, 1] == NOTHING).double()
    assert float(lost.mean()) == pytest.approx(largest / 2, abs=0.012)
    of_episode = lost.mean(0)
    assert float(of_episode.std()) > 0.2, "an episode has a rate of its own"
    repeated = float((lost[1:] * lost[:-1]).sum() / lost[:-1].sum())
    if name == "dropout":
        assert repeated == 1.0
    elif name == "burst_loss":
        # A link stays down with 1 - 1 / mean length, which is uniform from 1 to 8.
        assert repeated == pytest.approx(1 - np.log(8) / 7, abs=0.03)
    clear = ages(channel(**rates, late="mask", share=0.25), rows=20_000, steps=9)
    assert float((clear[1:, :, 0, 1] == NOTHING).double().mean()) == pytest.approx(largest / 8, abs=0.012)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("late", ["mask", "hold", "predict"])
def test_the_posterior_of_what_was_collected_is_the_state_of_those_who_acted(late: str, shared: bool) -> None:
    values = MIXED | {"late": late} | ({"delay_steps": 0} if late == "mask" else {})
    algorithm = made(shared=shared, **values)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    assert (window.columns[AGE] == NOTHING).any()
    found = algorithm.model.observe(window, GreedyDraws().latent)
    assert isinstance(algorithm.behaviour(), LossyTeam)
    for t, state in enumerate(states_of(algorithm, window)):
        assert isinstance(state, HoldingState) == (late != "mask")
        torch.testing.assert_close(state.deter, found.deter[t], atol=1e-5, rtol=1e-4)
        assert torch.equal(state.ids, found.ids[t])


@pytest.mark.parametrize("late", ["hold", "predict"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_imagination_goes_on_from_what_is_held(shared: bool, late: str) -> None:
    algorithm = made(shared=shared, share=1.0, delay_steps=1, late=late)
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    start = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws())
    outlook = algorithm.imagination().transition(start, window.action[1:].flatten(0, 1))
    # Every message is one step late, so the next row of experience has heard what the imagined one hears.
    torch.testing.assert_close(outlook.deter, posteriors.deter[1:].flatten(0, 1), atol=1e-5, rtol=1e-4)
    twice = algorithm.imagination().transition(
        replace(start.rows(torch.arange(4)), ids=posteriors.ids[0]), window.action[1]
    )
    assert twice.links is not None
    assert twice.received is not None
    assert (twice.links.age[:, 0, 1] == NOTHING).all()


def test_what_is_on_its_way_where_imagination_starts_arrives() -> None:
    algorithm = made(share=1.0, delay_steps=2, late="hold")
    window = collected(algorithm).sample(np.random.default_rng(0)).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    start = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws())
    assert start.links is not None
    here = advance(start.links, algorithm.channel, uniform(1))
    others = ~torch.eye(3, dtype=torch.bool)
    expected = torch.where(here.steps > here.delay, here.delay, NOTHING)
    assert torch.equal(here.age[:, others], expected[:, None].expand(-1, 6))


def test_nobody_holds_what_was_said_out_of_its_reach() -> None:
    algorithm = made(hears="range", share=1.0, erasure=0.9, late="hold")
    window = collected(algorithm).sample(np.random.default_rng(0), batch=32).window
    age, hears, others = window.columns[AGE], window.hears, ~torch.eye(3, dtype=torch.bool)
    assert hears is not None
    count = 0
    for row in range(1, len(age)):
        for old in range(row):
            said = row - 1 - old
            held = (age[row] == old) & others
            assert not (held & ~(hears[said] | hears[said + 1])).any(), "in reach neither then nor at the next step"
            count += int(held.sum()) if old else 0
    assert count > 0


def test_what_replay_cannot_tell_the_age_of_is_not_held() -> None:
    age = torch.tensor([OLDEST, OLDEST - 1, 1, 0, NOTHING], dtype=torch.int8)
    assert known_ages(age, OLDEST + 9).tolist() == [NOTHING, OLDEST - 1, 1, 0, NOTHING]
    assert known_ages(age, 1).tolist() == [NOTHING, NOTHING, NOTHING, 0, NOTHING]


@pytest.mark.parametrize("late", ["hold", "predict"])
@pytest.mark.parametrize("algorithm", [Mamba, Mag], ids=["mamba", "mag"])
def test_a_team_learns_with_every_fault_and_imagines_with_them(algorithm: type, late: str) -> None:
    learner = made(algorithm, **MIXED | {"late": late})
    replay = collected(learner)
    window = replay.sample(np.random.default_rng(1)).window
    metrics = Means()
    learner.update_model(window, metrics)
    assert np.isfinite(metrics.result()["model/reward"])
    rollout = learner.imagine(replay, np.random.default_rng(2))
    assert rollout.reward.shape[:2] == (3, 8)


def test_imagined_links_lose_as_many_messages_as_collected_ones() -> None:
    algorithm = made(share=1.0, erasure=0.8, late="mask")
    replay = collected(algorithm)
    window = replay.sample(np.random.default_rng(1), batch=64).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    states, lost = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws()), []
    imagination = algorithm.imagination()
    seen: list[Links] = []

    def predict(outlook):
        seen.append(outlook.links)
        return imagination.predict(outlook)

    roll_out(imagination, states, predict=predict)
    lost = [float((links.age[:, 0, 1] == NOTHING).double().mean()) for links in seen]
    rates = window.columns[FAULT][:LENGTH, ..., OF_EPISODE.index("erasure")]
    assert lost == pytest.approx([float(rates.mean())] * len(lost), abs=0.06)


def test_imagination_goes_on_by_the_faults_of_the_episode() -> None:
    algorithm = made(**MIXED)
    window = collected(algorithm).sample(np.random.default_rng(1), batch=64).window
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    start = algorithm.starts(window, posteriors, slice(0, LENGTH), RandomDraws())
    assert start.links is not None
    late = start.links.delay.unflatten(0, (LENGTH, -1))
    dropped = start.links.dropped.unflatten(0, (LENGTH, -1))
    assert {0, 2} <= set(late.unique().tolist()) <= {0, 1, 2}
    assert torch.equal(late, late[:1].expand_as(late)), "of a whole episode, from its first row on"
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert dropped.any()
    age = window.columns[AGE][1:LENGTH]
    others = ~torch.eye(3, dtype=torch.bool)
    delayed = (late[1:] == 2)[..., None] & (age >= 0)[..., others]
    assert (age[..., others][delayed] == 2).all()
    assert delayed.any()
    heard = (age == 0) & others
    assert not (heard & (dropped[1:] | start.links.bad.unflatten(0, (LENGTH, -1))[1:])).any()


@pytest.mark.parametrize(
    "values",
    [
        {"late": "mask"},
        MIXED,
        MIXED | {"late": "predict"},
        MIXED | {"message": {"bits_scale": 0.1, "precision": "learned"}},
    ],
    ids=["plain", "holding", "predicting", "choosing"],
)
def test_a_collector_goes_on_with_its_links_after_a_checkpoint(values: dict[str, Any]) -> None:
    def rows(stopped: bool) -> list[np.ndarray]:
        algorithm, environment = made(**values), world(COPIES)
        settings = ReplaySettings(capacity=600, window=LENGTH + 1, batch=4)
        replay = Replay(settings, environment.spec, copies=COPIES, columns=algorithm.columns())
        collector = Collector(environment, algorithm.behaviour(), replay, seed=2, device=CPU)
        collector.collect(5, algorithm.behaviour())
        collector.commit()
        if stopped:
            state, kept = collector.state(), replay.state()
            other = Replay(settings, environment.spec, copies=COPIES, columns=algorithm.columns())
            collector = Collector(world(COPIES), algorithm.behaviour(), other, seed=2, device=CPU)
            other.restore(kept)
            collector.restore(state)
            collector.rerun_episodes()
            replay = other
        collector.collect(12, algorithm.behaviour())
        collector.commit()
        return [array for name, array in replay.state().items() if name in (AGE, "action")]

    for straight, resumed in zip(rows(False), rows(True), strict=True):
        assert np.array_equal(straight, resumed)


@pytest.fixture(scope="module", params=["hold", "predict"])
def holding_team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mamba, Any]:
    """Untrained networks, and their bundles as a node reads them."""
    algorithm, folder = made(layers=1, share=1.0, delay_steps=1, late=request.param), tmp_path_factory.mktemp("holding")
    export_team(algorithm, algorithm.spec, folder, run_id="late", training_step=0)
    return algorithm, load_team(folder)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["delay-ms=200", "erasure=0.4,delay-ms=200", "burst=0.4:2"])
def test_the_model_knows_a_team_on_the_real_channel(holding_team: tuple[Mamba, Any], text: str) -> None:
    """Bundles that hold what came last do under a simulated channel what the posterior says, from what they saw."""
    algorithm, bundles = holding_team
    records: list[Any] = []
    parameters = bundles[0].manifest.environment_parameters
    stage = World(registry.make("relay", count=1, parameters=parameters), channel=Channel.parse(text))
    assert bundles[0].manifest.late_policy == algorithm.channel.late, "what it learned with is what it is run with"
    team = LocalTeam(bundles, run_seed=4, greedy=True)
    team.run_episode(stage, episode=0, observe=records.append, report_latents=True)
    window = as_window(records, delay=1 if "delay" in text else 0)
    found = algorithm.model.observe(window, GreedyDraws().latent)
    assert np.array_equal(found.ids[:, 0].numpy(), np.stack([record.latent for record in records]))
    # Guards the line above: a team that read every message in time would say other things.
    in_time = replace(window, columns={AGE: torch.zeros_like(window.columns[AGE])})
    assert not torch.equal(algorithm.model.observe(in_time, GreedyDraws().latent).deter, found.deter)


def as_window(records: list[Any], *, delay: int) -> Window:
    """An episode as a training would have collected it."""
    steps, agents = len(records), records[0].observation.shape[0]
    action = np.stack([record.action for record in records])
    shape = (steps, 1, agents)
    return Window(
        observation=torch.from_numpy(np.stack([record.observation for record in records]))[:, None],
        action_mask=torch.ones(*shape, 5, dtype=torch.bool),
        hears=None,
        present=torch.ones(shape, dtype=torch.bool),
        first=torch.arange(steps)[:, None] == 0,
        action=torch.from_numpy(np.concatenate([action[:1], action[:-1]])).long()[:, None],
        reward=torch.zeros(shape),
        terminated=torch.zeros(shape, dtype=torch.bool),
        columns={AGE: torch.from_numpy(ages_of([record.lost for record in records], delay=delay))[:, None]},
    )


def ages_of(lost: list[np.ndarray], *, delay: int) -> np.ndarray:
    """int64 [T, N, N] of what is held at each step; `lost` [N, N] is told a step after the messages were said."""
    agents = lost[0].shape[0]
    found = np.full((len(lost), agents, agents), NOTHING)
    found[0] = 0
    for step in range(1, len(lost)):
        for said in range(step - delay):
            found[step] = np.where(lost[said + 1], found[step], step - 1 - said)
        np.fill_diagonal(found[step], 0)
    return found


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"share": 0.5}, "no fault is above 0"),
        ({"erasure": 0.5}, "channel.share is 0"),
        ({"share": 0.5, "delay_steps": 2}, "late = hold"),
        ({"share": 0.5, "erasure": 1.5}, "less than 1"),
        ({"share": 0.5, "erasure": 0.5, "late": "hold", "filling": "mode"}, "late = hold predicts nothing"),
        ({"share": 0.5, "erasure": 0.5, "filling": "sample"}, "late = mask predicts nothing"),
        ({"share": 0.5, "erasure": 0.5, "burst_steps": 5.0}, "burst_loss is 0"),
        ({"late": "hold"}, "none is ever missing"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(values: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(ChannelSettings, values, source="channel")


def test_messages_that_are_lost_need_the_neighbour_sets_that_the_runtime_has() -> None:
    values = {"channel": {"share": 0.5, "erasure": 0.5}, "model": {"communication": "central"}}
    with pytest.raises(SettingsError, match="ego"):
        resolve(MambaSettings, values, source="mamba")
    values["channel"] = {"heartbeat": 3, "late": "hold"}
    with pytest.raises(SettingsError, match=r"withholds messages.*ego"):
        resolve(MambaSettings, values, source="mamba")
