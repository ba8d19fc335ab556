"""Messages that are not there, predicted by their receiver: what it learns, and that bundles predict as networks do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_training_channel import MIXED, ages_of, collected, made

from coordinator.channel import Channel
from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph import noise
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.manifest import PREDICTING_VERSION
from heliograph.settings import resolve
from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import AGE, NOTHING
from trainer.export.bundles import export_team
from trainer.policy.draws import GreedyDraws, NoiseDraws
from trainer.world_model.message_predictor import OLDEST_TOLD, MessagePredictor
from trainer.world_model.prediction_loss import _newest_arrived, prediction_loss

PREDICTING = MIXED | {"late": "predict"}


def seen(algorithm: Any, *, batch: int = 32) -> tuple[Any, Any]:
    window = collected(algorithm).sample(np.random.default_rng(0), batch=batch).window
    return window, algorithm.model.observe(window, GreedyDraws().latent)


def test_before_anything_is_learned_the_most_likely_message_is_the_one_that_is_held() -> None:
    settings = made(**MIXED).settings.model
    predictor = MessagePredictor(settings, agents=3, action_features=5, filling="mode")
    ids = torch.randint(settings.classes, (4, 3, settings.categoricals))
    age = torch.tensor([1, 3, 100]).expand(4, -1)
    found = predictor.predicted(ids, torch.randn(4, 3, 5), age, torch.randn(4, settings.recurrent))
    assert torch.equal(found.argmax(-1), ids)
    assert found.amax(-1) == pytest.approx(0.9)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_messages_that_arrived_are_learned_and_nothing_else_by_that(shared: bool) -> None:
    algorithm = made(shared=shared, **PREDICTING)
    window, posteriors = seen(algorithm)
    rssm = algorithm.model.rssm
    loss = prediction_loss(rssm, window, posteriors, window.columns[AGE])
    loss.backward()
    moved = {name for name, each in algorithm.model.named_parameters() if each.grad is not None and each.grad.any()}
    assert moved
    assert all("predictor" in name and "told" not in name for name in moved)
    assert "prediction" in algorithm.observe_and_lose(window).terms
    assert "prediction" not in made(**MIXED).observe_and_lose(window).terms


def test_what_a_filled_token_is_read_by_learns_with_the_model_and_the_predictor_does_not() -> None:
    algorithm = made(**PREDICTING)
    window, _ = seen(algorithm)
    posteriors = algorithm.model.observe(window, GreedyDraws().latent)
    posteriors.deter.square().sum().backward()
    predictor = algorithm.model.rssm.predictor
    learned = {name for name, each in predictor.named_parameters() if each.grad is not None and each.grad.any()}
    assert learned == {"told.weight"}


def test_only_messages_that_ever_arrived_count() -> None:
    first = torch.tensor([[True], [False], [False], [False], [True], [False]])
    age = torch.tensor([0, 0, 1, 0, 0, NOTHING])[:, None, None, None]
    # Said at row 0 and read at 1, held at 2; that of row 2 is read at 3; then an episode of which nothing comes.
    assert _newest_arrived(first, age).flatten().tolist() == [0, 0, 2, 2, 2, 2]
    late = torch.tensor([0, NOTHING, NOTHING, 2, 0, NOTHING])[:, None, None, None]
    assert _newest_arrived(first, late).flatten().tolist() == [0] * 6
    assert _newest_arrived(first, torch.full_like(late, NOTHING)).flatten().tolist() == [-1] * 6


@pytest.mark.slow
def test_a_predictor_learns_what_can_be_known() -> None:
    """Messages whose first id counts the steps, and whose others stay: both are predicted from any older one."""
    algorithm = made(**PREDICTING)
    window, posteriors = seen(algorithm, batch=64)
    classes = algorithm.settings.model.classes
    ids = posteriors.ids.clone()
    ids[1:] = ids[:1]
    ids[..., 0] = torch.arange(len(ids))[:, None, None] % classes
    posteriors = replace(posteriors, ids=ids)
    parameters = list(algorithm.model.rssm.predictor.parameters())
    optimiser, losses = torch.optim.Adam(parameters, lr=2e-2), []
    torch.manual_seed(0)
    for _ in range(100):
        loss = prediction_loss(algorithm.model.rssm, window, posteriors, window.columns[AGE])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-20:]) < 0.1 * np.mean(losses[:5]), "of ids that stay, and one that counts"


@pytest.fixture(scope="module", params=["mean", "mode", "sample"])
def predicting_team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    algorithm = made(layers=1, share=1.0, delay_steps=2, late="predict", filling=request.param)
    folder = tmp_path_factory.mktemp("predicting")
    export_team(algorithm, algorithm.spec, folder, run_id="predicting", training_step=0)
    return algorithm, load_team(folder)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["delay-ms=300", "erasure=0.5"])
def test_bundles_predict_as_the_networks_do(predicting_team: tuple[Any, Any], text: str) -> None:
    algorithm, bundles = predicting_team
    manifest = bundles[0].manifest
    assert (manifest.format_version, manifest.predicts) == (PREDICTING_VERSION, algorithm.channel.filling)
    assert manifest.noise_size == algorithm.behaviour().noise_size
    stage = World(
        registry.make("relay", count=1, parameters=manifest.environment_parameters), channel=Channel.parse(text)
    )
    team, records = LocalTeam(bundles, run_seed=4, greedy=False, late_policy="predict"), []
    team.run_episode(stage, episode=0, observe=records.append, report_latents=True)
    ages = ages_of([record.lost for record in records], delay=2 if "delay" in text else 0)
    assert (ages > 0).any(), "otherwise nothing is predicted"
    networks, state = algorithm.behaviour(), algorithm.behaviour().initial_state(1)
    for step, (record, age) in enumerate(zip(records, ages, strict=True)):
        numbers = [
            noise.uniform(run_seed=4, slot=slot, episode=0, step=step, size=manifest.noise_size)
            for slot in range(manifest.team_size)
        ]
        action, state = networks.act(
            state,
            observation=torch.from_numpy(record.observation)[None],
            action_mask=torch.from_numpy(record.action_mask)[None],
            hears=None,
            first=torch.tensor([step == 0]),
            draws=NoiseDraws(torch.from_numpy(np.stack(numbers))[None]),
            age=torch.from_numpy(age)[None],
        )
        assert np.array_equal(state.ids[0].numpy(), record.latent), step
        assert np.array_equal(action[0].numpy(), record.action), step


@pytest.mark.slow
def test_what_is_predicted_is_not_sent(predicting_team: tuple[Any, Any]) -> None:
    from coordinator.plan.plan import make_plan
    from coordinator.running.local import evaluate

    _, bundles = predicting_team
    found = {}
    for policy in ("hold", "predict"):
        plan = make_plan(bundles, episodes=2, late_policy=policy, channel=Channel.parse("erasure=0.5"))
        (summary,) = evaluate(plan).summaries
        found[policy] = (summary.messages, summary.masked, summary.lost)
    assert found["hold"] == found["predict"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"late": "predict"}, "no message is ever missing"),
        ({"late": "predict", "share": 0.5, "erasure": 0.5, "heartbeat": 3}, "cannot know what its receivers predict"),
        ({"late": "predict", "share": 0.5, "erasure": 0.5, "filling": "median"}, "filling"),
    ],
)
def test_predictions_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        resolve(ChannelSettings, values, source="channel")


def test_ages_beyond_the_oldest_are_told_as_that() -> None:
    settings = made(**MIXED).settings.model
    predictor = MessagePredictor(settings, agents=2, action_features=5, filling="mode")
    torch.nn.init.normal_(predictor.told.weight)
    code = predictor.age_code(torch.tensor([1, OLDEST_TOLD, OLDEST_TOLD + 1, 2**20]))
    assert torch.equal(code[1], code[2])
    assert torch.equal(code[1], code[3])
    assert not torch.equal(code[0], code[1])
