"""MAZero's self-play, its evaluation with search and without, and choices by visits equal the released code."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from mazero_recorded import recorded_mazero
from mazero_reference import MazeroReference, RecordedSearch, load_mazero_reference
from torch import Tensor

from trainer.algorithms.mazero.found import Found, entropy_bits, found_by, tempered
from trainer.algorithms.mazero.mazero import Mazero
from trainer.nets.latent import sample_ids
from trainer.policy.draws import GreedyDraws

comparisons_are_counted = counted(
    {
        "test_self_play_and_what_it_stores_equal_the_released_code": 4 * 21 + 4,
        "test_evaluation_with_search_equals_the_released_code": 3 * 12,
        "test_evaluation_without_search_equals_the_released_code": 12,
        "test_choices_by_visits_equal_the_released_code": 7,
    }
)


class RecordedPicks:
    """Draws by recorded numbers."""

    def __init__(self, uniform: np.ndarray) -> None:
        self._uniform = torch.from_numpy(uniform)

    def latent(self, probabilities: Tensor) -> Tensor:
        return sample_ids(probabilities, self._uniform)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def reference(request: pytest.FixtureRequest) -> MazeroReference:
    return load_mazero_reference(request.param)


def tolerance(reference: MazeroReference) -> dict[str, float]:
    return dict.fromkeys(("rtol", "atol"), 1e-9 if reference.dtype is torch.float64 else 1e-3)


def shown(reference: MazeroReference, scripts: list[str], steps: list[int]) -> tuple[Tensor, Tensor]:
    """Frames [E, N, 1, D] and masks [E, N, A] of one step of each script."""
    data, pairs = reference.data, list(zip(scripts, steps, strict=True))
    observation = np.stack([data[f"{script}.observation"][step] for script, step in pairs])
    legal = np.stack([data[f"{script}.legal"][step] for script, step in pairs])
    return reference.tensor(observation).unsqueeze(2), torch.from_numpy(legal > 0)


def same_roots(reference: MazeroReference, found: Found, prefix: str, step: int) -> None:
    """Joint actions and visits, and what else was recorded of a search."""
    valid, simulations = found.valid.numpy(), reference.meta["dims"]["replay_simulations"]
    for name, ours in (
        ("actions", found.actions),
        ("visits", found.policy * simulations),
        ("q", found.q),
        ("value", found.value),
    ):
        if f"{prefix}.root_{name}" in reference.outputs:
            there = ... if name == "value" else valid
            expected = reference.outputs[f"{prefix}.root_{name}"][step][there]
            np.testing.assert_allclose(ours.numpy()[there], expected, err_msg=name, **tolerance(reference))
            note(name)


@pytest.mark.slow
def test_self_play_and_what_it_stores_equal_the_released_code(reference: MazeroReference) -> None:
    mazero, samples, data = recorded_mazero(reference), reference.samples, reference.data
    play, scalars = mazero.behaviour(), reference.scalars
    stored: dict[tuple[int, int], list[dict[str, Tensor]]] = defaultdict(list)
    ended: list[tuple[int, int]] = []
    for step in range(scalars["act.steps"]):
        mazero.learned.updates = int(step >= scalars["act.random_steps"])
        episodes, at = data["act.episode_of_step"][step].tolist(), data["act.step_in_episode"][step].tolist()
        scripts = [f"script{copy}.{episode % 2}" for copy, episode in enumerate(episodes)]
        frames, legal = shown(reference, scripts, at)
        recorded = [samples[f"act.{name}"][step] for name in ("noise", "sampled", "path_child")]
        run = play.searched(frames, legal, RecordedSearch(*recorded), noise=True)
        same_roots(reference, found_by(run.result(), mazero.settings.search), "act", step)
        picks = RecordedPicks(samples["act.pick_uniform"][step])
        action, state = play.decided(run, frames, picks)
        picked = samples["act.pick"][step].astype(np.int64)
        assert np.array_equal(action.numpy(), state.actions.numpy()[np.arange(2), picked])
        columns = state.columns()
        for copy, episode in enumerate(episodes):
            stored[copy, episode].append({name: column[copy] for name, column in columns.items()})
            if at[copy] + 1 == len(data[f"{scripts[copy]}.reward"]):
                ended.append((copy, episode))
    assert [len(stored[each]) for each in ended] == scalars["replay.lengths"]
    rows = [row for each in ended for row in stored[each]]
    valid = torch.stack([row["search.valid"] for row in rows]).numpy()
    for ours, theirs in (
        ("value", "root_value"),
        ("prediction", "pred_value"),
        ("policy", "sampled_policy"),
        ("q", "sampled_q"),
    ):
        found, expected = (
            torch.stack([row[f"search.{ours}"] for row in rows]).numpy(),
            reference.outputs[f"replay.{theirs}"],
        )
        there = valid if found.ndim == 2 else ...
        np.testing.assert_allclose(found[there], expected[there], err_msg=theirs, **tolerance(reference))
        note(theirs)


def evaluated(mazero: Mazero, reference: MazeroReference, step: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Frames and masks of both environments, the last ones of one that is over, and which go on."""
    lengths = [len(reference.data[f"script{copy}.0.reward"]) for copy in range(2)]
    at = [min(step, length) for length in lengths]
    frames, legal = shown(reference, ["script0.0", "script1.0"], at)
    return frames, legal, np.array([step < length for length in lengths])


@pytest.mark.slow
def test_evaluation_with_search_equals_the_released_code(reference: MazeroReference) -> None:
    mazero = recorded_mazero(reference)
    team = mazero.searching_policy(torch.Generator())
    for step, recorded in enumerate(reference.outputs["eval_search.action"]):
        frames, legal, going = evaluated(mazero, reference, step)
        draws = RecordedSearch(
            None, *(reference.samples[f"eval_search.{name}"][step] for name in ("sampled", "path_child"))
        )
        result = team.searched(frames, legal, draws, noise=False).result()
        same_roots(reference, found_by(result, mazero.settings.search), "eval_search", step)
        action = result.actions[torch.arange(2), result.best].numpy()
        assert np.array_equal(action[going], recorded[going])
        note("action")


def test_evaluation_without_search_equals_the_released_code(reference: MazeroReference) -> None:
    mazero = recorded_mazero(reference)
    team = mazero.policy()
    state = team.initial_state(2)
    for step, recorded in enumerate(reference.outputs["eval_local.action"]):
        frames, legal, going = evaluated(mazero, reference, step)
        action, state = team.act(
            state,
            observation=frames.squeeze(2),
            action_mask=legal,
            hears=None,
            first=torch.tensor([step == 0] * 2),
            draws=GreedyDraws(),
        )
        assert np.array_equal(action.numpy()[going], recorded[going])
        note("action")


def test_choices_by_visits_equal_the_released_code() -> None:
    reference = load_mazero_reference(torch.float64)
    visits = reference.tensor(reference.data["pick.visits"]).clamp(min=0)  # there is no child where it says -1
    shares = visits / visits.sum(-1, keepdim=True)
    for number, temperature in enumerate(reference.data["pick.temperature"].tolist()):
        policy = tempered(shares, temperature)
        uniform = torch.from_numpy(reference.samples["pick.uniform"][number])
        assert sample_ids(policy, uniform).tolist() == reference.outputs["pick.position"][number].tolist()
        note("position")
        expected = reference.outputs["pick.entropy"][number]
        np.testing.assert_allclose(entropy_bits(policy).numpy(), expected, rtol=1e-9, atol=1e-9)
        note("entropy")
    assert shares.argmax(-1).tolist() == reference.outputs["pick.greedy"].tolist()
    note("greedy")
