"""MARIE's world model: what a position may know, the cache and its slide, both manners, continuous actions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from heliograph.actions import ContinuousActions
from trainer.algorithms.marie.imagination import Dream
from trainer.algorithms.marie.loss import loss_sizes, marie_loss
from trainer.algorithms.marie.model import MarieModel, Predictions
from trainer.algorithms.marie.model_settings import MarieLossSettings, MarieModelSettings
from trainer.algorithms.marie.segments import Segments
from trainer.policy.distributions import ActionDistribution, Categorical, ChoiceAndVector, SquashedGaussian
from trainer.policy.draws import GreedyDraws, RandomDraws

AGENTS, TOKENS, VOCABULARY, STEPS = 3, 4, 11, 5
SMALL = {
    "context": STEPS,
    "width": 16,
    "layers": 2,
    "heads": 2,
    "dropout": 0.0,
    "available_hidden": 16,
    "perceiver": {"cross_heads": 2, "cross_width": 8, "inner_layers": 1, "inner_heads": 2, "inner_width": 8},
}
DISCRETE = Categorical(6)
VECTORS = SquashedGaussian(2, ContinuousActions(low=(-1.0, -1.0), high=(1.0, 1.0)).levels)
KINDS: dict[str, tuple[dict[str, Any], ActionDistribution]] = {
    "aggregated": ({}, DISCRETE),
    "alone": ({"aggregation": "none"}, DISCRETE),
    "centralised": ({"manner": "centralised", "aggregation": "none"}, DISCRETE),
    "continuous": ({"reward": "bins", "available": "bernoulli"}, VECTORS),
    "mixed": ({}, ChoiceAndVector(DISCRETE, VECTORS)),
}


def model_of(kind: str, **changes: Any) -> MarieModel:
    """Weights far from zero, so that everything shows in what is put out."""
    torch.manual_seed(0)
    settings, actions = KINDS[kind]
    model = MarieModel(
        MarieModelSettings.model_validate(SMALL | settings | changes),
        agents=AGENTS,
        tokens=TOKENS,
        vocabulary=VOCABULARY,
        actions=actions,
        action_masks=True,
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8) if parameter.dim() > 1 else parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def lived(model: MarieModel, *, segments: int = 2, steps: int = STEPS, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Tokens [B, L, N, K] and actions [B, L, N, ...]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (segments, steps, AGENTS)
    ids = torch.randint(VOCABULARY, (*shape, TOKENS), generator=generator)
    vectors = torch.rand(*shape, 2, generator=generator, dtype=torch.float64) * 2 - 1
    if model.actions is VECTORS:
        return ids, vectors
    choices = torch.randint(DISCRETE.count, shape, generator=generator)
    return ids, choices if model.actions is DISCRETE else torch.cat([choices.unsqueeze(-1), vectors], dim=-1)


def parts(predictions: Predictions) -> list[Tensor]:
    """By step on axis 1 each."""
    assert predictions.available is not None
    by_step = predictions.observation.unflatten(2, (STEPS, -1)).transpose(1, 2)
    return [by_step, predictions.reward, predictions.continuation, predictions.available]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_nothing_after_an_end_knows_of_what_was_before_it_and_nothing_at_all_of_what_comes(kind: str) -> None:
    model = model_of(kind)
    (ids, action), (others, other_action) = lived(model), lived(model, seed=2)
    cut = torch.zeros(2, STEPS, dtype=torch.bool)
    cut[0, 1] = True
    before = parts(model(ids, action, cut))
    ids, action = ids.clone(), action.clone()
    ids[:, :2], action[:, :2] = others[:, :2], other_action[:, :2]
    for then, now in zip(before, parts(model(ids, action, cut)), strict=True):
        torch.testing.assert_close(then[0, 2:], now[0, 2:], rtol=0, atol=1e-12)
        assert not torch.allclose(then[1, 2:], now[1, 2:]), "without an end it does"
    ids, action = lived(model)
    ids[:, 3:], action[:, 3:] = others[:, 3:], other_action[:, 3:]
    for then, now in zip(before, parts(model(ids, action, cut)), strict=True):
        torch.testing.assert_close(then[:, :3], now[:, :3], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_other_agents_are_known_through_the_aggregate_or_the_common_sequence_alone(kind: str) -> None:
    model = model_of(kind)
    ids, action = lived(model)
    cut = torch.zeros(2, STEPS, dtype=torch.bool)
    before = model(ids, action, cut).reward[:, :, 0]
    ids = ids.clone()
    ids[:, :, 2] = (ids[:, :, 2] + 1) % VOCABULARY
    after = model(ids, action, cut).reward[:, :, 0]
    assert torch.allclose(before, after) == (kind == "alone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slide", [1, 2, 4])
@torch.no_grad()
def test_imagination_with_a_cache_that_slides_equals_whole_passes_over_what_is_not_forgotten(
    kind: str, slide: int
) -> None:
    model, steps = model_of(kind, slide=slide), 2 * STEPS + 2
    _, action = lived(model, steps=steps)
    ids, _ = lived(model, steps=1)
    dream, draws = Dream(model, starts=2), RandomDraws(torch.Generator().manual_seed(3))
    states, begin = [ids[:, 0]], 0
    for step in range(steps):
        outcome = dream.act(states[-1], action[:, step])
        kept = slice(begin, step + 1)
        whole = model.transformer(model.embedded(torch.stack(states[kept], 1), action[:, kept]), None)
        expected = model.outcome(whole[:, -1], segments=2)
        assert outcome.available is not None
        assert expected.available is not None
        torch.testing.assert_close(outcome.reward, expected.reward)
        torch.testing.assert_close(outcome.continuation, expected.continuation)
        torch.testing.assert_close(outcome.available, expected.available)
        if step + 1 - begin == STEPS:
            begin += slide
            kept = slice(begin, step + 1)
            whole = model.transformer(model.embedded(torch.stack(states[kept], 1), action[:, kept]), None)
        torch.testing.assert_close(dream.last, whole[:, -1])
        states.append(dream.draw(draws))
        assert states[-1].shape == (2, AGENTS, TOKENS)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_tokens_are_drawn_from_what_training_would_predict_of_them(kind: str) -> None:
    """Greedy tokens of a dream are the likeliest of one pass over all of them."""

    class Likeliest(RandomDraws):
        def latent(self, probabilities: Tensor) -> Tensor:
            return probabilities.argmax(-1)

    model = model_of(kind)
    ids, action = lived(model)
    dream, states = Dream(model, starts=2), [ids[:, 0]]
    for step in range(STEPS - 1):
        dream.act(states[-1], action[:, step])
        states.append(dream.draw(Likeliest()))
    dreamt = torch.stack(states, 1)
    predictions = model(dreamt, action, torch.zeros(2, STEPS, dtype=torch.bool))
    sequences = dreamt.reshape(2, STEPS, -1, model.observed).transpose(1, 2).flatten(2)
    expected = predictions.observation.argmax(-1)
    assert torch.equal(expected[:, :, model.observed - 1 : -1], sequences[:, :, model.observed :])


def segments_of(model: MarieModel, *, cut: Tensor, acted: Tensor) -> Segments:
    _, action = lived(model)
    shape = (2, STEPS, AGENTS)
    torch.manual_seed(4)
    return Segments(
        observation=torch.zeros(*shape, 1),
        action=action,
        acted=acted,
        reward=torch.randn(shape, dtype=torch.float64),
        done=torch.zeros(shape, dtype=torch.bool),
        cut=cut,
        next_available=torch.rand(*shape, model.actions.mask_size) < 0.5,
        followed=acted,
    )


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_of_no_episode_teaches_nothing(kind: str, published: bool) -> None:
    """Step 2 is the last observation of a team that has terminated, step 3 the first of the next episode."""
    model = model_of(kind)
    ids, _ = lived(model)
    acted, cut = torch.ones(2, STEPS, dtype=torch.bool), torch.zeros(2, STEPS, dtype=torch.bool)
    acted[:, 2], cut[:, 1], cut[:, 2] = False, True, True
    manner = "published" if published else None
    settings = MarieLossSettings.model_validate({"observation": manner or "tokens", "available": manner or "recorded"})
    segments = segments_of(model, cut=cut, acted=acted)

    def losses(tokens: Tensor) -> dict[str, float]:
        predictions = model(tokens, segments.action, cut)
        found = marie_loss(model, predictions, tokens, segments, settings, loss_sizes(model, segments, settings))
        return {name: float(term.detach()) for name, term in found.terms.items()}

    before = losses(ids)
    ids = ids.clone()
    ids[:, 2] = (ids[:, 2] + 1) % VOCABULARY
    assert losses(ids) == pytest.approx(before, rel=1e-12)
    ids[:, 0] = (ids[:, 0] + 1) % VOCABULARY
    after = losses(ids)
    assert all(after[name] != pytest.approx(before[name]) for name in before)


def test_a_part_of_one_step_weighs_as_much_as_a_long_one_only_as_published() -> None:
    model = model_of("alone")
    ids, _ = lived(model)
    cut = torch.zeros(2, STEPS, dtype=torch.bool)
    cut[:, 0] = True
    segments = segments_of(model, cut=cut, acted=torch.ones(2, STEPS, dtype=torch.bool))
    predictions = model(ids, segments.action, cut)
    losses = torch.nn.functional.cross_entropy(
        predictions.observation[:, :, :-1].flatten(0, 2),
        ids.transpose(1, 2).flatten(2)[:, :, 1:].flatten(),
        reduction="none",
    ).reshape(2, AGENTS, -1)
    first, others = losses[..., : TOKENS - 1], losses[..., TOKENS:]
    for how, expected in (
        ("tokens", torch.cat([first, others], -1).mean()),
        ("published", (first.mean(-1) + others.mean(-1)).mean() / 2),
    ):
        settings = MarieLossSettings.model_validate({"observation": how})
        found = marie_loss(
            model, predictions, ids, segments, settings, loss_sizes(model, segments, settings)
        ).observation
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_half_precision_tells_nearly_the_same_and_gives_what_is_whole() -> None:
    (ids, action), cut = lived(model_of("aggregated")), torch.zeros(2, STEPS, dtype=torch.bool)
    told, dreamt = [], []
    for precision in ("float32", "bfloat16"):
        model = model_of("aggregated", precision=precision).float()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.div_(4)  # so that nothing is all but certain
        found = parts(model(ids, action, cut))
        assert {each.dtype for each in found} == {torch.float32}
        told.append(torch.cat([each.flatten() for each in found]))
        dream = Dream(model, starts=2)
        dream.act(ids[:, 0], action[:, 0])
        dream.draw(GreedyDraws())
        outcome = dream.act(ids[:, 1], action[:, 1])
        dreamt.append(torch.cat([outcome.reward, outcome.continuation], dim=-1))
        assert dreamt[-1].dtype == torch.float32
    for whole, half in (told, dreamt):
        assert not torch.equal(whole, half)
        torch.testing.assert_close(whole, half, rtol=0.05, atol=0.05)
