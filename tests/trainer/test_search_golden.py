"""Our search equals MAZero's released tree on recorded draws and paths: float64 to 1e-9, float32 to 1e-5."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_comparisons import TOLERANCES, counted, note
from search_reference import CASES, DATA, OUTPUTS, SAMPLES, recorded_search
from torch import Tensor

from trainer.search.children import merged
from trainer.search.draws import actions_at
from trainer.search.kept import kept_counts
from trainer.search.search import Search
from trainer.search.values import OptimisticReturns

comparisons_are_counted = counted(
    {
        "test_every_number_of_a_search_equals_the_released_tree": 25,
        "test_the_returns_of_a_root_and_those_kept_of_them_equal_the_released_sets": 2,
        "test_joint_actions_are_those_of_the_recorded_numbers": 1,
        "test_as_many_returns_are_kept_as_by_the_released_code": 1,
        "test_returns_are_kept_in_exact_arithmetic_by_default": 0,
        "test_children_are_in_the_order_of_the_released_keys": 1,
    }
)

dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
cases = pytest.mark.parametrize("case", sorted(CASES))
optimistic = pytest.mark.parametrize("case", sorted(name for name in CASES if not name.endswith("mean")))
ROOT = {"policy": "root_probs", "noise": "root_noise", "sampling": "root_sampling"}
FOLLOWED = (
    *("scores", "path_visit", "path_value", "path_q", "path_return", "minmax"),
    *("leaf_reward", "leaf_value", "leaf_probs"),
)
RESULT = {
    "actions": "root_actions",
    "visits": "root_visits",
    "q": "root_q",
    "value": "root_value",
    "prediction": "root_pred",
    "reward": "root_child_reward",
    "child_value": "root_child_value",
    "child_prediction": "root_child_pred",
    "policy": "root_pred_prob",
    "beta": "root_beta",
    "share": "root_beta_hat",
    "prior": "root_prior",
    "ratio": "root_ratio",
}
"""Our names of what is left at the end, and the recorded ones."""


def compare(ours: Tensor, expected: np.ndarray, dtype: torch.dtype, name: str) -> None:
    """Value by value wherever a number was recorded; -1 and NaN fill up."""
    expected = expected.reshape(ours.shape)
    there = ~np.isnan(expected) if expected.dtype.kind == "f" else expected >= 0
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(ours.numpy()[there], expected[there], rtol=tolerance, atol=tolerance, err_msg=name)


@cases
@dtypes
def test_every_number_of_a_search_equals_the_released_tree(case: str, dtype: torch.dtype) -> None:
    run, draws = recorded_search(case, dtype)
    recorded = {name: OUTPUTS[f"{case}.{name}"] for name in (*ROOT.values(), *FOLLOWED, *RESULT.values())}
    ours = {name: getattr(run.policy, field) for field, name in ROOT.items()}
    steps = [followed(run, levels) for levels in SAMPLES[f"{case}.path_len"].max(0).tolist()]
    ours |= {name: filled([step[name] for step in steps], recorded[name]) for name in FOLLOWED}
    assert draws.compared == (SAMPLES[f"{case}.ties"] > 0).sum()
    result = run.result()
    ours |= {name: getattr(result, field) for field, name in RESULT.items()}
    recorded["path_q"], ours["path_q"] = recorded["path_q"][..., 1:], ours["path_q"][..., 1:]  # the root has none
    for name, expected in recorded.items():
        compare(ours[name], expected, dtype, name)
        note(name)
    depth, ancestors = run.tree.paths.depth, run.tree.paths.ancestors
    np.testing.assert_array_equal(depth[:, 1:], SAMPLES[f"{case}.path_len"])
    parents = ancestors[:, 1:].gather(2, depth[:, 1:, None] - 1)[..., 0]
    np.testing.assert_array_equal(parents, SAMPLES[f"{case}.leaf_parent"])
    np.testing.assert_array_equal(result.valid.sum(-1), OUTPUTS[f"{case}.root_children"])


def followed(run: Search, levels: int) -> dict[str, Tensor]:
    """One simulation: the scores at the time of its choices [R, L, K], and what its path [R, L] holds after it."""
    tree, score = run.tree, run.selection.scores(run.tree).permute(1, 2, 0)
    found = run.simulate()
    assert run.path.shape[1] == levels + 1, "the path is as long as the recorded one"
    every = torch.arange(len(run.path))[:, None]
    q = tree.reward + run.settings.discount * tree.value
    visited = tree.advantage[:, 1 : tree.size]
    size = torch.full_like(visited[:, 0], visited.shape[1])
    return {
        # Where other rows go on, nothing was recorded, and any node will do.
        "scores": score[every, run.path[:, :-1].clamp(max=score.shape[1] - 1)],
        "path_visit": tree.visits[every, run.path],
        "path_value": tree.value[every, run.path],
        "path_q": q[every, run.path],
        "path_return": run.returns,
        "minmax": torch.stack([visited.amin(1), visited.amax(1), size], dim=-1),
        "leaf_reward": found.reward,
        "leaf_value": found.value,
        "leaf_probs": found.logits.softmax(-1),
    }


def filled(of_simulations: list[Tensor], recorded: np.ndarray) -> Tensor:
    """Simulations beside one another, [R, N, ...], filled up with zeros to the deepest path."""
    table = torch.zeros(recorded.shape, dtype=of_simulations[0].dtype)
    for simulation, ours in enumerate(of_simulations):
        within = table[:, simulation]
        (within[:, : ours.shape[1]] if ours.ndim > 1 else within).copy_(ours)
    return table


@optimistic
@dtypes
def test_the_returns_of_a_root_and_those_kept_of_them_equal_the_released_sets(case: str, dtype: torch.dtype) -> None:
    run, _ = recorded_search(case, dtype)
    for _ in range(CASES[case]["simulations"]):
        run.simulate()
    values, depth = run.tree.values, run.tree.paths.depth
    assert isinstance(values, OptimisticReturns)
    for root, distance in np.ndindex(*OUTPUTS[f"{case}.root_set_kept"].shape[:2]):
        members = depth[root] == distance
        returns, kept = values.returns[root, 0, 1:][members], values.kept(root, 0)[members]
        for name, ours in {"kept": returns[kept], "dropped": returns[~kept]}.items():
            recorded = OUTPUTS[f"{case}.root_set_{name}"][root, distance]
            compare(ours.sort().values, recorded[~np.isnan(recorded)], dtype, f"root_set_{name}")
    note("root_set_kept")
    note("root_set_dropped")


@cases
def test_joint_actions_are_those_of_the_recorded_numbers(case: str) -> None:
    probabilities = [OUTPUTS[f"{case}.root_sampling"], *np.moveaxis(OUTPUTS[f"{case}.leaf_probs"], 1, 0)]
    for node, of_node in enumerate(probabilities):
        drawn = actions_at(torch.from_numpy(of_node), torch.from_numpy(SAMPLES[f"{case}.uniform"][:, node]))
        np.testing.assert_array_equal(drawn, SAMPLES[f"{case}.sampled"][:, node])
    note("sampled")


def test_as_many_returns_are_kept_as_by_the_released_code() -> None:
    expected = OUTPUTS["kept.count"]
    for quantile, counts in zip(DATA["kept.rho"].tolist(), expected, strict=True):
        np.testing.assert_array_equal(kept_counts(len(counts), quantile, "float32")[1:], counts)
    note("kept.count")


def test_returns_are_kept_in_exact_arithmetic_by_default() -> None:
    """Where neither single nor double precision gives all three."""
    kept = [int(kept_counts(20, quantile, "exact")[count]) for quantile, count in ((0.9, 10), (0.7, 10), (0.85, 20))]
    assert kept == [1, 3, 3]


@pytest.mark.parametrize("agents", [5, 8])
def test_children_are_in_the_order_of_the_released_keys(agents: int) -> None:
    drawn = torch.from_numpy(SAMPLES[f"order{agents}.sampled"]).long()[None]
    children = merged(drawn, 4, order="wrapped", dtype=torch.float64)
    np.testing.assert_array_equal(children.actions[0], OUTPUTS[f"order{agents}.children"])
    note(f"order{agents}")
