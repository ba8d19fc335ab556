"""Our tokenizer and value codes equal MARIE's released code on recorded weights and data: three updates, and codes.

float64: 1e-9; float32: 1e-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_comparisons import counted, note
from marie_golden_team import load
from marie_reference import Recorded, load_recorded
from torch import nn

from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.marie import VISITS
from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.algorithms.marie.tokenizer_learning import TokenizerLearner
from trainer.experience.chances import visit_weights
from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows
from trainer.experience.settings import ReplaySettings
from trainer.nets.means import Means
from trainer.nets.value_codes import GaussianBins, TwoHot, symexp, symlog

comparisons_are_counted = counted(
    {
        "test_codes_and_reconstructions_equal_the_released_code": 6,
        "test_three_updates_equal_the_released_code": 68,
        "test_rows_are_drawn_by_visits_as_in_the_released_code": 12,
        "test_smoothed_bins_equal_the_released_code": 6,
        "test_two_hot_codes_equal_the_released_code": 2,
    }
)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return load_recorded(request.param)


@torch.no_grad()
def test_codes_and_reconstructions_equal_the_released_code(recorded: Recorded) -> None:
    tokenizer, observation = recorded.tokenizer(), recorded.tensor("rows.observation")
    ids = tokenizer.encode(observation)
    recorded.equal(ids, "tok.eval.indices")
    recorded.close(tokenizer.encoder(observation), "tok.eval.encoder")
    recorded.close(tokenizer.discretiser.codes[ids], "tok.eval.quantised")
    recorded.close(tokenizer.decode(ids), "tok.eval.reconstruction")
    recorded.close_scalar(len(ids.unique()), "tok.eval.codes_used")
    outside = (tokenizer.decode(ids) != tokenizer.decode(ids, imagined=True)).double().mean()
    recorded.close_scalar(outside, "tok.eval.share_outside_unit_interval")


def test_three_updates_equal_the_released_code(recorded: Recorded) -> None:
    tokenizer = recorded.tokenizer()
    learner, codebook = TokenizerLearner(tokenizer), tokenizer.discretiser
    assert isinstance(codebook, Codebook)
    for update in range(3):
        name, observation = f"tok.update{update}", recorded.tensor(f"tok.batch{update}")
        with torch.no_grad():
            ids = tokenizer.encode(observation)
            recorded.equal(ids, f"{name}.indices")
            recorded.close(tokenizer.encoder(observation), f"{name}.encoder")
            recorded.close(codebook.codes[ids], f"{name}.quantised")
            recorded.close(tokenizer.decode(ids), f"{name}.reconstruction")
        total = tokenizer.loss(observation).total
        metrics = learner.update(observation)
        recorded.close_scalar(metrics["tokenizer/reconstruction"], f"{name}.loss.reconstruction")
        recorded.close_scalar(metrics["tokenizer/commitment"], f"{name}.loss.commitment")
        recorded.close_scalar(total, f"{name}.loss.total")
        recorded.close_scalar(metrics["tokenizer/gradient_norm"], f"{name}.grad_norm")
        recorded.close_scalar(100 * metrics["tokenizer/codes_in_batch"] / codebook.classes, f"{name}.active_percent")
        for buffer, ours in (
            ("codebook", codebook.codes),
            ("code_sum", codebook.sums),
            ("code_count", codebook.counts),
        ):
            recorded.close(ours, f"{name}.{buffer}")
        parameters = named_as_recorded(tokenizer)
        for weight, parameter in parameters.items():
            if f"{name}.after.{weight}" in recorded.exact:
                recorded.close(parameter, f"{name}.after.{weight}")
            if f"tok.grad.{weight}" in recorded.exact and update == 0:
                assert parameter.grad is not None
                recorded.close(parameter.grad, f"tok.grad.{weight}")
            norm = recorded.gradient_norms.get(f"{name}.grad", {}).get(weight)
            if norm is not None:
                assert parameter.grad is not None
                recorded.close_number(parameter.grad.norm(), norm, f"{name}.grad_norm.{weight}")


class RecordedChoices:
    """Draws recorded rows, and keeps the probabilities that they were to be drawn by."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = list(rows)
        self.probabilities: list[np.ndarray] = []

    def choice(self, count: int, *, size: int, replace: bool, p: np.ndarray) -> np.ndarray:
        rows = self._rows.pop(0)
        assert (len(p), len(rows), replace) == (count, size, False)
        self.probabilities.append(p)
        return rows


def test_rows_are_drawn_by_visits_as_in_the_released_code() -> None:
    """By a whole iteration of the tokenizer, from a replay that holds the recorded rows."""
    golden, exact = load("main", torch.float32), load_recorded(torch.float64)
    recorded, marie = golden.set, golden.marie
    chosen = recorded.data["tok.batch_rows"]
    tokenizer = marie.settings.tokenizer.model_copy(update={"updates": len(chosen), "batch": chosen.shape[1]})
    marie.settings = marie.settings.model_copy(update={"sampling": "visits", "tokenizer": tokenizer})
    replay = Replay(ReplaySettings(window=2, minimum=1), marie.spec, copies=1, columns=marie.columns())
    count = len(recorded.data["rows.observation"])
    rows = empty_rows(marie.spec, count, columns=replay.columns)
    rows.observation[:] = recorded.data["rows.observation"]
    lengths = recorded.data["episode_lengths"]
    rows.first[np.cumsum(lengths) - lengths] = True
    replay.add(np.zeros(count, dtype=np.int64), rows)
    random, drawn, update = RecordedChoices(chosen), [], marie.tokenizer_learner.update

    def watched(observation: torch.Tensor) -> dict[str, float]:
        drawn.append(observation)
        return update(observation)

    marie.tokenizer_learner.update = watched  # type: ignore[method-assign]
    random_generator: Any = random
    marie.learn_model(replay, random_generator, Means())
    for place, observation in enumerate(drawn):
        np.testing.assert_array_equal(observation.numpy().reshape(-1), recorded.data[f"tok.batch{place}"].reshape(-1))
        note(f"tok.batch{place}")
    visits = counted_in(replay, "tokenizer")
    exact.equal(torch.from_numpy(visits), "sampling.visits")
    exact.close(torch.from_numpy(visit_weights(visits)), "sampling.weights")
    seen = np.zeros(count)
    for place, probabilities in enumerate(random.probabilities):
        np.testing.assert_allclose(probabilities, visit_weights(seen) / visit_weights(seen).sum(), atol=1e-12)
        seen[chosen[place]] += 1
        note(f"probabilities {place}")
    codebook = marie.tokenizer.discretiser
    assert isinstance(codebook, Codebook)
    for buffer, ours in (("codebook", codebook.codes), ("code_sum", codebook.sums), ("code_count", codebook.counts)):
        recorded.close(ours, f"tok.update2.{buffer}")
    assert not counted_in(replay, "model").any()
    last = replay.sample(random_generator_of([0, 5]), batch=2, by=VISITS["model"])
    assert last.index.at(0).place.tolist() == [0, 5]
    assert counted_in(replay, "model")[[0, 5]].tolist() == [1, 1]
    note("model_visits")


def counted_in(replay: Replay, learner: str) -> np.ndarray:
    """int [R]: the visits of all rows of a single copy."""
    window = replay.newest_window(len(replay))
    assert window is not None
    return window.columns[VISITS[learner].column][:, 0].numpy()


def random_generator_of(rows: list[int]) -> Any:
    return RecordedChoices(np.array([rows]))


def named_as_recorded(tokenizer: Tokenizer) -> dict[str, nn.Parameter]:
    """Weights and biases of the linear layers, as the recorded set calls them."""
    named = {}
    for place, network in (("enc", tokenizer.encoder), ("dec", tokenizer.decoder)):
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        for index, layer in enumerate(linear):
            named[f"tok.{place}.{index}.weight"] = layer.weight
            named[f"tok.{place}.{index}.bias"] = layer.bias
    return named


def test_smoothed_bins_equal_the_released_code(recorded: Recorded) -> None:
    values, dims = recorded.tensor("code.grid", recorded.exact), recorded.dims
    recorded.close(symlog(values), "code.symlog")
    recorded.close(symexp(symlog(values)), "code.symexp_of_symlog")
    bins = GaussianBins(bins=dims["bins"], lowest=dims["bin_min"], highest=dims["bin_max"])
    probabilities = bins.encode(values)
    recorded.close(probabilities, "code.bin_probs")
    recorded.close(bins.decode(probabilities), "code.decoded")
    official = GaussianBins(bins=128, lowest=-3.0, highest=3.0)
    recorded.close(official.decode(official.encode(values)), "code128.decoded")
    recorded.close(official.encode(values[2]), "code128.bin_probs_of_third_value")


def test_two_hot_codes_equal_the_released_code() -> None:
    recorded = load_recorded(torch.float32)
    values, dims = recorded.tensor("code.grid", recorded.outputs), recorded.dims
    code = TwoHot(points=dims["bins"] + 1, lowest=dims["bin_min"], highest=dims["bin_max"])
    probabilities = code.encode(values)
    recorded.close(probabilities, "code.two_hot_probs")
    recorded.close(code.decode(probabilities), "code.two_hot_decoded")
