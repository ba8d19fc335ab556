"""Attention-PPO, CommNet, TarMAC: agents hear what they may, and learn to speak from what that makes others do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.commnet.commnet import CommNet
from trainer.algorithms.dreamer.execution import TeamState
from trainer.algorithms.model_free.attention_ppo import AttentionPpo
from trainer.algorithms.model_free.carried import packed
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import AttentionPpoSettings, MessagingSettings
from trainer.algorithms.tarmac.settings import TarMacSettings
from trainer.algorithms.tarmac.tarmac import TarMac
from trainer.policy.draws import GreedyDraws

ROWS, COUNT, AGENTS, K, CLASSES, G = 4, 2, 3, 4, 8, 12
SPEC = EnvironmentSpec(
    id="made-up", agents=AGENTS, observation_size=5, actions=4, episode_limit=9, complete_graph=False, outcome="won"
)
SENDER, RECEIVER = 0, 2


Talking = AttentionPpo | CommNet | TarMac


@pytest.fixture(params=["attention-ppo", "commnet", "tarmac"])
def algorithm(request: pytest.FixtureRequest) -> Talking:
    torch.manual_seed(0)
    cpu, sizes = torch.device("cpu"), {"hidden": 16, "recurrent": G, "categoricals": K, "classes": CLASSES}
    if request.param == "commnet":
        return CommNet(MessagingSettings.model_validate(sizes | {"message_scale": 5.0}), SPEC, device=cpu)
    if request.param == "tarmac":
        own = {"message_scale": 5.0, "signature": 1}
        return TarMac(TarMacSettings.model_validate(sizes | own), SPEC, device=cpu)
    talking = {"policy": sizes | {"heads": 2, "posterior_scale": 5.0}}
    return AttentionPpo(AttentionPpoSettings.model_validate(talking), SPEC, device=cpu)


def states(*leading: int, seed: int) -> TeamState:
    generator = torch.Generator().manual_seed(seed)
    return TeamState(
        ids=torch.randint(CLASSES, (*leading, AGENTS, K), generator=generator),
        action=torch.randint(4, (*leading, AGENTS), generator=generator),
        deter=torch.randn(*leading, AGENTS, G, generator=generator),
    )


def carried(*leading: int, seed: int) -> torch.Tensor:
    return packed(states(leading[0] * leading[1], seed=seed)).unflatten(0, leading)


def sequences(*, hears: bool) -> Sequences:
    """Made-up rows in which the receiver hears the sender, or nobody hears anybody."""
    generator = torch.Generator().manual_seed(3)
    shape = (ROWS, COUNT, AGENTS)
    graph = torch.zeros(*shape, AGENTS, dtype=torch.bool)
    graph[..., RECEIVER, SENDER] = hears
    begins = torch.zeros(ROWS, COUNT, dtype=torch.bool)
    begins[0] = True
    inputs, outputs = carried(ROWS, COUNT, seed=1), carried(ROWS, COUNT, seed=2)
    return Sequences(
        observation=torch.randn(*shape, 5, generator=generator),
        action_mask=torch.ones(*shape, 4, dtype=torch.bool),
        hears=graph,
        first=torch.zeros(ROWS, COUNT, dtype=torch.bool),
        state=None,
        carried_in=inputs,
        carried_out=outputs,
        begins=begins,
        action=torch.randint(4, shape, generator=generator),
        counts=torch.ones(shape, dtype=torch.bool),
        returns=torch.zeros(shape),
        advantage=torch.zeros(shape),
    )


def told(algorithm: Talking, data: Sequences, *, row: int) -> list[bool]:
    """Whether what the receiver does at `row` teaches the sender how to see each of the rows."""
    observation = data.observation.clone().requires_grad_()
    outputs = algorithm.network.outputs(replace(data, observation=observation))
    (gradient,) = torch.autograd.grad(outputs[row, :, RECEIVER].square().sum(), observation)
    return (gradient[:, :, SENDER] != 0).any(-1).any(-1).tolist()


def test_a_sender_learns_from_what_those_do_who_heard_it_and_from_nobody_else(algorithm: Talking) -> None:
    assert told(algorithm, sequences(hears=True), row=3) == [True, True, True, False]
    assert told(algorithm, sequences(hears=True), row=1) == [True, False, False, False]
    assert told(algorithm, sequences(hears=False), row=3) == [False] * ROWS


def test_no_gradient_crosses_the_beginning_of_an_episode_or_of_what_is_recorded(algorithm: Talking) -> None:
    data = sequences(hears=True)
    for name in ("first", "begins"):
        cut = getattr(data, name).clone()
        cut[2] = True
        assert told(algorithm, replace(data, **{name: cut}), row=3) == [False, False, True, False], name


def test_a_masked_message_changes_nothing_and_a_heard_one_does(algorithm: Talking) -> None:
    generator = torch.Generator().manual_seed(4)
    before = states(COUNT, seed=5)
    other = replace(before, ids=before.ids.clone(), action=before.action.clone())
    other.ids[:, SENDER] = (other.ids[:, SENDER] + 3) % CLASSES
    other.action[:, SENDER] = (other.action[:, SENDER] + 1) % 4
    agent_inputs = {
        "observation": torch.randn(COUNT, AGENTS, 5, generator=generator),
        "action_mask": torch.ones(COUNT, AGENTS, 4, dtype=torch.bool),
        "first": torch.zeros(COUNT, dtype=torch.bool),
        "draws": GreedyDraws(),
    }
    for heard in (True, False):
        graph = torch.zeros(COUNT, AGENTS, AGENTS, dtype=torch.bool)
        graph[:, RECEIVER, SENDER] = heard
        one, two = (algorithm.network.act(state, hears=graph, **agent_inputs)[1].deter for state in (before, other))
        changed = (one != two).any(-1).all(0).tolist()
        assert changed == [True, False, heard], "the sender knows what it said"


def test_the_latent_that_was_sent_is_not_drawn_again(algorithm: Talking) -> None:
    """Outputs follow from recorded latents: another latent of the sender is another input to the receiver."""
    data = sequences(hears=True)
    state = states(ROWS * COUNT, seed=1)
    ids = state.ids.unflatten(0, (ROWS, COUNT)).clone()
    ids[3, :, SENDER] = (ids[3, :, SENDER] + 1) % CLASSES
    other = replace(data, carried_in=packed(replace(state, ids=ids.flatten(0, 1))).unflatten(0, (ROWS, COUNT)))
    with torch.no_grad():
        again, same, changed = (algorithm.network.outputs(each) for each in (data, data, other))
    assert torch.equal(again, same)
    assert torch.equal(again[:3], changed[:3])
    reads_itself = not isinstance(algorithm, CommNet)
    assert (again[3] != changed[3]).any(-1).all(0).tolist() == [reads_itself, False, True]
