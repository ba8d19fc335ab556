"""Teams that observe images: every algorithm builds and trains convolutions, exports them and plays as processes."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from combinations import a_few
from tiny_team import SMALL_OF, small_settings, start

from coordinator.plan.plan import make_plan
from coordinator.running.distributed import run
from coordinator.running.in_process import LocalTeam
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.algorithms.happo.happo import Happo
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.qmix.qmix import Qmix
from trainer.export.bundles import export_team
from trainer.nets.observations import ImageDecoder, ImageEncoder, observation_decoder, observation_encoder
from trainer.training import evaluation

CAMERA = "camera_team:make"


ODD = "{sides=[5, 7], unequal=true}"
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mamba": ("mamba", ODD, ()),
    "mamba-own": ("mamba", ODD, ("mamba.model.shared=false",)),
    "mag": ("mag", "{sides=[5, 7], unequal=true, channels_first=true}", ()),
    "mabl": ("mabl", "{unequal=true}", ()),
    "mappo": ("mappo", "{sides=[9, 6], unequal=true}", ()),
    "ippo": ("ippo", "{sides=[9, 6], unequal=true}", ()),
    "happo": ("happo", "{sides=[9, 6], unequal=true}", ()),
    "attention-ppo": ("attention-ppo", '{kind="float32"}', ()),
    "tarmac": ("tarmac", "{sides=[5, 7]}", ()),
    "marie": ("marie", "{sides=[5, 7]}", ()),
    "qmix": ("qmix", "{sides=[9, 6], unequal=true}", ()),
    "mazero": ("mazero", ODD, ("mazero.model.frames=2", "mazero.model.agent_identity=true")),
}
"""An algorithm, its world and other settings; worlds of agents that have one structure of networks are of one size."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    algorithm: Any
    team: Path
    """Its bundles."""


# MARIE reads images in test_marie_execution; networks of one's own are read with like one that is shared.
@pytest.fixture(scope="module", params=a_few(CASES, "mamba", "mazero"))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A team after a few updates."""
    algorithm, parameters, more = CASES[request.param]
    folder = tmp_path_factory.mktemp("trained")
    chosen = small_settings(
        "relay",
        f"algorithm={algorithm}",
        f"environment.id={CAMERA}",
        f"environment.parameters={parameters}",
        *more,
        small=SMALL_OF[algorithm],
        env_steps=10_000,
    )
    training = start(folder / "run", chosen, stop_after=3)
    before = [values.clone() for values in parameters_of(training.algorithm)]
    training.run()
    after = parameters_of(training.algorithm)
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    export_team(training.algorithm, training.environment.spec, folder / "team", run_id="images", training_step=3)
    return Trained(algorithm=training.algorithm, team=folder / "team")


def parameters_of(algorithm: Any) -> list[torch.Tensor]:
    """Of the convolutions that observations are read with."""
    if isinstance(algorithm, Mamba | Mabl | Mazero):
        network = algorithm.model
    elif isinstance(algorithm, Qmix):
        network = algorithm.team.network
    elif isinstance(algorithm, Happo):
        network = algorithm.network.each[-1]
    else:
        network = algorithm.tokenizer if isinstance(algorithm, Marie) else algorithm.network
    reading = network.representation if isinstance(algorithm, Mazero) else network.encoder
    encoders = [module for module in reading.modules() if isinstance(module, ImageEncoder)]
    return [values.detach() for encoder in encoders for values in encoder.convolutions.parameters()]


@pytest.mark.slow
def test_what_is_trained_plays_like_its_bundles(trained: Trained) -> None:
    bundles = load_team(trained.team)
    assert "Conv" in {node.op_type for node in onnx.load(trained.team / "agent-0" / "step.onnx").graph.node}
    world = registry.make(CAMERA, count=4, parameters=bundles[0].manifest.environment_parameters, permission=EVERYTHING)
    central = evaluation.evaluate(
        trained.algorithm.policy(),
        world,
        episodes=12,
        seed=11,
        greedy=False,
        device=torch.device("cpu"),
        links_cut=False,
    )
    one = registry.make(CAMERA, count=1, parameters=bundles[0].manifest.environment_parameters, permission=EVERYTHING)
    alone = LocalTeam(bundles, run_seed=11, greedy=False)
    results = [alone.run_episode(World(one), episode=episode).result for episode in range(12)]
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-5)
    assert len(np.unique(central.team_return)) > 3, "the episodes differ from one another"


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["mamba", "mappo"], indirect=True)
def test_processes_play_what_one_process_does(trained: Trained, tmp_path: Path) -> None:
    plan = make_plan(
        load_team(trained.team),
        permission=EVERYTHING,
        record=tmp_path / "processes.jsonl",
        greedy=False,
        episodes=3,
        run_seed=77,
        conditions=("open", "cut"),
    )

    async def play() -> Any:
        async with asyncio.timeout(120):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc = asyncio.run(play())
    alone = evaluate(replace(plan, record=tmp_path / "alone.jsonl"))
    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert not over_grpc.endings
    assert [each.outcome for each in over_grpc.summaries] == [each.outcome for each in alone.summaries]
    assert {(each.masked, each.idle, each.missing) for each in over_grpc.summaries} == {(0, 0, 0)}


@pytest.mark.parametrize("image", [(8, 8, 3), (5, 7, 1), (1, 1, 2), (9, 16, 4)])
@pytest.mark.parametrize("rest", [0, 2])
def test_a_decoder_makes_as_many_numbers_as_the_encoder_reads(image: tuple[int, int, int], rest: int) -> None:
    size = math.prod(image) + rest
    encoder = observation_encoder(size, [12, 10], image=image, channels=4, extra=3)
    decoder = observation_decoder(10, size, image=image, channels=4)
    assert encoder(torch.rand(2, 5, size + 3)).shape == (2, 5, 10)
    assert encoder(torch.rand(size + 3)).shape == (10,)
    assert decoder(torch.rand(2, 5, 10)).shape == (2, 5, size)


def test_a_decoded_pixel_depends_on_what_lies_near_it() -> None:
    """Rows, columns and channels are in the order of the observation: a spot of the smallest map reaches one corner."""
    torch.manual_seed(1)
    decoder = ImageDecoder((16, 16, 3), hidden=4, rest=0, channels=4)
    began = torch.zeros(1, 16, 2, 2)
    began[..., 0, 1] = 1.0
    with torch.no_grad():
        changed = decoder.convolutions(began) - decoder.convolutions(torch.zeros_like(began))
    assert changed[..., 8:, :].abs().max() < changed[..., :8, 8:].abs().max()
    assert changed[..., 9:, :4].abs().max() == 0


def test_an_encoder_sees_where_and_in_which_channel_a_spot_is() -> None:
    torch.manual_seed(1)
    encoder = ImageEncoder((8, 6, 3), rest=0, channels=4, out=5)
    image = torch.zeros(8, 6, 3)
    image[2, 4, 1] = 1.0
    by_hand = encoder.out(encoder.convolutions(image.permute(2, 0, 1).unsqueeze(0)).flatten(1))
    torch.testing.assert_close(encoder(image.flatten()), by_hand.squeeze(0))


def test_without_an_image_the_networks_are_perceptrons_as_before() -> None:
    torch.manual_seed(5)
    encoder = observation_encoder(7, [6, 6], extra=2)
    assert [tuple(values.shape) for values in encoder.parameters()] == [(6, 9), (6,), (6, 6), (6,)]
    assert isinstance(observation_decoder(6, 7), torch.nn.Sequential)
