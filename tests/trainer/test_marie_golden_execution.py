"""Our team and our single agents act as MARIE's released controller does on recorded weights, steps and samples.

float64: 1e-9; float32: 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from golden_comparisons import counted
from mamba_reference import RecordedDraws
from marie_reference import Recorded, load_recorded
from torch import Tensor, nn

from trainer.algorithms.marie.execution import AgentStep, Team
from trainer.algorithms.marie.policy_reads import PolicyReads
from trainer.nets.perceptron import perceptron
from trainer.policy.distributions import Categorical

comparisons_are_counted = counted(
    {
        "test_a_team_equals_the_released_controller": 4,
        "test_agents_alone_equal_the_released_controller": 2,
    }
)


@dataclass(frozen=True, kw_only=True)
class Controller:
    """One of the two that were recorded."""

    name: str
    actor: str
    stacks: bool
    temperature: float


CONTROLLERS = [
    Controller(name="exec", actor="actor", stacks=True, temperature=1.0),
    Controller(name="exec_nostack", actor="actor_nostack", stacks=False, temperature=2.0),
]


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return load_recorded(request.param)


def team_of(recorded: Recorded, controller: Controller) -> Team:
    dims = recorded.dims
    reads = PolicyReads(
        stack=dims["stack"] if controller.stacks else 1,
        observation_size=dims["obs"],
        agents=dims["agents"],
        actions=Categorical(dims["actions"]),
        agent=False,
        last_action=False,
    )
    actor = perceptron([reads.size, dims["hidden"], dims["hidden"], dims["actions"]], nn.ReLU).to(recorded.dtype)
    recorded.perceptron(controller.actor, actor)
    return Team(tokenizer=recorded.tokenizer(), actor=actor, reads=reads, temperature=controller.temperature)


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda each: each.name)
@torch.no_grad()
def test_a_team_equals_the_released_controller(recorded: Recorded, controller: Controller) -> None:
    team, name = team_of(recorded, controller), controller.name
    observation, mask = recorded.tensor("exec_in.observation"), recorded.tensor("exec_in.avail") > 0
    actions = recorded.ids(f"{name}.action_ids")
    draws = RecordedDraws(latent=[], action=list(actions.unsqueeze(1)), available=[])
    state, decisions = team.initial_state(1), []
    for step in range(len(observation)):
        decision = team.decide(
            state,
            observation=observation[step : step + 1],
            action_mask=mask[step : step + 1],
            first=torch.tensor([step == 0]),
            draws=draws,
        )
        state = decision.state
        decisions.append(decision)
    features = torch.cat([decision.features for decision in decisions])
    logits = torch.cat([decision.logits for decision in decisions])
    recorded.close(features, f"{name}.actor_in")
    recorded.close(team.actor(features), f"{name}.actor_logits")
    recorded.close(logits * controller.temperature, f"{name}.actor_logits_masked")
    recorded.close(entropy(logits), f"{name}.entropy")
    assert torch.equal(torch.cat([decision.action for decision in decisions]), actions)


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda each: each.name)
@torch.no_grad()
def test_agents_alone_equal_the_released_controller(recorded: Recorded, controller: Controller) -> None:
    """What is exported, step by step, from a state full of what is not to be read at a first step."""
    team, name = team_of(recorded, controller), controller.name
    observation, mask = recorded.tensor("exec_in.observation"), recorded.tensor("exec_in.avail") > 0
    rows = []
    for slot in range(recorded.dims["agents"]):
        agent = AgentStep(team, slot=slot)
        carried = [torch.full(each.shape, 7.0, dtype=recorded.dtype) for each in agent.state]
        for step in range(len(observation)):
            action, logits, *carried = agent(
                observation[step, slot],
                mask[step, slot],
                torch.tensor(step == 0),
                torch.tensor(True),
                *carried,
                torch.zeros(1, dtype=recorded.dtype),
            )
            assert int(action) == int(logits.argmax())
            rows.append(logits)
    logits = torch.stack(rows).unflatten(0, (recorded.dims["agents"], -1)).transpose(0, 1)
    recorded.close(logits * controller.temperature, f"{name}.actor_logits_masked")
    recorded.close(entropy(logits), f"{name}.entropy")


def entropy(logits: Tensor) -> Tensor:
    """As the released code has it."""
    probabilities = torch.softmax(logits, dim=-1)
    return -(probabilities * torch.log(probabilities + 1e-6)).sum(-1)
