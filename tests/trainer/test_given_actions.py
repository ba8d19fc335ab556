"""Imagination with actions that are given in place of the policy's: all algorithms do them and nothing else changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tiny_team import SMALL, SMALL_MABL, SMALL_MARIE, small_settings
from torch import Tensor

from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.batch import Batch
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.policy.draws import RandomDraws
from trainer.policy.imagined import ImaginedRollout
from trainer.training.calibration import led_up_to, taken
from trainer.training.making import make_algorithm, make_environment

CPU = torch.device("cpu")
HORIZON = 2
PLANNING = ("mag.candidates=2", "mag.horizon=2", "mag.predictor_updates=1")
SQUARED = "mamba.loss.reconstruction_loss=squared"
MIXED = ('environment.id="mixed_team:make"', "environment.parameters={masks = true}")
VECTORS = ('environment.id="steering_team:make"', "environment.parameters={}", SQUARED)
WAYS = {
    "mamba": ("relay", SMALL),
    "independent": ("independent-relay", SMALL_MABL),
    "channel": (
        "relay-signal",
        (*SMALL, "mamba.channel.share=1.0", "mamba.channel.erasure=0.5", 'mamba.channel.late="hold"'),
    ),
    # Its policy is also asked on the way, for candidates of which there are more than starts, or as many.
    "mag": ("mag-relay", (*SMALL, *PLANNING)),
    "mag, one candidate": ("mag-relay", (*SMALL, *PLANNING, "mag.candidates=1")),
    "mabl": ("mabl-relay", SMALL_MABL),
    "marie": ("marie-relay", SMALL_MARIE),
    "marie, in parts": ("marie-relay", (*SMALL_MARIE, "marie.policy.at_once=3")),
    "vectors": ("relay", (*SMALL, *VECTORS)),
    "mixed": ("relay", (*SMALL, *MIXED, SQUARED)),
    "mixed marie": ("marie-relay", (*SMALL_MARIE, *MIXED)),
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    algorithm: ImaginingAlgorithm
    batch: Batch
    before: int

    def imagine(self, actions: Tensor | None) -> ImaginedRollout:
        """Always with the same draws."""
        draws = RandomDraws(torch.Generator().manual_seed(5))
        seen = led_up_to(self.batch, self.before)
        return self.algorithm.imagine_after(seen, draws, horizon=HORIZON, actions=actions)


@pytest.fixture(scope="module", params=WAYS)
def seen(request: pytest.FixtureRequest) -> Seen:
    """What an untrained team met."""
    preset, small = WAYS[request.param]
    settings = small_settings(preset, small=small)
    world = make_environment(settings, EVERYTHING, count=settings.environment.copies)
    torch.manual_seed(1)
    algorithm = make_algorithm(settings, world, CPU)
    assert isinstance(algorithm, ImaginingAlgorithm)
    replay = Replay(settings.replay, world.spec, copies=settings.environment.copies, columns=algorithm.columns())
    collector = Collector(world, algorithm.behaviour(), replay, seed=3, device=CPU)
    collector.collect(20, algorithm.behaviour())
    collector.commit()
    world.close()
    before = algorithm.leading_rows(settings.replay.window)
    batch = replay.futures(np.random.default_rng(0), batch=8, before=before, after=HORIZON, newest=10_000)
    assert batch is not None
    return Seen(algorithm=algorithm, batch=batch, before=before)


def test_what_the_policy_would_do_is_imagined_alike_where_it_is_given(seen: Seen) -> None:
    own = seen.imagine(None)
    again = seen.imagine(own.action)
    assert torch.equal(again.action, own.action)
    assert torch.equal(again.reward, own.reward)
    assert torch.equal(again.continuation, own.continuation)
    assert all(torch.equal(one, other) for one, other in zip(again.features, own.features, strict=True))


def test_what_was_really_done_is_what_is_imagined(seen: Seen) -> None:
    own, done = seen.imagine(None), taken(seen.batch, seen.before)
    assert not torch.equal(done, own.action)
    replayed = seen.imagine(done)
    assert torch.equal(replayed.action, done)
    other = (done != own.action).flatten(2).any(-1)  # [H, M]: a start where somebody did something else
    assert other[0].any()
    assert (replayed.reward[0] != own.reward[0])[other[0]].any(), "rewards are those of the actions that are given"
