"""Two ranks with half batches have the gradients of one with the whole batch, for every kind of learning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rank_threads import on_ranks
from tiny_team import SMALL, SMALL_MARIE, SMALL_MAZERO, SMALL_OF, small_settings, start
from torch import Tensor

from heliograph.stopping import Stopped
from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.algorithms.happo.happo import Happo
from trainer.algorithms.interfaces import Algorithm
from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.marie.segments import segments_of
from trainer.algorithms.marie.tokenizer_settings import CodebookSettings
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.windows import Steps, steps_of
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws
from trainer.policy.ppo import PolicyBatch
from trainer.ranks.group import ALONE, Joined, Ranks
from trainer.ranks.stopping_together import done_on_all
from trainer.training.training import Training

torch.set_num_threads(1)


def own_part(whole: Tensor, group: Ranks, dim: int = 0) -> Tensor:
    return whole.chunk(group.count, dim)[group.rank]


def gradients(algorithm: Algorithm) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.grad.clone()
        for name, module in algorithm.modules().items()
        for key, value in module.named_parameters()
        if value.grad is not None
    }


def assert_the_same_gradients(learned: Callable[[Ranks], dict[str, Tensor]], *, of: set[str]) -> None:
    alone = learned(ALONE)
    one, other = on_ranks(learned)
    assert {name.partition(".")[0] for name in alone} >= of
    for name, whole in alone.items():
        assert torch.equal(one[name], other[name]), name
        torch.testing.assert_close(one[name], whole, rtol=1e-4, atol=1e-6)


def trained(folder: Path, preset: str, *overrides: str, small: tuple[str, ...]) -> Training:
    """A run of a few updates, whose replay has enough of whole episodes."""
    chosen = small_settings(preset, "replay.start=first", *overrides, env_steps=10_000, small=small)
    training = start(folder, chosen, stop_after=4)
    training.run()
    return training


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["relay-signal", "mag-relay", "mabl-relay"])
def test_of_a_world_model_and_what_learns_in_it(tmp_path: Path, preset: str) -> None:
    training = trained(tmp_path / "run", preset, small=SMALL_OF.get(preset.partition("-relay")[0], SMALL))
    team = training.algorithm
    assert isinstance(team, Dreamer)
    window = training.replay.sample(training._random).window
    assert not window.first[1:].any()  # or the halves would count differently
    team.draws = GreedyDraws()
    features = team.features(window)
    rows = tuple(feature[:-1].flatten(0, 1) for feature in features)
    joint = rows[0].shape[0]
    batch = PolicyBatch(
        features=rows,
        action=window.action[1:].flatten(0, 1),
        available=None,
        old_log_probability=torch.full((joint, 2), -1.0),
        returns=torch.randn(joint, 2),
        advantage=torch.randn(joint, 2),
    )

    def learned(group: Ranks) -> dict[str, Tensor]:
        own = copy.deepcopy(team)
        share = window if group is ALONE else window.each(lambda tensor: own_part(tensor, group, 1))
        index = torch.arange(joint)
        own.update_model(share, Means())
        own.learn_from(batch.rows(index if group is ALONE else own_part(index, group)), Means(), epochs=1)
        return gradients(own)

    assert_the_same_gradients(learned, of={"model", "actor", "critic"})
    training.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "more"),
    [("mappo-relay", ()), ("commnet-relay", ("commnet.gate=true",)), ("tarmac-relay", ()), ("happo-relay", ())],
)
def test_of_ppo_on_experience(tmp_path: Path, preset: str, more: tuple[str, ...]) -> None:
    name = preset.partition("-")[0]
    training = trained(tmp_path / "run", preset, *more, f"{name}.ppo.minibatches=1", small=SMALL_OF[name])
    team, window = training.algorithm, training.replay.sample(training._random, length=5).window
    assert isinstance(team, OnPolicy)
    new = torch.ones_like(window.first)
    sequences = team.sequences(window, new)
    assert sequences.counts.any()

    def learned(group: Ranks) -> dict[str, Tensor]:
        own = copy.deepcopy(team)
        index = own_part(torch.arange(sequences.counts.shape[1]), group)
        own.learn(sequences.pick(index), np.random.default_rng(group.rank), Means())
        return gradients(own)

    assert_the_same_gradients(learned, of={"policy", "critic"})
    training.close()


@pytest.mark.slow
def test_of_marie_s_tokenizer_and_world_model(tmp_path: Path) -> None:
    training = trained(tmp_path / "run", "marie-relay", "marie.model.dropout=0", small=SMALL_MARIE)
    team, window = training.algorithm, training.replay.sample(training._random).window
    assert isinstance(team, Marie)
    segments = segments_of(window)

    def learned(group: Ranks) -> dict[str, Tensor]:
        own = copy.deepcopy(team)
        for _ in range(2):
            own.tokenizer_learner.update(own_part(window.observation, group, 1))
            own.update_model(list(segments.parts(len(segments.cut) // group.count))[group.rank], Means())
        codes = {f"codes.{name}": value.double() for name, value in own.tokenizer.discretiser.state_dict().items()}
        return gradients(own) | codes

    assert_the_same_gradients(learned, of={"tokenizer", "model", "codes"})
    training.close()


@pytest.mark.parametrize("initialisation", ["kmeans", "data"])
def test_a_codebook_begins_and_is_revived_as_one(initialisation: str) -> None:
    chosen = CodebookSettings(size=6, width=3, initialisation=initialisation, idle_updates=1)
    fresh, vectors = Codebook(chosen), torch.randn(40, 3)

    def begun(group: Ranks) -> tuple[Codebook, int]:
        own = copy.deepcopy(fresh)
        own.begin(own_part(vectors, group))
        near = own_part(vectors[:10], group)
        own.follow(near, own.nearest(near))
        return own, own.follow(near * 3, torch.zeros(len(near), dtype=torch.int64))

    (one, revived), (other, others) = on_ranks(begun)
    assert revived == others > 0
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert one.begun


def part_of(steps: Steps, group: Ranks) -> Steps:
    parts: dict[str, Any] = {}
    for field in fields(Steps):
        whole = getattr(steps, field.name)
        if field.name == "found":
            parts[field.name] = {name: own_part(column, group, 1) for name, column in whole.items()}
        else:
            parts[field.name] = own_part(whole, group, 0 if field.name in ("age", "weight") else 1)
    return Steps(**parts)


@pytest.mark.slow
def test_of_mazero(tmp_path: Path) -> None:
    fixed = ("mazero.model.dropout=0", "mazero.targets.reanalyse=0", "mazero.model.zero_heads=false")
    training = trained(tmp_path / "run", "mazero-relay", *fixed, small=SMALL_MAZERO)
    team = training.algorithm
    assert isinstance(team, Mazero)
    steps = steps_of(team.sample(training.replay, training._random), team.settings, team.spec.actions)
    steps.found["search.valid"][:, 2:] = False  # what the second rank has played is searched by nobody

    def learned(group: Ranks) -> dict[str, Tensor]:
        own, share = copy.deepcopy(team), part_of(steps, group)
        for _ in range(2):
            targets = own.targets(share)
            own.model.train()
            own.step(own.loss(share, targets)[1])
        return gradients(own)

    assert_the_same_gradients(learned, of={"model"})
    training.close()


@pytest.mark.slow
def test_agents_of_happo_learn_in_the_order_of_the_first_rank(tmp_path: Path) -> None:
    training = trained(tmp_path / "run", "happo-relay", small=SMALL_OF["happo"])
    team = training.algorithm
    assert isinstance(team, Happo)
    window = training.replay.sample(training._random, length=5).window
    sequences = team.sequences(window, torch.ones_like(window.first))

    def order(group: Joined) -> list[int]:
        taken: list[int] = []
        own = copy.deepcopy(team)
        learn_alone = own.learn_alone

        def noted(slot: int, *others: Any) -> Tensor:
            taken.append(slot)
            return learn_alone(slot, *others)

        own.learn_alone = noted  # type: ignore[method-assign]
        for seed in range(4):
            own.learn(sequences, np.random.default_rng([seed, group.rank]), Means())
        return taken

    one, other = on_ranks(order)
    assert one == other
    assert len({tuple(one[at : at + 2]) for at in range(0, len(one), 2)}) == 2
    training.close()


def test_who_is_stopped_amid_work_stops_those_who_were_through_with_it() -> None:
    def part(group: Joined) -> str:
        def work() -> str:
            if group.rank == 1:
                raise Stopped
            return "done"

        assert done_on_all(lambda: "both") == "both"
        try:
            return done_on_all(work)
        except Stopped:
            return "stopped"

    assert on_ranks(part) == ["stopped", "stopped"]
