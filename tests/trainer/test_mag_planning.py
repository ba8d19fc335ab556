"""Planning: whose errors decide, and that a batch of candidates is nothing but a loop over them.

Axis legend: L candidates, M joint states, H planned transitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from mamba_reference import RecordedDraws
from tiny_team import small_team
from torch import Tensor

from heliograph.environments import registry
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mabl.settings import MablSettings
from trainer.algorithms.mag.mag import Mag
from trainer.algorithms.mag.settings import MagSettings
from trainer.nets.joint_rows import JointRows
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import RandomDraws
from trainer.world_model.imagination import Decision, Imagination, JointStates, roll_out
from trainer.world_model.planning import Planning
from trainer.world_model.settings import PlanningSettings


@dataclass(frozen=True, kw_only=True)
class Path(JointRows):
    """The states of a world that planning has never seen: which candidate of which row, and how far on."""

    candidate: Tensor
    row: Tensor
    step: Tensor


class Paths:
    """Gives every state that it is asked for the next candidate number, and counts steps; one action, "on"."""

    def decide(self, states: Path) -> Decision:
        return Decision(action=torch.ones_like(states.row), logits=torch.zeros(len(states.row), 1), available=None)

    def transition(self, states: Path, action: Tensor) -> Path:
        return Path(candidate=states.candidate, row=states.row, step=states.step + action)

    def predict(self, outlook: Path) -> Path:
        if outlook.step[0] > 0:
            return outlook
        rows = int(outlook.row.max()) + 1
        return Path(candidate=torch.arange(len(outlook.row)) // rows, row=outlook.row, step=outlook.step)


planted = numpy_strategies.arrays(
    np.float64,
    numpy_strategies.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
    elements=st.floats(-100, 100).map(lambda value: round(value, 3)),
)
"""Errors [H, L, M]."""


@given(errors=planted, select=st.sampled_from(["row", "batch"]))
def test_the_choice_is_the_least_accumulated_error(errors: np.ndarray, select: str) -> None:
    steps, candidates, rows = errors.shape

    def error(states: Path) -> Tensor:
        return torch.from_numpy(errors)[states.step, states.candidate, states.row]

    planning = Planning(
        world=Paths(),
        error=error,
        settings=PlanningSettings(candidates=candidates, horizon=steps, select=select),
    )
    nothing = torch.zeros(rows, dtype=torch.int64)
    chosen = planning(Path(candidate=nothing, row=torch.arange(rows), step=nothing))
    assert chosen.row.tolist() == list(range(rows))
    assert not chosen.step.any(), "the candidate itself is taken, not where it led"
    accumulated = errors.sum(0)  # [L, M]
    for row, candidate in enumerate(chosen.candidate.tolist()):
        column = accumulated[:, row] if select == "row" else accumulated.mean(1)
        assert column[candidate] == pytest.approx(column.min(), abs=1e-9)
    if select == "batch":
        assert len(set(chosen.candidate.tolist())) == 1


class Remembered(RandomDraws):
    """Keeps everything that it draws."""

    def __init__(self) -> None:
        super().__init__()
        self.latents: list[Tensor] = []
        self.actions: list[Tensor] = []
        self.masks: list[Tensor] = []

    def latent(self, probabilities: Tensor) -> Tensor:
        self.latents.append(super().latent(probabilities))
        return self.latents[-1]

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        self.actions.append(super().action(outputs, actions))
        return self.actions[-1]

    def available(self, probabilities: Tensor) -> Tensor:
        self.masks.append(super().available(probabilities))
        return self.masks[-1]

    def replay(self, row: int) -> RecordedDraws:
        """What was drawn for one row of the batch."""
        parts = ([each[row : row + 1] for each in drawn] for drawn in (self.latents, self.actions, self.masks))
        return RecordedDraws(**dict(zip(("latent", "action", "available"), parts, strict=True)))


def mag(**planning: object) -> Mag:
    team, world = small_team("relay", {"agents": 3, "hears": "range", "range": 0})
    torch.manual_seed(1)
    spec = world.spec
    return Mag(team.settings, MagSettings.model_validate(planning), spec, device=torch.device("cpu"))


def states(algorithm: Mag, rows: int) -> JointStates:
    sizes, agents = algorithm.settings.model, algorithm.spec.agents
    return JointStates(
        ids=torch.randint(sizes.classes, (rows, agents, sizes.categoricals)),
        deter=torch.randn(rows, agents, sizes.recurrent),
        hears=torch.rand(rows, agents, agents) < 0.5,
    )


def world_of(algorithm: Mag, draws: RandomDraws | RecordedDraws) -> Imagination:
    return Imagination(model=algorithm.model, actor=algorithm.actor, settings=algorithm.settings.policy, draws=draws)


@torch.no_grad()
def test_a_batch_of_candidates_equals_a_loop_over_them() -> None:
    candidates, horizon, rows = 3, 4, 5
    algorithm = mag(candidates=candidates, horizon=horizon)
    start, draws = states(algorithm, rows), Remembered()
    action = torch.randint(algorithm.spec.actions, (rows, 3))
    outlook = world_of(algorithm, RandomDraws()).transition(start, action)
    chosen = algorithm.predict_by(world_of(algorithm, draws))(outlook)
    picked = []
    for row in range(rows):
        firsts, totals = [], []
        for candidate in range(candidates):
            world = world_of(algorithm, draws.replay(candidate * rows + row))
            state = world.predict(world.transition(start.rows(torch.tensor([row])), action[row : row + 1]))
            firsts.append(state)
            total = float(algorithm.error_predictor(state.ids, state.deter).mean())
            for _step in range(horizon - 1):
                state = world.predict(world.transition(state, world.decide(state).action))
                total += float(algorithm.error_predictor(state.ids, state.deter).mean())
            totals.append(total)
        picked.append(int(np.argmin(totals)))
        assert torch.equal(chosen.ids[row], firsts[picked[-1]].ids[0])
        torch.testing.assert_close(chosen.deter[row], firsts[picked[-1]].deter[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(chosen.hears, start.hears)
    assert len(set(picked)) > 1, "the rows do not agree"


def test_with_one_candidate_a_planned_dream_is_an_ordinary_one() -> None:
    algorithm = mag(candidates=1, horizon=1)
    start, dreams = states(algorithm, 4), []
    for planned in (False, True):
        torch.manual_seed(2)
        world = world_of(algorithm, RandomDraws())
        dreams.append(roll_out(world, start, predict=algorithm.predict_by(world) if planned else world.predict))
    for one, other in zip(*(dream.features for dream in dreams), strict=True):
        assert torch.equal(one, other)
    for name in ("action", "logits", "reward", "continuation"):
        assert torch.equal(getattr(dreams[0], name), getattr(dreams[1], name)), name


@torch.no_grad()
def test_planned_dreams_have_less_of_the_predicted_error_and_no_graph() -> None:
    algorithm = mag(candidates=8, horizon=2)
    start, means = states(algorithm, 64), []
    for planned in (False, True):
        torch.manual_seed(3)
        world = world_of(algorithm, RandomDraws())
        with torch.enable_grad():
            dream = roll_out(world, start, predict=algorithm.predict_by(world) if planned else world.predict)
        assert not dream.features[1].requires_grad
        means.append(float(algorithm.error_predictor(dream.features[0][1:], dream.features[1][1:]).mean()))
    assert means[1] < means[0]


@torch.no_grad()
def test_planning_wraps_the_imagination_of_another_algorithm_just_so() -> None:
    environment = registry.make("relay", count=1, parameters={})
    sizes = {"hidden": 16, "recurrent": 12, "categoricals": 4, "classes": 8}
    settings = MablSettings.model_validate({"model": sizes, "policy": {"critic_heads": 2, "horizon": 4}})
    mabl = Mabl(settings, environment.spec, device=torch.device("cpu"))
    feature, agents = mabl.settings.model.feature, environment.spec.agents
    torch.manual_seed(0)
    start = JointStates(
        ids=torch.randint(feature.classes, (32, agents, feature.categoricals)),
        deter=torch.randn(32, agents, feature.recurrent),
        hears=None,
    )

    def error(states: JointStates) -> Tensor:
        return states.deter.mean((-1, -2))

    world, dreams = mabl.imagination(), []
    planning = Planning(world=world, error=error, settings=PlanningSettings(candidates=8, horizon=3))
    for predict in (world.predict, planning):
        torch.manual_seed(1)
        dreams.append(roll_out(world, start, predict=predict))
    plain, planned = (float(dream.features[1][1:].mean()) for dream in dreams)
    assert dreams[0].features[0].shape == dreams[1].features[0].shape
    assert planned < plain
