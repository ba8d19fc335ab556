"""What holds of every search: counts, bounds, averages, symmetry, independence of roots, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted_search import ACTIONS, AGENTS, Scripted, SeededDraws
from torch import Tensor

from heliograph.errors import SettingsError, TrainingError
from heliograph.settings import resolve
from trainer.search.draws import RandomDraws
from trainer.search.model import Expansion, Root
from trainer.search.paths import Paths
from trainer.search.root_rule import halving
from trainer.search.search import Search, SearchResult, search
from trainer.search.settings import SearchSettings
from trainer.search.values import AveragedReturns, OptimisticReturns


def one_of(root: Root, number: int) -> Root:
    """A root alone."""
    parts = {field.name: getattr(root, field.name)[number : number + 1] for field in dataclasses.fields(root)}
    return Root(**parts)


searches = given(
    simulations=st.integers(1, 30),
    samples=st.integers(1, 8),
    quantile=st.sampled_from([0.0, 0.25, 0.75, 1.0]),
    decay=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    seed=st.integers(0, 1000),
)


@pytest.mark.slow
@searches
def test_visits_sum_to_the_simulations(
    simulations: int, samples: int, quantile: float, decay: float, seed: int
) -> None:
    settings = SearchSettings(simulations=simulations, samples=samples, quantile=quantile, decay=decay)
    result = search(Scripted().root(3), Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed)))
    assert (result.visits.sum(1) == simulations).all()
    assert (result.visits[~result.valid] == 0).all()
    assert (result.valid.sum(1) <= min(samples, ACTIONS**AGENTS)).all()
    assert torch.allclose(result.share.sum(1), torch.ones(3).double())
    for actions, valid in zip(result.actions, result.valid, strict=True):
        rows = actions[valid].tolist()
        assert rows == sorted(rows), "lexicographic"
        assert len({tuple(row) for row in rows}) == len(rows), "distinct"


@pytest.mark.slow
@searches
def test_a_node_is_worth_no_more_and_no_less_than_its_returns(
    simulations: int, samples: int, quantile: float, decay: float, seed: int
) -> None:
    settings = SearchSettings(simulations=simulations, samples=samples, quantile=quantile, decay=decay)
    run = Search(Scripted().root(3), Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed)))
    least, largest = run.tree.prediction.clone(), run.tree.prediction.clone()
    for _ in range(simulations):
        run.simulate()
        for root in range(3):
            for node, value in zip(run.path[root].tolist(), run.returns[root].tolist(), strict=True):
                fresh = node == run.tree.size - 1
                least[root, node] = value if fresh else min(least[root, node], value)
                largest[root, node] = value if fresh else max(largest[root, node], value)
    there = slice(0, run.tree.size)
    assert (run.tree.value[:, there] >= least[:, there] - 1e-9).all()
    assert (run.tree.value[:, there] <= largest[:, there] + 1e-9).all()


@pytest.mark.slow
@given(simulations=st.integers(1, 30), seed=st.integers(0, 1000))
def test_without_quantile_and_decay_a_value_is_the_average(simulations: int, seed: int) -> None:
    """Sums by distance and running sums take the same paths to the same values."""
    settings = SearchSettings(simulations=simulations, quantile=0.0, decay=1.0)
    runs = [Search(Scripted().root(4), Scripted(), settings, SeededDraws(seed)) for _ in range(2)]
    other = runs[1].tree
    assert isinstance(other.values, AveragedReturns)
    other.values = OptimisticReturns(settings, other.paths, other.prediction)
    from_start = torch.zeros(4, 1, dtype=torch.int64)
    other.values.file(0, other.paths.steps(from_start), other.prediction[:, 0])
    for _ in range(simulations):
        for run in runs:
            run.simulate()
    torch.testing.assert_close(runs[0].tree.value[:, :-1], other.value[:, :-1], rtol=0, atol=1e-9)
    assert torch.equal(runs[0].tree.visits[:, :-1], other.visits[:, :-1])


@pytest.mark.slow
@given(
    distance=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    quantile=st.sampled_from([0.0, 0.25, 0.7, 0.9]),
    data=st.data(),
)
@torch.inference_mode()
def test_ranks_keep_what_sorting_keeps(distance: list[int], quantile: float, data: st.DataObject) -> None:
    """A chain of forced depths under one root: the kept sums of its sets are those of the largest returns."""
    settings = SearchSettings(simulations=len(distance), quantile=quantile, decay=0.5)
    run = Search(Scripted().root(1), Scripted(), settings, SeededDraws(0))
    values, paths = run.tree.values, run.tree.paths
    assert isinstance(values, OptimisticReturns)
    filed: dict[int, list[float]] = {0: [run.tree.prediction[0, 0].item()]}
    at_depth = {0: 0}
    for node, wanted in enumerate(distance, start=1):
        parent = max(depth for depth in at_depth if depth <= wanted)
        path = paths.extend(torch.tensor([at_depth[parent]]), node)
        at_depth.setdefault(parent + 1, node)
        returns = torch.tensor(
            data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=path.shape[1], max_size=path.shape[1]))
        ).double()
        filed.setdefault(parent + 1, []).append(returns[0].item())
        value = values.file(node, paths.steps(path), returns)[0].item()
    total = weight = 0.0
    for depth, of_depth in filed.items():
        kept = sorted(of_depth, reverse=True)[: int(values.kept_of[len(of_depth)])]
        total, weight = total + 0.5**depth * sum(kept), weight + 0.5**depth * len(kept)
    assert value == pytest.approx(total / weight, abs=1e-9)


@pytest.mark.parametrize("quantile", [0.0, 0.75])
def test_an_accelerator_that_cannot_look_at_depths_comes_to_the_same(
    quantile: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There every path has room for the deepest tree that can be, and what is beyond its end is written aside."""
    settings = SearchSettings(simulations=40, samples=4, quantile=quantile)
    looking = search(Scripted().root(5), Scripted(), settings, SeededDraws(3))

    class Blind(Paths):
        def __init__(self, roots: int, nodes: int, device: torch.device) -> None:
            super().__init__(roots, nodes, device, looks=False)

    monkeypatch.setattr("trainer.search.search.Paths", Blind)
    blind = search(Scripted().root(5), Scripted(), settings, SeededDraws(3))
    for name, ours in vars(blind).items():
        torch.testing.assert_close(ours, getattr(looking, name), rtol=0, atol=1e-12, msg=name)


def test_what_comes_back_can_stand_in_a_loss() -> None:
    found = search(Scripted().root(2), Scripted(), SearchSettings(simulations=5), RandomDraws())
    weight = torch.ones(2, 1).double().requires_grad_()
    (weight * found.q).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("quantile", [0.0, 0.75])
def test_a_root_is_searched_as_if_it_were_alone(quantile: float) -> None:
    settings = SearchSettings(simulations=40, samples=6, quantile=quantile)
    root = Scripted().root(5)
    together = search(root, Scripted(), settings, SeededDraws(3))
    for number in range(5):
        alone = search(one_of(root, number), Scripted(), settings, SeededDraws(3))
        for field in dataclasses.fields(SearchResult):
            ours, theirs = getattr(alone, field.name)[0], getattr(together, field.name)[number]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12, msg=f"{field.name} of root {number}")


class Symmetric(Scripted):
    """Knows no agent from another: only what all of them do together counts."""

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        turned = hidden * 1.3 + action.sum(-1) + 0.5
        return self.expansion(turned.remainder(7.0), turned.cos())

    def expansion(self, hidden: Tensor, reward: Tensor) -> Expansion:
        logits = (hidden[:, None, None] + torch.arange(self.actions) * 2.0).sin().expand(-1, self.agents, -1)
        return Expansion(hidden=hidden, reward=reward, value=3 * hidden.sin(), logits=logits)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:], ids=str)
def test_permuting_the_agents_permutes_the_result(order: tuple[int, ...]) -> None:
    """Agents draw with numbers of their own, which are permuted with them; the order of children alone may differ."""

    class Permuted(SeededDraws):
        def actions(self, probabilities: Tensor, samples: int) -> Tensor:
            return super().actions(probabilities, samples)[..., list(order)]

    class Plain(Permuted):
        def actions(self, probabilities: Tensor, samples: int) -> Tensor:
            return SeededDraws.actions(self, probabilities, samples)

    # More simulations than children once over, and priors apart, so that no choice hangs on the order of the children.
    settings = SearchSettings(simulations=6, samples=6, quantile=0.5)
    model = Symmetric(agents=3, actions=7)
    results = [search(model.root(4), model, settings, draws(1)) for draws in (Plain, Permuted)]
    for root in range(4):
        tables = []
        for result, columns in zip(results, (list(order), [0, 1, 2]), strict=True):
            actions = result.actions[root][:, columns].tolist()
            rows = zip(actions, result.share[root].tolist(), result.policy[root].tolist(), strict=True)
            tables.append(sorted((row, round(share, 9), round(policy, 9)) for row, share, policy in rows if share))
        assert tables[0] == tables[1]
    torch.testing.assert_close(results[0].value, results[1].value, rtol=0, atol=1e-9)


def test_with_fewer_joint_actions_than_samples_each_is_one_child() -> None:
    root = Scripted().root(2)
    legal = torch.zeros_like(root.legal)
    legal[..., 1] = True
    result = search(dataclasses.replace(root, legal=legal), Scripted(), SearchSettings(simulations=5), RandomDraws())
    assert result.valid.sum(1).tolist() == [1, 1]
    assert result.actions[:, 0].tolist() == [[1, 1], [1, 1]]
    assert result.visits[:, 0].tolist() == [5, 5]


def test_actions_that_are_not_legal_are_never_tried_at_the_root() -> None:
    root = Scripted().root(3)
    legal = root.legal.clone()
    legal[:, 0, 0] = False
    settings = SearchSettings(simulations=20, samples=64)
    result = search(dataclasses.replace(root, legal=legal), Scripted(), settings, RandomDraws())
    assert (result.actions[result.valid][:, 0] != 0).all()
    assert (result.policy[result.valid] > 0).all()


def test_the_masks_of_the_root_can_bind_the_whole_tree() -> None:
    class Watching(Scripted):
        seen: set[int]

        def step(self, hidden: Tensor, action: Tensor) -> Expansion:
            self.seen.update(action[:, 0].tolist())
            return super().step(hidden, action)

    root = Scripted().root(3)
    legal = root.legal.clone()
    legal[:, 0, 0] = False
    for masks, seen in (("root", {0, 1, 2}), ("whole-tree", {1, 2})):
        model = Watching()
        model.seen = set()
        settings = SearchSettings(simulations=60, masks=masks)
        search(dataclasses.replace(root, legal=legal), model, settings, RandomDraws(torch.Generator().manual_seed(0)))
        assert model.seen == seen


def test_a_root_without_legal_actions_is_named() -> None:
    root = Scripted().root(3)
    legal = root.legal.clone()
    legal[2, 1] = False
    with pytest.raises(TrainingError, match="root 2 of a search leaves agent 1 no legal action"):
        search(dataclasses.replace(root, legal=legal), Scripted(), SearchSettings(), RandomDraws())


@pytest.mark.parametrize("field", ["reward", "value", "logits"])
def test_a_model_that_fails_within_a_search_is_told_with_root_and_simulation(field: str) -> None:
    class Failing(Scripted):
        steps = 0

        def step(self, hidden: Tensor, action: Tensor) -> Expansion:
            self.steps += 1
            found = super().step(hidden, action)
            assert 0 <= int(action.min()) <= int(action.max()) < ACTIONS
            if self.steps == 4:
                getattr(found, field)[1] = torch.nan
            return found

    with pytest.raises(TrainingError, match="not finite in simulation 4 of root 1"):
        search(Scripted().root(3), Failing(), SearchSettings(simulations=9), RandomDraws())


def test_a_root_whose_prediction_is_not_finite_is_named() -> None:
    root = Scripted().root(3)
    root.value[1] = torch.inf
    with pytest.raises(TrainingError, match="of root 1 of a search is not finite"):
        search(root, Scripted(), SearchSettings(), RandomDraws())


@pytest.mark.parametrize(
    ("name", "value"), [("simulations", 0), ("samples", 0), ("discount", 0.0), ("quantile", 1.5), ("decay", -0.1)]
)
def test_a_search_of_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: Input should be"):
        resolve(SearchSettings, {name: value}, source="the search")


@pytest.mark.slow
def test_children_that_score_the_same_are_all_taken_at_times() -> None:
    """Below a fresh node all score the same, whatever their prior."""
    settings = SearchSettings(simulations=12, samples=3, noise_fraction=0.0)
    chosen = set()
    for seed in range(40):
        run = Search(Scripted().root(1), Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed)))
        for _ in range(12):
            run.simulate()
        width = int(run.tree.width)
        node = width + 1
        if node < run.tree.size and run.tree.paths.depth[0, node] == 2:
            chosen.add(int(run.tree.slot[0, node]))
    assert chosen == {0, 1, 2}


class Bandit(Scripted):
    """One step that counts: joint action (a, b) is worth 3 a + b, and nothing after it."""

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        gain = (3.0 * action[:, 0] + action[:, 1]) * (hidden == 0)
        return self.flat(torch.ones_like(hidden), gain)

    def flat(self, hidden: Tensor, reward: Tensor) -> Expansion:
        logits = torch.zeros(len(hidden), self.agents, self.actions, dtype=hidden.dtype)
        return Expansion(hidden=hidden, reward=reward, value=torch.zeros_like(reward), logits=logits)

    def root(self, roots: int) -> Root:
        found = self.flat(torch.zeros(roots).double(), torch.zeros(roots).double())
        legal = torch.ones(roots, self.agents, self.actions, dtype=torch.bool)
        return Root(hidden=found.hidden, value=found.value, logits=found.logits, legal=legal)


@pytest.mark.parametrize(
    ("considered", "simulations", "wanted"),
    [
        (1, 4, [0, 1, 2, 3]),
        (2, 5, [0, 0, 1, 1, 2]),
        (4, 8, [0, 0, 0, 0, 1, 1, 2, 2]),
        (8, 8, [0, 0, 0, 0, 0, 0, 0, 0]),
        (3, 12, [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4]),
    ],
)
def test_halving_gives_each_phase_its_share(considered: int, simulations: int, wanted: list[int]) -> None:
    assert halving(considered, simulations) == wanted


@pytest.mark.slow
@given(simulations=st.integers(1, 40), considered=st.integers(1, 12), seed=st.integers(0, 1000))
def test_halving_uses_all_simulations_on_the_children_it_considers(
    simulations: int, considered: int, seed: int
) -> None:
    settings = SearchSettings(simulations=simulations, root="halving", considered=considered)
    result = search(Scripted().root(3), Scripted(), settings, RandomDraws(torch.Generator().manual_seed(seed)))
    assert (result.visits.sum(1) == simulations).all()
    visited = (result.visits > 0).sum(1)
    assert (visited <= torch.minimum(result.valid.sum(1), torch.tensor(considered))).all()
    assert (result.improved[~result.valid] == 0).all()
    torch.testing.assert_close(result.improved.sum(1), torch.ones(3).double())
    most = result.visits.gather(1, result.best[:, None])[:, 0]
    assert torch.equal(most, result.visits.amax(1))


@pytest.mark.parametrize("simulations", [15, 16], ids=["two have as many visits", "one has most"])
def test_halving_finds_the_best_of_all_joint_actions_with_one_visit_each(simulations: int) -> None:
    settings = SearchSettings(simulations=simulations, samples=200, root="halving", considered=9)
    result = search(Bandit().root(20), Bandit(), settings, RandomDraws(torch.Generator().manual_seed(0)))
    assert (result.valid.sum(1) == 9).all()
    best = result.actions.gather(1, result.best[:, None, None].expand(-1, 1, 2))[:, 0]
    assert best.tolist() == [[2, 2]] * 20
    assert torch.equal(result.improved.argmax(1), result.best), "the policy agrees, noise or not"


def test_the_published_policy_is_the_share_of_the_visits() -> None:
    result = search(Scripted().root(3), Scripted(), SearchSettings(simulations=20), RandomDraws())
    torch.testing.assert_close(result.improved, result.visits.double() / 20)
    assert torch.equal(result.best, result.visits.argmax(1))
