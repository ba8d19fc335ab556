"""What methods that learn on policy share: rows they learn from, what those earned, that acting is learned.

Axis legend: T rows of a window, E copies, N agents, A actions.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from combinations import a_few
from equal_runs import assert_equal_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_team import SMALL_OF, resume, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import EnvironmentSpec, VectorEnvironment
from heliograph.errors import SettingsError
from trainer.algorithms.commnet.commnet import CommNet
from trainer.algorithms.happo.happo import Happo
from trainer.algorithms.ippo.ippo import Ippo
from trainer.algorithms.model_free.attention_ppo import AttentionPpo
from trainer.algorithms.model_free.carried import packed, unpacked
from trainer.algorithms.model_free.mappo import Mappo
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.settings import AttentionPpoSettings, MappoSettings, MessagingSettings
from trainer.algorithms.registry import ALGORITHMS, algorithm_entry
from trainer.algorithms.tarmac.settings import TarMacSettings
from trainer.algorithms.tarmac.tarmac import TarMac
from trainer.experience.collector import Collector
from trainer.experience.earned import acted, returns_of
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.experience.window import Window
from trainer.export.bundles import export_team
from trainer.nets.value_scale import ValueScale
from trainer.policy.acting import carried_tensors
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import RandomDraws
from trainer.training.evaluation import evaluate
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow  # each is short, all of them are seconds

NAMES = sorted(name for name in ALGORITHMS if algorithm_entry(name).on_policy)
RECURRENT: dict[str, type[Mappo | Ippo | Happo]] = {"mappo": Mappo, "ippo": Ippo, "happo": Happo}
WAITING, STEERING = "waiting_game:make", "steering_team:make"
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "relay, changing graph": ("relay", {"agents": 3, "hears": "range", "range": 0, "cue": "own"}),
    "episodes of all lengths and ends": (WAITING, {}),
    "continuous actions": (STEERING, {}),
}


def make(name: str, spec: EnvironmentSpec, **ppo: Any) -> OnPolicy:
    """Untrained agents whose actions depend on what they remember and hear."""
    torch.manual_seed(0)
    device, values = torch.device("cpu"), {"sequence": 5, "actor_learning_rate": 0.01, **ppo}
    algorithm: OnPolicy
    if name in RECURRENT:
        own = {"hidden": 16, "recurrent": 12, "ppo": values}
        algorithm = RECURRENT[name](MappoSettings.model_validate(own), spec, device=device)
        networks = algorithm.network.each if isinstance(algorithm, Happo) else [algorithm.network]
        cells = [network.cell for network in networks]
        for network in networks:
            network.head[-1].weight.data.mul_(300.0)
    elif name in ("commnet", "tarmac"):
        own = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "message_scale": 20.0, "ppo": values}
        if name == "commnet":
            algorithm = CommNet(MessagingSettings.model_validate(own | {"gate": True}), spec, device=device)
        else:
            algorithm = TarMac(
                TarMacSettings.model_validate(own | {"signature": 1, "message_sees": True}), spec, device=device
            )
        cells = [algorithm.network.cell]
        algorithm.network.head[-1].weight.data.mul_(300.0)
    else:
        sizes = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8, "heads": 2, "posterior_scale": 20.0}
        talking = AttentionPpoSettings.model_validate({"policy": sizes, "ppo": values})
        algorithm = AttentionPpo(talking, spec, device=device)
        cells = [algorithm.network.rssm.cell]
        algorithm.network.actor.rest[-1].weight.data.mul_(3.0)
    for cell in cells:
        for parameter in cell.parameters():
            parameter.data.mul_(3.0)
    return algorithm


class Noted(RandomDraws):
    """Keeps the log-probabilities of the actions that it draws; with a gate, of saying anything as well."""

    def __init__(self, *, gated: bool) -> None:
        super().__init__(torch.Generator().manual_seed(0))
        self.gated, self.log_probability = gated, list[torch.Tensor]()
        self.gate: torch.Tensor | float = 0.0

    def latent(self, probabilities: torch.Tensor) -> torch.Tensor:
        ids = super().latent(probabilities)
        if self.gated:
            speaks = probabilities[..., -1, 1] * (1 - probabilities[..., :-1, 0].prod(-1))
            spoken = (ids[..., -1] > 0) & (ids[..., :-1] > 0).any(-1)
            self.gate = torch.where(spoken, speaks, 1 - speaks).log()
        return ids

    def action(self, outputs: torch.Tensor, actions: ActionDistribution) -> torch.Tensor:
        action = super().action(outputs, actions)
        self.log_probability.append(actions.log_probability(outputs, action) + self.gate)
        return action


class Watched:
    """A `Behaviour` that acts as the algorithm and remembers, by what was carried out of a step, how it was drawn."""

    def __init__(self, algorithm: OnPolicy) -> None:
        self.algorithm, self.network, self.draws = (
            algorithm,
            algorithm.behaviour(),
            Noted(gated=isinstance(algorithm, CommNet)),
        )
        self.seen: dict[bytes, torch.Tensor] = {}

    def initial_state(self, copies: int) -> Any:
        return self.network.initial_state(copies)

    def act(self, state: Any, **agent_inputs: Any) -> tuple[torch.Tensor, Any]:
        action, after = self.network.act(state, **agent_inputs | {"draws": self.draws})
        for carried, drawn in zip(packed(after), self.draws.log_probability[-1], strict=True):
            self.seen[carried.numpy().tobytes()] = drawn
        return action, after

    def columns(self, state: Any) -> Any:
        return self.network.columns(state)


def collector_for(actor: Watched, world: VectorEnvironment, *, capacity: int = 4000) -> Collector:
    algorithm = actor.algorithm
    replay = Replay(
        ReplaySettings(capacity=capacity, window=2, minimum=1),
        world.spec,
        copies=world.count,
        columns=algorithm.columns(),
    )
    return Collector(world, actor, replay, seed=5, device=torch.device("cpu"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("world", "parameters"), WORLDS.values(), ids=WORLDS)
def test_what_was_drawn_while_acting_is_what_is_learned_from_to_the_row(
    name: str, world: str, parameters: dict[str, Any]
) -> None:
    environment = registry.make(world, count=3, parameters=parameters, permission=EVERYTHING)
    algorithm = make(name, environment.spec)
    actor = Watched(algorithm)
    collector = collector_for(actor, environment)
    random, drawn = np.random.default_rng(0), []
    for steps in (7, 11, 4):  # episodes go on over an update, which changes the networks
        actor.seen.clear()
        collector.collect(steps, actor)
        collector.commit()
        replay = collector.replay
        read = replay.state()["read"]
        with torch.no_grad():
            sequences = algorithm.sequences(*replay.unread())
            found = algorithm.decisions(sequences).log_probability
        rows = {
            carried.numpy().tobytes(): (drawn_now, counts)
            for carried, drawn_now, counts in zip(
                sequences.carried_out.flatten(0, 1), found.flatten(0, 1), sequences.counts.flatten(0, 1), strict=True
            )
            if counts.any()
        }
        assert rows.keys() == actor.seen.keys()
        for carried, (now, counts) in rows.items():
            torch.testing.assert_close(now[counts], actor.seen[carried][counts], rtol=0, atol=2e-5)
            drawn.append(now[counts])
        replay.restore(replay.state() | {"read": read})
        before = torch.cat([parameter.flatten().clone() for parameter in algorithm.network.parameters()])
        assert algorithm.update(replay, random)
        after = torch.cat([parameter.flatten() for parameter in algorithm.network.parameters()])
        assert (after - before).abs().max() > 1e-3
    assert torch.cat(drawn).std() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_were_overwritten_before_an_update_are_left_out(name: str) -> None:
    environment = registry.make("waiting_game:make", count=2, permission=EVERYTHING)
    algorithm = make(name, environment.spec)
    actor = Watched(algorithm)
    collector = collector_for(actor, environment, capacity=20)
    collector.collect(40, actor)
    collector.commit()
    with torch.no_grad():
        sequences = algorithm.sequences(*collector.replay.unread())
        found = algorithm.decisions(sequences).log_probability
    counted = sequences.counts.any(-1)
    assert 10 <= int(counted.sum()) < 20
    for carried, now, counts in zip(
        sequences.carried_out[counted], found[counted], sequences.counts[counted], strict=True
    ):
        torch.testing.assert_close(now[counts], actor.seen[carried.numpy().tobytes()][counts], rtol=0, atol=2e-5)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, torch.Tensor]:
    """Rows [T, 2, 2] of episodes that end by time or by all agents' end, absorbing rows in between; and values."""
    length, generator = draw(st.integers(3, 12)), torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    first = torch.zeros(length, 2, dtype=torch.bool)
    present = torch.ones(length, 2, 2, dtype=torch.bool)
    terminated = torch.zeros(length, 2, 2, dtype=torch.bool)
    for copy in range(2):
        row = draw(st.integers(0, 2))
        while row < length:
            first[row, copy] = True
            end = row + draw(st.integers(1, 4))
            if draw(st.booleans()) and end < length:
                terminated[end, copy] = True
                gone = end + draw(st.integers(0, 2))
                present[end : gone + 1, copy] = False
                terminated[end : gone + 1, copy] = True
                end = gone
            elif draw(st.booleans()):
                early = range(row + 1, min(end, length - 1) + 1)
                present[list(early), copy, 1] = False
                terminated[list(early), copy, 1] = True
            row = end + 1
    shape = (length, 2, 2)
    window = Window(
        observation=torch.zeros(*shape, 1),
        action_mask=torch.ones(*shape, 1, dtype=torch.bool),
        hears=None,
        present=present,
        first=first,
        action=torch.zeros(shape, dtype=torch.int64),
        reward=torch.randn(shape, generator=generator, dtype=torch.float64),
        terminated=terminated,
    )
    return window, torch.randn(shape, generator=generator, dtype=torch.float64)


@given(windows(), st.sampled_from(["team", "individual"]))
@settings(max_examples=60, deadline=None)
def test_returns_less_values_are_generalised_advantages_within_each_episode(
    drawn: tuple[Window, torch.Tensor], sharing: str
) -> None:
    window, value = drawn
    ours, played = returns_of(window, value, discount=0.9, trace=0.8, sharing=sharing) - value[:-1], acted(window)
    last = len(value) - 1
    for copy in range(2):
        for agent in range(2):
            advantage = 0.0
            for row in reversed(range(last)):
                gone = bool(window.terminated[row, copy].all()) and not window.first[row, copy]
                acts = not window.first[row + 1, copy] and not gone and bool(window.present[row, copy, agent])
                assert bool(played[row, copy, agent]) == acts
                if window.first[row + 1, copy]:  # this row closes an episode
                    advantage = 0.0
                    continue
                reward, ended = window.reward[row + 1, copy, agent], window.terminated[row + 1, copy, agent]
                if sharing == "team":
                    reward, ended = window.reward[row + 1, copy].mean(), window.terminated[row + 1, copy].all()
                following = 0.0 if ended else float(value[row + 1, copy, agent])
                error = float(reward) + 0.9 * following - float(value[row, copy, agent])
                advantage = error + (0.0 if ended else 0.9 * 0.8 * advantage)
                if acts:
                    assert float(ours[row, copy, agent]) == pytest.approx(advantage, abs=1e-9)


def test_what_is_carried_survives_the_rows_of_replay() -> None:
    for world, parameters in WORLDS.values():
        spec = registry.make(world, count=1, parameters=parameters, permission=EVERYTHING).spec
        for name in NAMES:
            algorithm = make(name, spec)
            network = algorithm.behaviour()
            state = network.act(
                network.initial_state(3),
                observation=torch.randn(3, spec.agents, spec.observation_size),
                action_mask=torch.ones(3, spec.agents, spec.actions, dtype=torch.bool),
                hears=None,
                first=torch.zeros(3, dtype=torch.bool),
                draws=RandomDraws(),
            )[1]
            again = unpacked(network.initial_state(1), packed(state))
            assert carried_tensors(again).keys() == carried_tensors(state).keys() != set()
            for field, tensor in carried_tensors(state).items():
                assert torch.equal(getattr(again, field), tensor), field
                assert getattr(again, field).dtype == tensor.dtype


def test_a_value_scale_takes_back_what_it_did_and_makes_returns_small() -> None:
    scale, returns = ValueScale(), 300.0 + 50.0 * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scale.from_scale(returns), returns)
    for _ in range(3):
        scale.see(returns)
    scaled = scale.to_scale(returns)
    assert abs(float(scaled.mean())) < 1e-3
    assert float(scaled.std()) == pytest.approx(1.0, abs=1e-2)
    torch.testing.assert_close(scale.from_scale(scaled), returns)


@pytest.fixture(
    scope="module",
    params=a_few(
        itertools.product(NAMES, (WAITING, STEERING)),
        # IPPO acts with MAPPO's networks, so each kind of networks plays in one of both worlds, and some in the other.
        *((name, WAITING) for name in NAMES if name != "ippo"),
        ("attention-ppo", STEERING),
        ("ippo", STEERING),
    ),
    ids=" on ".join,
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[OnPolicy, Path]:
    name, world = request.param
    algorithm = make(name, registry.make(world, count=1, permission=EVERYTHING).spec)
    path = tmp_path_factory.mktemp("exported")
    export_team(algorithm, algorithm.spec, path, run_id="equal", training_step=0)
    return algorithm, path


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_the_networks_of_a_team_and_bundles_of_agents_alone_play_the_same_episodes(
    exported: tuple[OnPolicy, Path], greedy: bool
) -> None:
    algorithm, path = exported
    central = evaluate(
        algorithm.policy(),
        registry.make(algorithm.spec.id, count=8, permission=EVERYTHING),
        episodes=16,
        seed=11,
        greedy=greedy,
        device=torch.device("cpu"),
    )
    bundles = load_team(path)
    late = "mask" if bundles[0].manifest.sending is None else "hold"
    team = LocalTeam(bundles, run_seed=11, greedy=greedy, late_policy=late)
    played = World(registry.make(algorithm.spec.id, count=1, permission=EVERYTHING))
    results = [team.run_episode(played, episode=episode).result for episode in range(16)]
    assert [result.steps for result in results] == central.length.tolist()
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-4)
    assert len(np.unique(central.team_return.round(4))) >= 6, "the episodes differ from one another"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path, name: str) -> None:
    chosen = small_settings(f"{name}-relay", "replay.capacity=200", env_steps=10_000, small=SMALL_OF[name])
    start(tmp_path / "whole", chosen, stop_after=6).run()
    start(tmp_path / "parts", chosen, stop_after=2).run()
    for stop in (4, 6):
        resume(tmp_path / "parts", stop_after=stop).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("policy/entropy" in record for record in RunFolder.open(tmp_path / "parts").history())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("schedule.overlap=true", "learns from its newest policy alone"),
        ("compile=default", "nothing to compile"),
        ("replay.capacity=500", "may need 768 rows for an update"),
        ("mamba.model_updates=3", "mamba is set, which"),
    ],
)
def test_settings_that_an_on_policy_method_cannot_follow_are_refused(name: str, override: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load_settings(f"{name}-relay", [override])


def test_on_a_gpu_only_what_learns_from_older_policies_collects_ahead() -> None:
    assert load_settings("relay", []).overlaps("cuda")
    assert not load_settings("relay", []).overlaps("cpu")
    assert not load_settings("mappo-relay", []).overlaps("cuda")
