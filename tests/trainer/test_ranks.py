"""What ranks say to one another, and that together they learn what one learns alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rank_threads import on_ranks
from tiny_team import SMALL_MARIE, SMALL_MAZERO, small_settings
from torch import Tensor

from heliograph.errors import CheckpointError, RankLost, SettingsError
from trainer.algorithms.registry import AlgorithmEntry, algorithm_entry
from trainer.nets.observation_scale import ObservationScale
from trainer.nets.value_scale import ValueScale
from trainer.policy.ppo import normalised, weighted_normalised
from trainer.ranks.group import ALONE, Joined, ranks
from trainer.ranks.joining import joined_ranks
from trainer.ranks.launched import launched_ranks
from trainer.ranks.shared_stop import SharedStop
from trainer.training import shares
from trainer.training.checkpoint import _check_same
from trainer.training.shares import check_ranks, share_of

torch.set_num_threads(1)


def halves(whole: Tensor, group: Joined, dim: int = 0) -> Tensor:
    return whole.chunk(group.count, dim)[group.rank]


def test_what_is_averaged_summed_and_decided() -> None:
    def part(group: Joined) -> tuple[Any, ...]:
        one, other = torch.full((2, 2), float(group.rank)), torch.arange(3.0) * group.rank
        group.average([one, other])
        summed, first = torch.tensor([1.0 + group.rank]), torch.tensor([3.0 + group.rank])
        group.add([summed])
        group.take_over([first])
        mean, weight = group.weighted_mean(torch.tensor([1.0, 2.0]) + group.rank, torch.tensor(1.0 + 2 * group.rank))
        nothing = group.weighted_mean(torch.tensor([5.0]), torch.tensor(0.0))
        return (
            one.tolist(),
            other.tolist(),
            (summed.tolist(), first.tolist()),
            group.rows(torch.full((1 + group.rank, 2), float(group.rank))).tolist(),
            (mean.tolist(), float(weight)),
            (nothing[0].tolist(), float(nothing[1])),
            group.total(1.0 + group.rank),
            group.mean(float(group.rank)),
            group.least(7 - group.rank),
            (group.any(group.rank == 1), group.any(False), group.all(group.rank == 1), group.all(True)),
            group.of_lead({"folder": "ä", "rank": group.rank}),
            group.lead,
        )

    expected = (
        [[0.5, 0.5], [0.5, 0.5]],
        [0.0, 0.5, 1.0],
        ([3.0], [3.0]),
        [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]],
        ([1.75, 2.75], 4.0),
        ([0.0], 0.0),
        3.0,
        0.5,
        6,
        (True, False, False, True),
        {"folder": "ä", "rank": 0},
    )
    assert on_ranks(part) == [(*expected, True), (*expected, False)]


def test_alone_everything_stays_as_it_is() -> None:
    tensor, weight = torch.tensor([0.1, 0.2]), torch.tensor(3.0)
    assert ranks() is ALONE
    ALONE.average([tensor])
    ALONE.add([tensor])
    ALONE.take_over([tensor])
    assert tensor.tolist() == torch.tensor([0.1, 0.2]).tolist()
    assert ALONE.rows(tensor) is tensor
    assert ALONE.weighted_mean(tensor, weight) == (tensor, weight)
    assert (ALONE.total(0.1), ALONE.mean(0.1), ALONE.least(3), ALONE.any(False), ALONE.all(True)) == (
        0.1,
        0.1,
        3,
        False,
        True,
    )
    assert ALONE.of_lead("x") == "x"


def test_one_rank_of_torchrun_is_a_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    with joined_ranks() as group:
        assert group is ALONE
        assert ranks() is ALONE


def test_networks_that_have_come_apart_by_a_bit_are_told_on_every_rank() -> None:
    def part(group: Joined) -> list[str]:
        told = []
        for apart in (0.0, 2**-23):
            policy = torch.nn.ParameterList([torch.tensor([1.0, 1.0 + apart * group.rank])])
            networks = {"model": torch.nn.Module(), "policy": policy}
            algorithm: Any = SimpleNamespace(modules=lambda networks=networks: networks)
            try:
                _check_same(algorithm, iteration=3)
            except CheckpointError as error:
                told.append(f"{apart:g} {str(error).partition('.')[0]}")
        return told

    told = ["1.19209e-07 the networks of the 2 ranks have come apart by iteration 3"]
    assert on_ranks(part) == [told, told]


def test_who_waits_for_a_rank_that_has_ended_is_told_why() -> None:
    def part(group: Joined) -> None:
        if group.rank == 1:
            raise ValueError("the disk is full")
        group.any(False)

    with pytest.raises(RankLost, match="rank 1 has ended: the disk is full"):
        on_ranks(part)


def test_a_stop_that_one_is_asked_for_is_wanted_by_all() -> None:
    def part(group: Joined) -> list[bool]:
        stop = SharedStop(group)
        before = stop.wanted
        group.any(False)
        if group.rank == 1:
            stop.ask()
        group.any(False)
        return [before, SharedStop(group).wanted]

    assert on_ranks(part) == [[False, True], [False, True]]
    assert not SharedStop(ALONE).wanted


def test_moments_are_those_of_all_rows() -> None:
    returns, weight = torch.randn(8, 3), torch.rand(8, 3)
    observation, present = torch.randn(8, 2, 5), torch.rand(8, 2) < 0.7
    present[4:] = False  # the second rank has seen nobody
    advantage = torch.randn(8, 3) + 2

    def part(group: Joined) -> list[Tensor]:
        def own(whole: Tensor) -> Tensor:
            return whole if group is ALONE else halves(whole, group)

        plain, weighted, observed = ValueScale(), ValueScale(), ObservationScale(5)
        plain.see(own(returns))
        weighted.see(own(returns), own(weight))
        observed.see(own(observation), own(present))
        return [
            *plain.state_dict().values(),
            *weighted.state_dict().values(),
            *observed.state_dict().values(),
            normalised(own(advantage), over=own(advantage), epsilon=1e-4),
            weighted_normalised(own(advantage), own(weight), epsilon=1e-4),
        ]

    alone = part(ALONE)  # type: ignore[arg-type]  # the same methods
    for mine, theirs, whole in zip(*on_ranks(part), alone, strict=True):
        together = torch.cat([mine, theirs]) if mine.shape != whole.shape else mine
        torch.testing.assert_close(together, whole, rtol=1e-6, atol=1e-6)


def test_a_run_is_shared_out_whole() -> None:
    settings = small_settings("mamba-smax-3m-cpu", "environment.copies=8", "mamba.policy.start_states=10")
    share = share_of(settings, 2)
    assert share_of(settings, 1) is settings
    assert (share.environment.copies, share.replay.batch, share.replay.capacity, share.replay.minimum) == (
        4,
        2,
        200,
        10,
    )
    (whole,), (part,) = settings.sections(), share.sections()
    assert (part.model_updates, part.policy.rounds) == (whole.model_updates, whole.policy.rounds)
    assert (part.policy.start_states, part.policy.minibatch) == (5, -(-whole.policy.minibatch // 2))
    marie = share_of(small_settings("marie-relay", small=SMALL_MARIE), 2).marie
    assert (marie.tokenizer.batch, marie.policy.start_states) == (4, 4)
    mazero = small_settings("mazero-relay", "mazero.targets.stale_after=100", small=SMALL_MAZERO)
    assert share_of(mazero, 2).mazero.targets.stale_after == 50


def test_what_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"environment.copies = 4 cannot be split among 3 ranks. Make it a mult"):
        share_of(small_settings("relay-signal", "mamba.policy.start_states=9"), 3)
    with pytest.raises(SettingsError, match=r"marie.tokenizer.batch = 8 cannot be split among 16 ranks"):
        share_of(
            small_settings("marie-relay", "environment.copies=16", "marie.policy.start_states=16", small=SMALL_MARIE),
            16,
        )
    mazero = small_settings("mazero-relay-sighted", small=SMALL_MAZERO)

    def entry_of(name: str) -> AlgorithmEntry:
        return replace(algorithm_entry(name), ranks=name != "mazero")

    monkeypatch.setattr(shares, "algorithm_entry", entry_of)
    with pytest.raises(SettingsError, match=r"mazero cannot be learned by several ranks. .*mamba.* can"):
        share_of(mazero, 2)
    with pytest.raises(CheckpointError, match="trained by 2 ranks, and would go on with 1 rank, but each has"):
        check_ranks({"ranks": 2}, 1)
    check_ranks({}, 1)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("x", "2"), ("0", "0")])
def test_variables_that_name_no_rank_are_told(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    assert launched_ranks() == 1
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    assert launched_ranks() == 1  # without an address to meet at they are somebody else's
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(SettingsError, match="which names no rank"):
        launched_ranks()
