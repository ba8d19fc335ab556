"""The agent as a library, against the scripted oracle: state, first steps, gaps, sampling and bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted_bundle import predict, scripted_bundle, scripted_team

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.message import Message
from heliograph import bundle as bundles
from heliograph import noise
from heliograph.bundle import Bundle
from heliograph.errors import BundleCorrupt, BundleMismatch, MessageError, WorldError
from heliograph.manifest import sha256


def agent_input(step: int, *, episode: int = 0, first: bool = False, value: float = 0.5, size: int = 6) -> AgentInput:
    return AgentInput(
        episode=episode,
        step=step,
        observation=np.full(size, value, dtype=np.float32),
        action_mask=np.ones(5, dtype=bool),
        first=first,
    )


def message(step: int, *, episode: int = 0, latent: tuple[int, ...] = (1, 2, 3, 4), action: int = 2) -> Message:
    return Message(episode=episode, step=step, latent=np.array(latent, dtype=np.int32), action=action)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("messages", [True, False])
def test_a_team_of_agents_follows_the_oracle_exactly(greedy: bool, messages: bool) -> None:
    team = scripted_team(team_size=3, messages=messages)
    agents = [Agent(bundle, run_seed=5, greedy=greedy) for bundle in team]
    random = np.random.default_rng(1)
    counters = [0, 0, 0]
    sent: dict[int, Message] = {}
    for step in range(40):
        said: dict[int, Message] = {}
        for slot, agent in enumerate(agents):
            mask = random.random(5) < 0.5
            mask[random.integers(5)] = True
            now = AgentInput(
                episode=3,
                step=step,
                observation=random.standard_normal(6).astype(np.float32),
                action_mask=mask,
            )
            heard = {peer: text for peer, text in sent.items() if peer != slot and random.random() < 0.6}
            decision = agent.step(now, heard)
            present = heard | ({slot: sent[slot]} if slot in sent else {})
            expected = predict(
                agent.manifest,
                observation=now.observation,
                action_mask=mask,
                inbox={peer: (tuple(text.latent.tolist()), text.action) for peer, text in present.items()},
                counter=counters[slot],
                first=step == 0,
                greedy=greedy,
                noise=noise.uniform(run_seed=5, slot=slot, episode=3, step=step, size=agent.manifest.noise_size),
            )
            counters[slot] = expected.counter
            assert decision.action == expected.action
            np.testing.assert_array_equal(decision.logits, expected.logits)
            if messages:
                assert decision.message is not None
                assert tuple(decision.message.latent.tolist()) == expected.latent
                assert decision.message.label == (3, step)
                said[slot] = decision.message
            else:
                assert decision.message is None
        sent = said


@pytest.mark.parametrize(
    ("then", "starts_over"),
    [
        (agent_input(3), False),
        (agent_input(3, first=True), True),
        (agent_input(4), True),
        (agent_input(2), True),
        (agent_input(3, episode=1), True),
    ],
    ids=["next step", "told to", "gap", "repeated step", "new episode"],
)
def test_first_steps_forget_state_and_ignore_the_inbox(then: AgentInput, starts_over: bool) -> None:
    bundle = scripted_bundle(slot=0, team_size=2)
    agent = Agent(bundle, run_seed=0, greedy=True)
    for step in range(3):
        agent.step(agent_input(step), {})
    assert agent.starts_over(then) is starts_over
    inbox = {1: message(then.step - 1, episode=then.episode)}
    fresh = Agent(bundle, run_seed=0, greedy=True).step(then, {})
    decision = agent.step(then, inbox)
    assert (decision.logits.tolist() == fresh.logits.tolist()) is starts_over


def test_sampling_depends_on_the_run_seed_alone_and_greedy_does_not() -> None:
    bundle = scripted_bundle(slot=0, team_size=2)

    def actions(run_seed: int, greedy: bool) -> list[int]:
        agent = Agent(bundle, run_seed=run_seed, greedy=greedy)
        return [agent.step(agent_input(step), {}).action for step in range(30)]

    assert actions(1, False) == actions(1, False)
    assert actions(1, False) != actions(2, False)
    assert actions(1, True) == actions(2, True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_observation_that_is_not_finite_is_refused_and_changes_nothing(value: float) -> None:
    bundle = scripted_bundle(slot=0, team_size=2)
    agent, untouched = (Agent(bundle, run_seed=0, greedy=True) for _ in range(2))
    bad = agent_input(0)
    bad.observation[4] = value
    with pytest.raises(WorldError, match=r"slot 0 at episode 0 step 0 holds .* at index 4"):
        agent.step(bad, {})
    assert agent.step(agent_input(0), {}).logits.tolist() == untouched.step(agent_input(0), {}).logits.tolist()


def test_percepts_of_another_shape_are_refused() -> None:
    agent = Agent(scripted_bundle(slot=0, team_size=2), run_seed=0, greedy=True)
    with pytest.raises(WorldError, match=r"shape \(7,\), its bundle expects \(6,\)"):
        agent.step(agent_input(0, size=7), {})
    with pytest.raises(WorldError, match="no legal action"):
        agent.step(
            AgentInput(episode=0, step=0, observation=np.zeros(6, np.float32), action_mask=np.zeros(5, bool)), {}
        )


@pytest.mark.parametrize(
    ("sender", "text", "complaint"),
    [
        (1, message(1), "of episode 0 step 1, read at episode 0 step 1"),
        (1, message(0, episode=1), "of episode 1 step 0"),
        (0, message(0), "cannot get a message of slot 0"),
        (2, message(0), "cannot get a message of slot 2"),
        (1, message(0, latent=(1, 2, 3)), "shape"),
        (1, message(0, latent=(1, 2, 3, 8)), "outside 0..7"),
        (1, message(0, action=5), "has action 5"),
    ],
)
def test_messages_that_do_not_fit_are_refused(sender: int, text: Message, complaint: str) -> None:
    agent = Agent(scripted_bundle(slot=0, team_size=2), run_seed=0, greedy=True)
    agent.step(agent_input(0), {})
    with pytest.raises(MessageError, match=complaint):
        agent.step(agent_input(1), {sender: text})


def test_a_graph_that_is_not_the_manifests_is_refused() -> None:
    whole = scripted_bundle(slot=0, team_size=2)

    def with_graph(graph: bytes) -> Bundle:
        return bundles.make(replace(whole.manifest, graph_sha256=sha256(graph)), graph)

    with pytest.raises(BundleCorrupt, match=r"step\.onnx is refused: it is no ONNX file"):
        Agent(with_graph(whole.graph[: len(whole.graph) // 2]), run_seed=0, greedy=True)
    larger = scripted_bundle(slot=0, team_size=3).graph
    with pytest.raises(BundleMismatch, match="inbox_latent"):
        Agent(with_graph(larger), run_seed=0, greedy=True)
    silent = scripted_bundle(slot=0, team_size=2, messages=False).graph
    with pytest.raises(BundleMismatch, match="inbox_action"):
        Agent(with_graph(silent), run_seed=0, greedy=True)


def test_an_agent_that_considers_stays_as_it_is() -> None:
    asked, silent = (Agent(scripted_bundle(slot=1, team_size=3), run_seed=5, greedy=False) for _ in range(2))
    for step in range(5):
        now, heard = agent_input(step, first=step == 0), {2: message(step - 1)} if step else {}
        other = {2: message(step - 1, latent=(7, 2, 3, 4))} if step else {}
        considered = asked.consider(now, other)
        expected = silent.step(now, heard)
        decision = asked.step(now, heard)
        assert decision.action == expected.action
        assert np.array_equal(decision.message.latent, expected.message.latent)
        assert np.array_equal(considered.message.latent, expected.message.latent) == (step == 0)
