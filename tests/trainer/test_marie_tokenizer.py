"""Tokenizers: shapes, codes that stay in use, what a checkpoint keeps, and what is refused.

Axis legend: D observation, K tokens.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_team import SMALL_WORLD  # noqa: F401  # it keeps torch to one thread
from torch import Tensor

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import NonFiniteLoss, SettingsError
from heliograph.settings import resolve
from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.fixed_codes import Bins, ScalarLevels
from trainer.algorithms.marie.tokenizer import Tokenizer, make_tokenizer
from trainer.algorithms.marie.tokenizer_learning import TokenizerLearner
from trainer.algorithms.marie.tokenizer_settings import TokenizerSettings
from trainer.nets.value_codes import PLAIN, GaussianBins, TwoHot

OBSERVATION = 10
SMALL = {
    "tokens": 4,
    "hidden": 32,
    "codebook": {"size": 24, "width": 6, "idle_updates": 3},
    "levels": (4, 3),
    "learning_rate": 3e-3,
}
PUBLISHED = {"initialisation": "weights", "revival": "none", "decay": 0.8}


def settings(**changes: Any) -> TokenizerSettings:
    codebook = SMALL["codebook"] | changes.pop("codebook", {})  # type: ignore[operator]
    return TokenizerSettings.model_validate(SMALL | changes | {"codebook": codebook})


def small_tokenizer(seed: int = 0, **changes: Any) -> Tokenizer:
    torch.manual_seed(seed)
    return Tokenizer(settings(**changes), OBSERVATION)


def clusters(rows: int, seed: int = 1) -> Tensor:
    """Observations [rows, 2, D] within [-1, 1], some of which are much alike."""
    centres = torch.rand(6, OBSERVATION, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    random = torch.Generator().manual_seed(seed)
    chosen = centres[torch.randint(6, (rows, 2), generator=random)]
    return chosen + 0.1 * (torch.rand(chosen.shape, generator=random) - 0.5)


@pytest.mark.parametrize(("kind", "tokens", "classes"), [("vq", 4, 24), ("fsq", 4, 12), ("bins", OBSERVATION, 512)])
def test_observations_of_any_axes_become_tokens_and_observations_again(kind: str, tokens: int, classes: int) -> None:
    tokenizer = small_tokenizer(discretisation=kind)
    assert (tokenizer.tokens, tokenizer.vocabulary) == (tokens, classes)
    for axes in [(), (3,), (2, 3, 5)]:
        observation = torch.rand(*axes, OBSERVATION) * 2 - 1
        ids = tokenizer.encode(observation)
        assert ids.shape == (*axes, tokens)
        assert ids.dtype == torch.int64
        assert 0 <= int(ids.min()) <= int(ids.max()) < classes
        reconstruction = tokenizer.decode(ids)
        assert reconstruction.shape == observation.shape
        assert torch.allclose(
            tokenizer.loss(observation).reconstruction, (reconstruction - observation).square().mean()
        )


@given(levels=st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_every_code_of_scalar_levels_is_nearest_to_itself(levels: list[int]) -> None:
    codes = ScalarLevels(levels)
    ids = torch.arange(codes.classes)
    assert torch.equal(codes.nearest(codes.codes), ids)
    assert len(codes.codes.unique(dim=0)) == codes.classes
    # Every one is reached by some vector: the bound goes beyond the outermost levels.
    inverse = torch.atanh(((codes.codes * codes.halves + codes.offset) / codes.reach).clamp(-0.999999, 0.999999))
    assert torch.equal(codes.nearest(codes.bounded(inverse - codes.shift)), ids)
    assert codes.nearest(codes.bounded(torch.full((1, len(levels)), 1e3))) == codes.classes - 1
    assert codes.nearest(codes.bounded(torch.full((1, len(levels)), -1e3))) == 0


def test_scalar_levels_let_the_encoder_learn() -> None:
    tokenizer = small_tokenizer(discretisation="fsq")
    tokenizer.loss(clusters(8)).total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in tokenizer.encoder.parameters())
    learner = TokenizerLearner(tokenizer)
    metrics = [learner.update(clusters(64, seed=seed)) for seed in range(60)]
    assert metrics[-1]["tokenizer/reconstruction"] < 0.7 * metrics[0]["tokenizer/reconstruction"]


def test_bins_are_within_half_a_width_and_learn_nothing() -> None:
    tokenizer = small_tokenizer(discretisation="bins", bins={"count": 40, "lowest": -2.0, "highest": 3.0})
    observation = torch.rand(50, OBSERVATION) * 5 - 2
    assert (tokenizer.decode(tokenizer.encode(observation)) - observation).abs().max() <= 0.0625 + 1e-6
    learner = TokenizerLearner(tokenizer)
    assert not tokenizer.learns
    assert learner.optimisers() == {}
    assert learner.update(observation)["tokenizer/reconstruction"] < 0.0625**2
    assert torch.equal(tokenizer.encode(torch.full((OBSERVATION,), 9.0)), torch.full((OBSERVATION,), 39))


@pytest.mark.parametrize("initialisation", ["kmeans", "data"])
def test_codes_begin_where_the_data_lies_and_stay_in_use(initialisation: str) -> None:
    tokenizer = small_tokenizer(codebook={"initialisation": initialisation})
    learner = TokenizerLearner(tokenizer)
    metrics = [learner.update(clusters(64, seed=seed)) for seed in range(40)]
    assert metrics[0]["tokenizer/codes_in_batch"] >= 12
    assert metrics[-1]["tokenizer/codes_in_batch"] >= 12
    assert metrics[-1]["tokenizer/reconstruction"] < 0.6 * metrics[0]["tokenizer/reconstruction"]
    assert tokenizer.discretiser.codes.abs().max() < 100


def test_published_codes_explode_and_die_where_ours_are_revived() -> None:
    """Those that are not chosen at once; see `-code`."""
    published, ours = small_tokenizer(codebook=PUBLISHED), small_tokenizer()
    for tokenizer in (published, ours):
        learner = TokenizerLearner(tokenizer)
        for seed in range(12):
            metrics = learner.update(clusters(64, seed=seed))
        in_use = metrics["tokenizer/codes_in_batch"]
        if tokenizer is published:
            assert tokenizer.discretiser.codes.abs().max() > 100
            dead = in_use
        else:
            assert in_use > 1.5 * dead


def test_an_idle_code_begins_again_at_a_vector_of_the_batch() -> None:
    tokenizer = small_tokenizer()
    learner, codebook = TokenizerLearner(tokenizer), tokenizer.discretiser
    assert isinstance(codebook, Codebook)
    learner.update(clusters(64))
    codebook.codes[5] = codebook.sums[5] = 1e3
    codebook.counts[5] = 1.0
    revived = [learner.update(clusters(64, seed=seed))["tokenizer/codes_revived"] for seed in range(3)]
    assert revived[-1] >= 1
    assert codebook.codes.abs().max() < 100
    assert int(codebook.idle[5]) == 0
    ids = tokenizer.encode(clusters(64, seed=2))
    assert len(ids.unique()) > 12


def test_a_codebook_goes_on_from_a_checkpoint_as_if_there_had_been_none() -> None:
    def updated(learner: TokenizerLearner, seeds: range) -> None:
        torch.manual_seed(seeds[0])
        for seed in seeds:
            learner.update(clusters(32, seed=seed))

    through = TokenizerLearner(small_tokenizer())
    updated(through, range(5))
    resumed = TokenizerLearner(small_tokenizer(seed=9))
    resumed.tokenizer.load_state_dict(through.tokenizer.state_dict())
    resumed.optimisers()["tokenizer"].load_state_dict(deepcopy(through.optimisers()["tokenizer"].state_dict()))
    for learner in (through, resumed):
        updated(learner, range(5, 12))
    ours, others = through.tokenizer.state_dict(), resumed.tokenizer.state_dict()
    assert ours.keys() == others.keys()
    assert all(torch.equal(ours[name], others[name]) for name in ours)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (
            {},
            {"codebook": {"size": 25, "width": 7}},
            "it has a tokenizer of 24 codes of 6 numbers, where the settings say 25 codes of 7 numbers",
        ),
        (
            {"discretisation": "fsq", "levels": (4, 3)},
            {"discretisation": "fsq", "levels": (3, 4)},
            "its tokenizer has other levels, or bins of another range, than the settings say",
        ),
        (
            {"discretisation": "bins", "bins": {"count": 8}},
            {"discretisation": "bins", "bins": {"count": 8, "highest": 2.0}},
            "its tokenizer has other levels, or bins of another range, than the settings say",
        ),
    ],
    ids=["another size", "other levels, as many codes", "another range, as many bins"],
)
def test_weights_made_for_other_codes_are_refused(one: dict[str, Any], other: dict[str, Any], told: str) -> None:
    weights = small_tokenizer(**one).state_dict()
    with pytest.raises(RuntimeError) as error:
        small_tokenizer(**other).load_state_dict(weights)
    assert str(error.value).splitlines()[-1].strip() == told  # what a checkpoint's error quotes
    small_tokenizer(seed=3, **one).load_state_dict(weights)


def test_reconstructions_are_clamped_where_the_setting_says() -> None:
    ids = torch.arange(24).repeat(4, 1).t()
    clamped = {}
    for clamp in ("nowhere", "everywhere", "imagined"):
        tokenizer = small_tokenizer(clamp=clamp)
        with torch.no_grad():
            for parameter in tokenizer.decoder.parameters():
                parameter.mul_(6)
            clamped[clamp] = [bool(tokenizer.decode(ids, imagined=each).abs().max() <= 1) for each in (False, True)]
    assert clamped == {"nowhere": [False, False], "everywhere": [True, True], "imagined": [False, True]}


def test_an_observation_beyond_the_bins_is_told_with_its_value() -> None:
    learner = TokenizerLearner(small_tokenizer(discretisation="bins"))
    observation = clusters(4)
    observation[2, 1, 3] = 1.5
    with pytest.raises(SettingsError, match=r"holds 1\.5, which is outside the bins' range \[-1, 1\].*bins\.highest"):
        learner.update(observation)
    observation[2, 1, 3] = -3.0
    with pytest.raises(SettingsError, match="holds -3, "):
        learner.update(observation)


def test_bins_are_refused_where_actions_are_continuous() -> None:
    spec = registry.make("relay", count=1, parameters={"agents": 2}).spec
    assert make_tokenizer(settings(discretisation="bins"), spec).tokens == spec.observation_size
    turning = registry.make("steering_team:make", count=1, permission=EVERYTHING).spec
    with pytest.raises(SettingsError, match="bins does not go with continuous actions"):
        make_tokenizer(settings(discretisation="bins"), turning)


def test_bins_in_the_wrong_order_and_levels_of_one_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"bins\.lowest = 1\.0 is not below bins\.highest = -1\.0"):
        resolve(TokenizerSettings, {"bins": {"lowest": 1, "highest": -1}}, source="here")
    with pytest.raises(SettingsError, match="levels"):
        resolve(TokenizerSettings, {"levels": [8, 1]}, source="here")


@pytest.mark.slow
def test_tokens_of_few_observations_settle() -> None:
    """There are fewer vectors than codes, and each keeps the one that it has."""
    tokenizer = small_tokenizer()
    learner, few = TokenizerLearner(tokenizer), torch.eye(OBSERVATION)[:4]
    for _ in range(300):
        learner.update(few)
    before = tokenizer.encode(few)
    for _ in range(40):
        metrics = learner.update(few)
        assert metrics["tokenizer/codes_revived"] == 0
        assert torch.equal(tokenizer.encode(few), before)


def test_a_tokenizer_that_has_diverged_says_so_and_keeps_its_codes() -> None:
    tokenizer = small_tokenizer()
    learner = TokenizerLearner(tokenizer)
    learner.update(clusters(16))
    before = tokenizer.discretiser.codes.clone()
    with pytest.raises(NonFiniteLoss, match=r"tokenizer/\w+ is (inf|nan): the tokenizer has diverged"):
        learner.update(torch.full((16, OBSERVATION), 1e30))
    assert torch.equal(tokenizer.discretiser.codes, before)


def test_a_collapsed_codebook_is_told_once_with_the_figure(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = small_tokenizer(codebook=PUBLISHED)
    tokenizer.discretiser.codes[1:] = 1e5
    learner = TokenizerLearner(tokenizer)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            learner.update(clusters(16))
    assert [record.getMessage() for record in caplog.records] == [
        "the tokenizer's codebook has collapsed: 1 of 24 codes chosen in a batch, perplexity 1.00"
    ]


def test_an_image_is_read_and_made_again() -> None:
    tokenizer = Tokenizer(settings(), 5 * 7 * 2 + 3, image=(5, 7, 2))
    observation = torch.rand(2, 3, 73)
    ids = tokenizer.encode(observation)
    assert ids.shape == (2, 3, 4)
    assert tokenizer.decode(ids).shape == observation.shape
    TokenizerLearner(tokenizer).update(observation)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_value_codes_are_distributions_wherever_a_value_lies(values: list[float]) -> None:
    """In float32, where the released bins of MARIE's reward are not a number from 23.4 on."""
    rewards = torch.tensor(values)
    for code in (GaussianBins(bins=128, lowest=-3.0, highest=3.0), TwoHot(points=33, lowest=-3.0, highest=3.0)):
        probabilities = code.encode(rewards)
        assert torch.isfinite(probabilities).all()
        assert torch.allclose(probabilities.sum(-1), torch.ones(len(values)), atol=1e-5)
    two_hot = replace(TwoHot(points=41, lowest=-2e6, highest=2e6), squash=PLAIN)
    assert torch.allclose(two_hot.decode(two_hot.encode(rewards)), rewards, rtol=1e-5, atol=1.0)


def test_bins_name_their_middles() -> None:
    bins = Bins(count=4, lowest=-1.0, highest=1.0)
    assert bins.codes.squeeze(-1).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert bins.nearest(torch.tensor([[-1.0], [-0.5], [0.999], [1.0]])).tolist() == [0, 1, 3, 3]


def test_codes_in_use_are_those_of_all_batches_since_it_was_asked() -> None:
    learner = TokenizerLearner(small_tokenizer())
    seen: set[int] = set()
    for seed in range(4):
        seen |= set(learner.tokenizer.loss(clusters(8, seed=seed)).ids.tolist()) if seed else set()
        batch = learner.update(clusters(8, seed=seed))["tokenizer/codes_in_batch"]
    assert learner.codes_in_use() >= len(seen) >= batch
    assert learner.codes_in_use() == 0


def test_nothing_random_is_drawn_where_no_code_is_idle() -> None:
    learner = TokenizerLearner(small_tokenizer())
    learner.update(clusters(64))
    before = torch.get_rng_state()
    assert learner.update(clusters(64, seed=1))["tokenizer/codes_revived"] == 0
    assert torch.equal(torch.get_rng_state(), before)
