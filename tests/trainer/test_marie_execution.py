"""A team of MARIE's and its exported agents: equal decisions, what they carry, and what is refused.

Axis legend: E copies, N agents, H stacked reconstructions, D observation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from heliograph.bundle import Bundle
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import EnvironmentSpec, VectorEnvironment
from heliograph.errors import SettingsError
from heliograph.graph import check_graph
from heliograph.noise import uniform
from trainer.algorithms.marie.execution import Team, TeamDecision, TeamState, agent_step
from trainer.algorithms.marie.policy_reads import PolicyReads
from trainer.algorithms.marie.tokenizer import make_tokenizer
from trainer.algorithms.marie.tokenizer_learning import TokenizerLearner
from trainer.algorithms.marie.tokenizer_settings import TokenizerSettings
from trainer.export.bundles import export_bundle
from trainer.nets.agentwise import per_agent
from trainer.nets.perceptron import perceptron
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import GreedyDraws, NoiseDraws

torch.set_num_threads(1)
onnxruntime.disable_telemetry_events()

COPIES = 30
SMALL: dict[str, Any] = {"tokens": 3, "hidden": 16, "codebook": {"size": 32, "width": 4}, "levels": (5, 4)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A world, and the settings of those who act in it."""

    world: str
    parameters: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    stack: int = 1
    agent: bool = False
    last_action: bool = False
    observations: bool = False
    shared: bool = True
    temperature: float = 1.0

    def make(self) -> tuple[Team, VectorEnvironment]:
        """A team whose tokenizer has learned a little of the world, and whose policy is far from uniform."""
        world = registry.make(self.world, count=COPIES, parameters=self.parameters, permission=EVERYTHING)
        torch.manual_seed(0)
        settings = TokenizerSettings.model_validate(SMALL | self.tokenizer)
        tokenizer, actions = make_tokenizer(settings, world.spec), action_distribution(world.spec)
        reads = PolicyReads(
            stack=self.stack,
            observation_size=world.spec.observation_size,
            agents=world.spec.agents,
            actions=actions,
            agent=self.agent,
            last_action=self.last_action,
            observations=self.observations,
        )

        def actor() -> nn.Module:
            network = perceptron([reads.size, 16, actions.outputs], nn.ReLU)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.mul_(3)
            return network

        team = Team(
            tokenizer=tokenizer,
            actor=per_agent(actor, agents=world.spec.agents, shared=self.shared),
            reads=reads,
            temperature=self.temperature,
        )
        learner = TokenizerLearner(tokenizer)
        agent_inputs = world.reset(np.arange(COPIES))
        for _ in range(20):
            learner.update(torch.from_numpy(agent_inputs.observation))
        return team, world


CASES = {
    "codebook, history": Case(
        world="relay", parameters={"agents": 2}, stack=3, temperature=2.0, tokenizer={"clamp": "everywhere"}
    ),
    "scalar levels, own actors that read all there is": Case(
        world="factored_team:make",
        tokenizer={"discretisation": "fsq"},
        stack=2,
        agent=True,
        last_action=True,
        shared=False,
    ),
    "bins, nothing carried": Case(
        world="relay", parameters={"agents": 2}, tokenizer={"discretisation": "bins", "bins": {"count": 8}}, agent=True
    ),
    "continuous actions of unequal sizes": Case(world="steering_team:make", stack=2, last_action=True),
    "images": Case(world="camera_team:make", stack=2),
    "observations as they are, on their scale": Case(
        world="relay", parameters={"agents": 2}, stack=2, tokenizer={"observations": "standardised"}, observations=True
    ),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A step of all copies, as the team decides it."""

    observation: np.ndarray
    action_mask: np.ndarray
    first: bool
    noise: np.ndarray
    before: TeamState
    decision: TeamDecision


def moments(team: Team, world: VectorEnvironment, *, greedy: bool, steps: int = 5) -> list[Moment]:
    state, agent_inputs, told = team.initial_state(COPIES), world.reset(np.arange(COPIES)), []
    for step in range(min(steps, world.spec.episode_limit)):
        noise = np.array(
            [
                [
                    uniform(run_seed=1, slot=slot, episode=copy, step=step, size=team.noise_size)
                    for slot in range(world.spec.agents)
                ]
                for copy in range(COPIES)
            ]
        )
        observation, mask = agent_inputs.observation.copy(), agent_inputs.action_mask.copy()
        decision = team.decide(
            state,
            observation=torch.from_numpy(observation),
            action_mask=torch.from_numpy(mask),
            first=torch.full((COPIES,), step == 0),
            draws=GreedyDraws() if greedy else NoiseDraws(torch.from_numpy(noise)),
        )
        told.append(
            Moment(
                observation=observation,
                action_mask=mask,
                first=step == 0,
                noise=noise,
                before=state,
                decision=decision,
            )
        )
        state = decision.state
        agent_inputs = world.step(decision.action.numpy()).agent_inputs
    return told


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bundles_decide_what_the_team_decides_and_carry_it_on(case: Case) -> None:
    team, world = case.make()
    spec = world.spec
    bundles = [exported(team, spec, slot) for slot in range(spec.agents)]
    for bundle in bundles:
        check_graph(bundle.graph)
        assert bundle.manifest.message is None
        assert bundle.manifest.noise_size == team.reads.actions.noise
        assert [state.name for state in bundle.manifest.state] == [
            *(["history"] if case.stack > 1 else []),
            *(["done"] if case.last_action else []),
        ]
    sessions = [session_of(bundle) for bundle in bundles]
    actions = []
    for greedy in (True, False):
        # What a node holds before a first step does not matter.
        carried = {
            (copy, slot): {f"state.{each.name}": np.full(each.shape, 3.0, np.float32) for each in bundle.manifest.state}
            for copy in range(COPIES)
            for slot, bundle in enumerate(bundles)
        }
        for moment in moments(team, world, greedy=greedy):
            for (copy, slot), state in carried.items():
                names = [output.name for output in sessions[slot].get_outputs()]
                feeds = {
                    "observation": moment.observation[copy, slot],
                    "action_mask": moment.action_mask[copy, slot],
                    "first": np.array(moment.first),
                    "greedy": np.array(greedy),
                    "noise": moment.noise[copy, slot],
                }
                answer = dict(zip(names, sessions[slot].run(names, feeds | state), strict=True))
                actions.append(answer["action"])
                assert np.array_equal(answer["action"], moment.decision.action[copy, slot].numpy())
                np.testing.assert_allclose(answer["logits"], moment.decision.logits[copy, slot], rtol=0, atol=1e-4)
                carried[copy, slot] = {name: answer[f"{name}.next"] for name in state}
    assert len(np.unique(actions)) > 2, "a team that always does the same would prove little"


def exported(team: Team, spec: EnvironmentSpec, slot: int) -> Bundle:
    return export_bundle(
        agent_step(team, spec, slot=slot), spec=spec, slot=slot, algorithm="marie", run_id="exported", training_step=0
    )


def session_of(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])


def test_a_policy_reads_the_newest_reconstructions_and_zeros_before_the_first() -> None:
    team, world = Case(world="relay", parameters={"agents": 2}, stack=3, agent=True, last_action=True).make()
    told, size = moments(team, world, greedy=True), world.spec.observation_size

    def reconstruction(moment: Moment) -> Tensor:
        return team.tokenizer.decode(team.tokenizer.encode(torch.from_numpy(moment.observation)))

    nothing = torch.zeros(COPIES, 2, size)
    assert (team.tokenizer.decode(team.tokenizer.encode(nothing)) != 0).any()
    padded = [nothing, nothing, *map(reconstruction, told)]
    for step, moment in enumerate(told):
        features = moment.decision.features
        assert torch.equal(features[..., : 3 * size], torch.cat(padded[step : step + 3], dim=-1))
        identity, action = features[..., 3 * size : 3 * size + 2], features[..., 3 * size + 2 :]
        assert torch.equal(identity, torch.eye(2).expand(COPIES, 2, 2))
        done = team.reads.actions.read(told[step - 1].decision.action).float()
        assert torch.equal(action, done if step else torch.zeros_like(done))


def test_a_policy_reads_observations_themselves_where_it_is_told_to() -> None:
    team, world = CASES["observations as they are, on their scale"].make()
    seen = moments(team, world, greedy=True)[:2]
    newest = [torch.from_numpy(moment.observation) for moment in seen]
    both = torch.stack([team.tokenizer.on_scale(observation) for observation in newest], dim=-2)
    torch.testing.assert_close(seen[1].decision.features, both.flatten(-2))
    assert not torch.allclose(both[..., 1, :], team.tokenizer.decode(team.tokenizer.encode(newest[1])), atol=0.1)


def test_a_higher_temperature_is_less_certain_and_forbids_no_less() -> None:
    team, world = Case(world="factored_team:make").make()
    hot = replace(team, temperature=4.0)
    for one, other in zip(*(moments(each, world, greedy=True, steps=2) for each in (team, hot)), strict=True):
        certain, less = (torch.softmax(moment.decision.logits, dim=-1) for moment in (one, other))
        assert (less.max(-1).values < certain.max(-1).values).all()
        assert (less[~torch.from_numpy(other.action_mask)] == 0).all()
        assert torch.equal(one.decision.action, other.decision.action)


def test_a_temperature_of_continuous_actions_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"policy\.temperature = 2 is of discrete actions"):
        Case(world="steering_team:make", temperature=2.0).make()


def test_an_exported_agent_stays_as_it_was_when_training_goes_on() -> None:
    team, world = Case(world="relay", parameters={"agents": 2}).make()
    step = agent_step(team, world.spec, slot=0)
    feeds = list(step.inputs.values())
    with torch.no_grad():
        before = step.module(*feeds)[1].clone()
        for parameter in [*team.tokenizer.parameters(), *team.actor.parameters(), team.tokenizer.discretiser.codes]:
            parameter.add_(1.0)
        assert torch.equal(step.module(*feeds)[1], before)
