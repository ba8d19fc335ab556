"""MARIE compiled, as `compile = "default"` and, on a GPU, `"cuda-graphs"` have it: here on a CPU, the same numbers as
uncompiled, and shapes that do not change while a sequence grows, so that nothing is compiled again.

torch.compile traces, and what it has traced, in the parts that its own compiler gets, is run as it is: to have C++ made
of it, too, would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from combinations import a_few
from tiny_team import SMALL_MARIE, small_settings

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.marie.imagination import ImaginedStarts
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.marie.segments import Segments
from trainer.nets.means import Means
from trainer.policy.draws import GreedyDraws
from trainer.training.making import make_algorithm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning"),  # torch's own, as it loads
]
STARTS = 5


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    compiled = torch.compile

    def trace(function: Any, *, dynamic: bool, mode: str) -> Any:
        assert mode == "default"
        return compiled(function, dynamic=dynamic, backend="aot_eager_decomp_partition", fullgraph=True)

    monkeypatch.setattr(torch, "compile", trace)
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.compiler.reset()


def marie(*overrides: str, compiled: bool) -> Marie:
    world = registry.make("relay", count=1, permission=EVERYTHING)
    mode = ("compile=default",) if compiled else ()
    chosen = small_settings("marie-relay-sighted", *overrides, *mode, small=SMALL_MARIE)
    algorithm = make_algorithm(chosen, world, torch.device("cpu"))
    assert isinstance(algorithm, Marie)
    algorithm.draws = GreedyDraws()
    return algorithm


def starts(algorithm: Marie) -> ImaginedStarts:
    spec, random = algorithm.spec, torch.Generator().manual_seed(2)
    return ImaginedStarts(
        observation=torch.rand(STARTS, 2, spec.agents, spec.observation_size, generator=random),
        filled=torch.rand(STARTS, 2, generator=random) < 0.7,
        action=torch.zeros(STARTS, spec.agents, dtype=torch.int64),
        first=torch.zeros(STARTS, dtype=torch.bool),
        available=torch.ones(STARTS, spec.agents, spec.actions, dtype=torch.bool),
    )


def segments(algorithm: Marie, *, ends: bool) -> Segments:
    spec, random, (count, steps) = algorithm.spec, torch.Generator().manual_seed(3), (4, 3)
    each = (count, steps, spec.agents)
    cut = torch.zeros(count, steps, dtype=torch.bool)
    if ends:
        cut[1, 0] = cut[2, 1] = True
    return Segments(
        observation=torch.rand(*each, spec.observation_size, generator=random),
        action=torch.randint(spec.actions, each, generator=random),
        acted=torch.ones(count, steps, dtype=torch.bool),
        reward=torch.rand(each, generator=random),
        done=cut.unsqueeze(-1).expand(each),
        cut=cut,
        next_available=torch.ones(*each, spec.actions, dtype=torch.bool),
        followed=torch.ones(count, steps, dtype=torch.bool),
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ("marie.policy.horizon=3",),
        ("marie.policy.horizon=7", "marie.model.slide=2"),
        ("marie.policy.horizon=3", "marie.model.manner=centralised", "marie.model.aggregation=none"),
    ],
    ids=["within", "slides", "centralised"],
)
def test_what_is_imagined_is_the_same_and_each_kind_of_read_is_compiled_once(overrides: tuple[str, ...]) -> None:
    plain, compiled = (marie(*overrides, compiled=each) for each in (False, True))
    expected = plain.imagine_from(starts(plain))
    graphs = "stats", "unique_graphs"
    found = compiled.imagine_from(starts(compiled))
    torch.testing.assert_close(found.features, expected.features)
    torch.testing.assert_close(found.reward, expected.reward, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.continuation, expected.continuation, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.action, expected.action)
    made = torch._dynamo.utils.counters[graphs[0]][graphs[1]]
    # A token; the last token of an observation, its action and the aggregate; and what is left behind a slide.
    assert made == (4 if "marie.model.slide=2" in overrides else 3)
    again = compiled.imagine_from(starts(compiled))
    torch.testing.assert_close(again.reward, found.reward)
    assert torch._dynamo.utils.counters[graphs[0]][graphs[1]] == made


# In bfloat16 a landing updates uncompiled, in test_marie.
@pytest.mark.parametrize("precision", a_few(["float32", "bfloat16"], "float32"))
def test_an_update_is_the_same_whether_episodes_end_within_its_segments_or_not(precision: str) -> None:
    learnt = []
    for compiled in (False, True):
        algorithm = marie(f"marie.model.precision={precision}", compiled=compiled)
        told = Means()
        for ends in (True, False):
            algorithm.update_model(segments(algorithm, ends=ends), told)
        # No weights: those of a key's bias have no gradient but of rounding, which AdamW takes for as much as any.
        gradients = [weight.grad for weight in algorithm.model.parameters() if weight.grad is not None]
        learnt.append((told.result(), gradients))
        if compiled:
            assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    (plain, expected), (told, found) = learnt
    assert len(found) == len(expected) > 20
    near = 1e-4 if precision == "float32" else 3e-2
    assert told == pytest.approx(plain, rel=near, abs=near)
    if precision == "float32":
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-4)


def test_rollouts_in_parts_of_other_sizes_have_memories_of_their_own() -> None:
    plain, compiled = (marie("marie.policy.at_once=3", compiled=each) for each in (False, True))
    expected, found = plain.imagine_from(starts(plain)), compiled.imagine_from(starts(compiled))
    torch.testing.assert_close(found.reward, expected.reward, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.action, expected.action)
