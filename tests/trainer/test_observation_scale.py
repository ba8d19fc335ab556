"""Observations on a scale of their own: a world's units and the size of its observations decide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from combinations import a_few
from equal_runs import assert_equal_runs
from tiny_team import SMALL, SMALL_MABL, SMALL_MAZERO, resume, small_settings, start
from torch import Tensor

from analysis.audit.evidence import HOLDS
from analysis.audit.input_sequence import record
from analysis.audit.networks import check_networks
from analysis.audit.one_process import OneProcess
from coordinator.plan.plan import make_plan
from heliograph.bundle import load_team
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import SettingsError
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mazero.mazero import Mazero
from trainer.experience.window import Window
from trainer.nets.observation_scale import ObservationScale
from trainer.policy.distributions import Categorical
from trainer.policy.draws import GreedyDraws
from trainer.training.training import Training
from trainer.world_model.bilevel import BilevelModel
from trainer.world_model.bilevel_settings import BilevelSettings

torch.set_num_threads(1)

UNITS = torch.tensor([1.0, 1e-2, 1e3])
STANDARDISED = ("mamba.model.observations=standardised", "mamba.loss.reconstruction_loss=squared")
WAYS = {
    "mamba": ("relay-signal", (*SMALL, *STANDARDISED)),
    "own": ("relay-signal", (*SMALL, *STANDARDISED, "mamba.model.shared=false")),
    "mabl": ("mabl-relay", (*SMALL_MABL, *(each.replace("mamba", "mabl") for each in STANDARDISED))),
    "mazero": ("mazero-relay", (*SMALL_MAZERO, "mazero.model.observations=standardised", "mazero.target_every=2")),
}


def observations(*, rows: int = 4000) -> Tensor:
    """[rows, 3], each number about 2 with a deviation of 1."""
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(0)) + 2


def test_numbers_are_read_the_same_whatever_their_unit() -> None:
    said = []
    for unit in (torch.ones(3), UNITS):
        scale, seen = ObservationScale(3), observations() * unit
        scale.see(seen, torch.ones(len(seen), dtype=torch.bool))
        said.append(scale.to_scale(seen))
        torch.testing.assert_close(scale.from_scale(said[-1][:9]), seen[:9], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(said[1], said[0], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(said[0].std(0), torch.ones(3), rtol=2e-2, atol=0)


def test_nothing_is_seen_of_those_that_are_not_there() -> None:
    scale, seen = ObservationScale(3), observations()
    present = torch.arange(len(seen)) % 2 == 0
    seen[~present] = 1e6
    scale.see(seen, present)
    scale.see(seen, torch.zeros_like(present))
    assert float(scale.to_scale(seen[present]).mean().abs()) < 0.1


def test_a_number_that_hardly_ever_differs_is_cut_off_and_none_before_anything_is_seen() -> None:
    scale, seen = ObservationScale(2), torch.zeros(100, 2)
    assert scale.to_scale(torch.tensor([[7.0, -7.0]])).tolist() == [[5.0, -5.0]]
    scale.see(seen, torch.ones(100, dtype=torch.bool))
    assert scale.to_scale(torch.tensor([[1.0, 0.0]])).tolist() == [[5.0, 0.0]]


def test_a_team_level_without_a_state_reads_on_the_scale_too() -> None:
    sizes = {"hidden": 16, "recurrent": 16, "categoricals": 4, "classes": 8, "posterior_scale": 20.0}
    settings = BilevelSettings.model_validate(sizes | {"observations": "standardised"})
    torch.manual_seed(0)
    model = BilevelModel(
        settings, agents=2, observation_size=3, state_size=0, actions=Categorical(4), action_masks=False
    )
    said = []
    for unit in (1.0, 1024.0):
        scale = model.observation_scale
        assert scale is not None
        for moment in (scale.mean, scale.square, scale.weight):
            moment.zero_()
        shape = (5, 40, 2)
        window = Window(
            observation=observations(rows=400).unflatten(0, shape) * unit,
            action_mask=torch.ones(*shape, 4, dtype=torch.bool),
            hears=None,
            present=torch.ones(shape, dtype=torch.bool),
            first=torch.zeros(shape[:2], dtype=torch.bool),
            action=torch.zeros(shape, dtype=torch.int64),
            reward=torch.zeros(shape),
            terminated=torch.zeros(shape, dtype=torch.bool),
        )
        scale.see(window.observation, window.present)
        said.append(model.observe(window, GreedyDraws().latent).probabilities.detach())
    torch.testing.assert_close(said[1], said[0])


def test_standardised_numbers_are_no_zeros_and_ones() -> None:
    with pytest.raises(SettingsError, match="bernoulli is for zeros and ones"):
        small_settings("relay-signal", small=(*SMALL, STANDARDISED[0]))


def run(path: Path, way: str, *, stop_after: int) -> Training:
    preset, small = WAYS[way]
    training = start(path, small_settings(preset, env_steps=10_000, small=small), stop_after=stop_after)
    training.run()
    training.close()
    return training


@pytest.mark.parametrize("way", ["mamba", "mabl"])
def test_the_loss_of_reconstructions_knows_no_units_and_no_size(tmp_path: Path, way: str) -> None:
    training = run(tmp_path / "run", way, stop_after=4)
    algorithm = training.algorithm
    assert isinstance(algorithm, Mamba | Mabl)
    scale = algorithm.model.observation_scale
    assert scale is not None
    name = "model/reconstruction"
    history = [record[name] for record in training.folder.history() if name in record]
    assert 0 < history[0] < 2, "about 1 at first, the mean square of numbers in units of their deviation"
    window = training.replay.sample(np.random.default_rng(0)).window
    torch.manual_seed(0)
    before = algorithm.observe_and_lose(window).terms["reconstruction"].detach()
    with torch.no_grad():  # the same world in other units
        window.observation.mul_(100)
        scale.mean.mul_(100)
        scale.square.mul_(100**2)
    torch.manual_seed(0)
    after = algorithm.observe_and_lose(window).terms["reconstruction"].detach()
    assert float(after) == pytest.approx(float(before), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("way", a_few(WAYS, "mamba", "mazero"))
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path, way: str) -> None:
    run(tmp_path / "whole", way, stop_after=4)
    run(tmp_path / "parts", way, stop_after=3)
    again = resume(tmp_path / "parts", stop_after=4)
    again.run()
    again.close()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("way", a_few(WAYS, "mabl", "own"))
def test_bundles_read_on_the_scale_that_was_learned(tmp_path: Path, way: str) -> None:
    preset, small = WAYS[way]
    start(tmp_path / "run", small_settings(preset, env_steps=36, small=small)).run()
    plan = make_plan(load_team(tmp_path / "run" / "bundles"), permission=EVERYTHING, greedy=True, run_seed=3)
    recorded = record(plan, scripts=12, others=1, steps=4)
    alone = OneProcess(plan, recorded.spec)
    played = [(script, alone.replay(script, episode=number)) for number, script in enumerate(recorded.scripts)]
    check = check_networks(tmp_path / "run" / "bundles", plan, played, EVERYTHING)
    assert check.verdict == HOLDS, check.said


def test_mazero_learns_the_scale_of_what_was_seen_in_episodes(tmp_path: Path) -> None:
    training = run(tmp_path / "run", "mazero", stop_after=4)
    team = training.algorithm
    assert isinstance(team, Mazero)
    scale, delayed = team.model.scale, team.delayed.scale
    assert scale is not None
    assert delayed is not None
    assert delayed.weight > 0, "what searches anew reads on a scale, too"
    batch = team.sample(training.replay, np.random.default_rng(0))
    window, rows = batch.window, []
    for number in range(window.first.shape[1]):
        for row in range(len(window.first)):
            if not batch.inside[row, number]:
                break
            rows += list(window.observation[row, number][window.present[row, number]])
            if window.terminated[row, number].all():
                break
    for moment in (scale.mean, scale.square, scale.weight):
        moment.zero_()
    team.learn(batch, training.replay)
    torch.testing.assert_close(scale.mean / scale.weight, torch.stack(rows).mean(0))
    seen = window.observation[0]
    hidden = team.model.represent(seen)
    with torch.no_grad():  # the same world in other units
        scale.mean.mul_(100)
        scale.square.mul_(100**2)
    torch.testing.assert_close(team.model.represent(100 * seen), hidden, rtol=1e-3, atol=1e-3)
