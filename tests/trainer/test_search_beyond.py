"""What goes beyond the published search: trees that go on a step later, and joint actions that are drawn in rounds."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted_search import Scripted, SeededDraws
from torch import Tensor

from heliograph.errors import SettingsError
from heliograph.settings import resolve
from trainer.search.draws import RandomDraws
from trainer.search.model import Expansion, Root
from trainer.search.paths import Paths
from trainer.search.reuse import Subtree, nothing
from trainer.search.search import Search, SearchResult, search
from trainer.search.settings import SearchSettings

ROOTS = 4


def gone_on(settings: SearchSettings, seed: int) -> tuple[Search, Tensor, Root]:
    """A search, the children that it came to, and the roots to which these lead."""
    run = Search(Scripted().root(ROOTS), Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed))).run()
    best = run.result().best
    root = Scripted().root(ROOTS)
    found = Scripted().step(root.hidden, run.tree.actions[torch.arange(ROOTS), 0, best])
    return run, best, Root(hidden=found.hidden, value=found.value, logits=found.logits, legal=root.legal)


def part_of(known: Subtree, number: int) -> Subtree:
    return Subtree(**{name: value[number : number + 1] for name, value in vars(known).items()})


reuses = given(
    simulations=st.integers(1, 30),
    samples=st.integers(1, 9),
    quantile=st.sampled_from([0.0, 0.75]),
    root=st.sampled_from(["puct", "halving"]),
    seed=st.integers(0, 1000),
)


@pytest.mark.slow
@reuses
def test_a_tree_that_goes_on_keeps_what_is_below_the_children_that_are_drawn_again(
    simulations: int, samples: int, quantile: float, root: str, seed: int
) -> None:
    settings = SearchSettings(
        simulations=simulations, samples=samples, quantile=quantile, decay=0.8, root=root, reuse=True
    )
    run, best, onward = gone_on(settings, seed)
    before, every = run.tree, torch.arange(ROOTS)
    start = before.child[best, every, 0]
    again = Search(
        onward, Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed)), known=run.below(best)
    )
    tree = again.tree
    for number in range(ROOTS):
        old = {
            tuple(before.actions[number, start[number], slot].tolist()): int(before.child[slot, number, start[number]])
            for slot in range(samples)
            if start[number] and before.child[slot, number, start[number]] != start[number]
        }
        kept = 0
        for slot in range(samples):
            drawn, node = tuple(tree.actions[number, 0, slot].tolist()), int(tree.child[slot, number, 0])
            if not again.children.children.valid[number, slot] or drawn not in old:
                assert node == 0
                assert tree.child_visits[slot, number, 0] == 0
                continue
            kept += int(before.visits[number, old[drawn]])
            for table in ("value", "visits", "reward", "prediction"):
                assert getattr(tree, table)[number, node] == pytest.approx(
                    float(getattr(before, table)[number, old[drawn]]), abs=1e-9
                ), table
        assert tree.visits[number, 0] == 1 + kept
    kept_visits = again.tree.visits[:, 0].clone()
    result = again.run().result()
    assert torch.equal(again.tree.visits[:, 0], kept_visits + simulations)
    assert torch.equal(result.visits.sum(1), again.tree.visits[:, 0] - 1)
    torch.testing.assert_close(result.improved.sum(1), torch.ones(ROOTS).double())


@pytest.mark.parametrize("root", ["puct", "halving"])
def test_where_nothing_is_known_a_search_is_as_ever(root: str) -> None:
    settings = SearchSettings(simulations=20, samples=5, root=root)
    start = Scripted().root(ROOTS)
    nobody = nothing(start.value, nodes=20, samples=5, agents=2)
    found, plain = (
        search(start, Scripted(), settings, RandomDraws(torch.Generator().manual_seed(1)), known=known)
        for known in (nobody, None)
    )
    for field in dataclasses.fields(SearchResult):
        assert torch.equal(getattr(found, field.name), getattr(plain, field.name)), field.name


@pytest.mark.parametrize("quantile", [0.0, 0.75])
def test_a_root_goes_on_as_if_it_were_alone(quantile: float) -> None:
    """Others may know more nodes, or fewer."""
    settings = SearchSettings(simulations=25, samples=6, quantile=quantile, reuse=True)
    run, best, onward = gone_on(settings, 5)
    known = run.below(best)
    known.nodes[1] = 0
    assert len(set(known.nodes.tolist())) > 2
    together = search(onward, Scripted(), settings, SeededDraws(3), known=known)
    for number in range(ROOTS):
        one = Root(**{name: value[number : number + 1] for name, value in vars(onward).items()})
        alone = search(one, Scripted(), settings, SeededDraws(3), known=part_of(known, number))
        for field in dataclasses.fields(SearchResult):
            ours, theirs = getattr(alone, field.name)[0], getattr(together, field.name)[number]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12, msg=f"{field.name} of root {number}")


def test_an_accelerator_that_cannot_look_goes_on_with_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SearchSettings(simulations=20, samples=6, reuse=True)
    run, best, onward = gone_on(settings, 7)
    known = run.below(best)
    looking = search(onward, Scripted(), settings, SeededDraws(3), known=known)

    class Blind(Paths):
        def __init__(self, roots: int, nodes: int, device: torch.device) -> None:
            super().__init__(roots, nodes, device, looks=False)

    monkeypatch.setattr("trainer.search.search.Paths", Blind)
    blind = search(onward, Scripted(), settings, SeededDraws(3), known=known)
    for name, ours in vars(blind).items():
        torch.testing.assert_close(ours, getattr(looking, name), rtol=0, atol=1e-12, msg=name)


def test_of_trees_that_grow_from_step_to_step_the_nodes_that_were_made_first_are_kept() -> None:
    settings = SearchSettings(simulations=12, samples=9, reuse=True)
    run, best, onward = gone_on(settings, 2)
    for _ in range(4):
        known = run.below(best)
        assert known.above.shape == (ROOTS, 12)
        assert (known.nodes <= 12).all()
        assert (known.above < torch.arange(12).clamp(min=1)).all() or (known.nodes < 12).any()
        run = Search(onward, Scripted(), settings, RandomDraws(torch.Generator().manual_seed(2)), known=known).run()
        best = run.result().best


@pytest.mark.slow
@given(
    simulations=st.integers(1, 40),
    samples=st.integers(2, 12),
    rounds=st.integers(2, 6),
    tilt=st.sampled_from([0.0, 4.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_rounds_draw_all_samples_among_legal_actions_and_count_each_once(
    simulations: int, samples: int, rounds: int, tilt: float, seed: int
) -> None:
    settings = SearchSettings(
        simulations=simulations, samples=samples, sampling="progressive", rounds=rounds, tilt=tilt
    )
    root = Scripted().root(ROOTS)
    legal = root.legal.clone()
    legal[:, 0, 1] = False
    draws = RandomDraws(torch.Generator().manual_seed(seed))
    result = search(dataclasses.replace(root, legal=legal), Scripted(), settings, draws)
    assert (result.visits.sum(1) == simulations).all()
    assert (result.visits[~result.valid] == 0).all()
    for name in ("share", "prior", "improved"):
        torch.testing.assert_close(getattr(result, name).sum(1), torch.ones(ROOTS).double(), msg=name)
    assert (result.actions[result.valid][:, 0] != 1).all()
    assert (result.beta[result.valid] > 0).all()
    assert (result.visits.gather(1, result.best[:, None]) > 0).all()
    for actions, valid in zip(result.actions, result.valid, strict=True):
        rows = [tuple(row) for row in actions[valid].tolist()]
        assert len(set(rows)) == len(rows), "distinct"


def test_rounds_without_a_tilt_draw_from_what_a_search_draws_at_once_from() -> None:
    settings = SearchSettings(simulations=24, samples=12)
    rounds = settings.model_copy(update={"sampling": "progressive", "tilt": 0.0})
    model = Scripted()
    plain = search(model.root(ROOTS), model, settings, SeededDraws(0))
    drawn = search(model.root(ROOTS), model, rounds, SeededDraws(0))
    for number in range(ROOTS):
        known = {
            tuple(actions): float(beta)
            for actions, beta, valid in zip(
                plain.actions[number].tolist(), plain.beta[number], plain.valid[number], strict=True
            )
            if valid
        }
        for actions, beta, valid in zip(
            drawn.actions[number].tolist(), drawn.beta[number], drawn.valid[number], strict=True
        ):
            if valid and tuple(actions) in known:
                assert float(beta) == pytest.approx(known[tuple(actions)], abs=1e-9)
    torch.testing.assert_close(drawn.ratio, drawn.share / drawn.beta.clamp(min=1e-30) * drawn.policy)


class Sum(Scripted):
    """One step that counts: a joint action is worth the sum of what its agents do, and nothing after it."""

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        return self.flat(torch.ones_like(hidden), action.sum(-1) * (hidden == 0).double())

    def flat(self, hidden: Tensor, reward: Tensor) -> Expansion:
        logits = torch.zeros(len(hidden), self.agents, self.actions, dtype=hidden.dtype)
        return Expansion(hidden=hidden, reward=reward, value=torch.zeros_like(reward), logits=logits)

    def root(self, roots: int) -> Root:
        found = self.flat(torch.zeros(roots).double(), torch.zeros(roots).double())
        legal = torch.ones(roots, self.agents, self.actions, dtype=torch.bool)
        return Root(hidden=found.hidden, value=found.value, logits=found.logits, legal=legal)


def test_rounds_find_joint_actions_that_are_rarely_drawn_at_once_where_what_agents_do_adds_up() -> None:
    model = Sum(agents=6, actions=4)
    most = {}
    for sampling in ("at-once", "progressive"):
        settings = SearchSettings(simulations=32, samples=32, sampling=sampling, noise_fraction=0.0)
        result = search(model.root(100), model, settings, RandomDraws(torch.Generator().manual_seed(0)))
        most[sampling] = float(result.q.amax(1).mean())
    assert most["progressive"] > most["at-once"] + 0.8


def test_rounds_and_halving_are_not_for_the_same_root() -> None:
    with pytest.raises(SettingsError, match="halving begins with all joint actions of a root"):
        resolve(SearchSettings, {"root": "halving", "sampling": "progressive"}, source="the search")
