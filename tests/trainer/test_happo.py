"""HAPPO: agents learn one after another, in any order, each with what those before it have made of the advantage."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_team import SMALL_HAPPO, small_settings, start

import heliograph
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.happo.happo import Happo, likelier
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.nets.means import Means
from trainer.training.preset import load_settings


class Watched(Happo):
    """Notes what each agent's first step is taken on."""

    def policy_step(
        self, name: str, network: AgentNetwork, sequences: Sequences, old: torch.Tensor
    ) -> dict[str, float]:
        self.noted.setdefault(name, sequences.advantage.clone())
        return super().policy_step(name, network, sequences, old)


def played(world: str = "relay", parameters: dict[str, Any] | None = None, **ppo: Any) -> tuple[Watched, Sequences]:
    """Agents that have not learned, and what they have just done."""
    environment = registry.make(
        world, count=3, parameters={"agents": 3} if parameters is None else parameters, permission=EVERYTHING
    )
    values = {"sequence": 6, "epochs": 2, "actor_learning_rate": 0.02, **ppo}
    torch.manual_seed(0)
    settings = MappoSettings.model_validate({"hidden": 16, "recurrent": 12, "ppo": values})
    algorithm = Watched(settings, environment.spec, device=torch.device("cpu"))
    algorithm.noted = {}
    rows = ReplaySettings(capacity=1000, window=2, minimum=1)
    replay = Replay(rows, environment.spec, copies=3, columns=algorithm.columns())
    collector = Collector(environment, algorithm.behaviour(), replay, seed=5, device=torch.device("cpu"))
    collector.collect(24, algorithm.behaviour())
    collector.commit()
    return algorithm, algorithm.sequences(*replay.unread())


def test_the_factor_by_hand() -> None:
    old, now = torch.tensor([[0.5, 0.2], [0.25, 0.8]]).log(), torch.tensor([[0.6, 0.1], [0.75, 0.8]]).log()
    counts = torch.tensor([[True, True], [True, False]])
    torch.testing.assert_close(likelier(now, old, counts), torch.tensor([[1.2, 0.5], [3.0, 1.0]]))
    strange = torch.tensor([float("-inf"), 0.0])
    assert likelier(strange, strange, torch.tensor([False, True])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("world", "parameters"), [("relay", {"agents": 3}), ("waiting_game:make", {})], ids=["relay", "early leavers"]
)
def test_each_learns_on_the_advantage_times_all_that_changed_before_it(world: str, parameters: dict[str, Any]) -> None:
    algorithm, sequences = played(world, parameters, minibatches=1)
    before, random = deepcopy(algorithm.network), np.random.default_rng(0)
    order = np.random.default_rng(0).permutation(algorithm.spec.agents)
    if algorithm.spec.agents == 3:
        assert order.tolist() != [0, 1, 2]
    algorithm.learn(sequences, random, Means())
    assert list(algorithm.noted) == [f"policy-{slot}" for slot in order]
    with torch.no_grad():
        old, now = (algorithm.decisions(sequences, network).log_probability for network in (before, algorithm.network))
    factor = np.ones(old.shape[:2])
    for place, slot in enumerate(order):
        expected = sequences.advantage[:, :, slot].numpy() * factor
        # Sequences are drawn in another order: compare them sorted by their sums.
        found = algorithm.noted[f"policy-{slot}"][:, :, 0].numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(
            found[:, np.argsort(found.sum(0))], expected[:, np.argsort(expected.sum(0))], rtol=1e-4, atol=1e-5
        )
        assert (np.abs(factor - 1).max() > 0.01) == (place > 0)
        for row, sequence in np.ndindex(*factor.shape):
            if sequences.counts[row, sequence, slot]:
                factor[row, sequence] *= np.exp(float(now[row, sequence, slot]) - float(old[row, sequence, slot]))


def test_the_order_is_drawn_anew_every_time() -> None:
    algorithm, sequences = played(epochs=1)
    random, orders = np.random.default_rng(0), set()
    for _ in range(12):
        algorithm.noted = {}
        algorithm.learn(sequences, random, Means())
        orders.add(tuple(algorithm.noted))
    assert len(orders) >= 4
    assert all(sorted(order) == ["policy-0", "policy-1", "policy-2"] for order in orders)


def test_nothing_of_an_agents_network_is_anothers() -> None:
    algorithm, sequences = played()
    others = {slot: deepcopy(algorithm.network.each[slot]) for slot in (0, 2)}
    member = deepcopy(algorithm.network.each[1])
    ones = torch.ones_like(sequences.advantage[..., :1])
    algorithm.learn_alone(1, sequences.of(1), ones, np.random.default_rng(0), Means())
    for slot, network in others.items():
        assert all(map(torch.equal, network.parameters(), algorithm.network.each[slot].parameters()))
    assert not all(map(torch.equal, member.parameters(), algorithm.network.each[1].parameters()))
    pointers = [{each.data_ptr() for each in member.parameters()} for member in algorithm.network.each]
    assert not set.intersection(*pointers)


@pytest.mark.slow
def test_its_bundles_are_unlike_and_run_as_processes(tmp_path: Path) -> None:
    training = start(tmp_path / "run", small_settings("happo-relay-sighted", small=SMALL_HAPPO))
    summary = training.run()
    training.close()
    assert summary.links_cut is None
    bundles = load_team(training.folder.bundles)
    assert all(bundle.manifest.message is None for bundle in bundles)
    assert len({bundle.graph for bundle in bundles}) == len(bundles)
    report = heliograph.run(tmp_path / "run", episodes=3)
    assert not report.endings
    assert heliograph.evaluate(tmp_path / "run", episodes=3).summaries[0].outcome == report.summaries[0].outcome


def test_published_values_are_those_of_its_authors() -> None:
    smac, robot = (load_settings(f"happo-{name}-paper", []) for name in ("smac-3m", "mujoco-halfcheetah-2x3"))
    assert (smac.environment.copies, smac.schedule.steps_per_iteration, smac.schedule.env_steps) == (
        20,
        160,
        20_000_000,
    )
    assert (robot.environment.copies, robot.schedule.steps_per_iteration) == (20, 200)
    assert (smac.happo.ppo.epochs, smac.happo.ppo.clip, smac.happo.hidden) == (5, 0.2, 64)
    assert (robot.happo.ppo.epochs, robot.happo.ppo.clip, robot.happo.hidden) == (15, 0.05, 128)
    assert load_settings("happo-relay", []).happo.ppo.reward_sharing == "team"
