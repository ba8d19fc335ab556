"""Messages of another episode: what is heard was said by the same sender at the same step of the next one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team

from agent_node.agent import Agent
from agent_node.message import Message
from coordinator.channel import Channel
from coordinator.running.distributed import run
from coordinator.running.in_process import LocalTeam, SentMessages
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.world.world import World
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.errors import SettingsError

EPISODES, LAST = 3, 5


def message(step: int, latent: int) -> Message:
    return Message(episode=7, step=step, latent=np.array([latent], dtype=np.int32), action=latent)


def test_who_was_gone_by_then_is_heard_with_the_last_that_it_sent_and_who_withheld_is_not() -> None:
    said, sent = SentMessages(), {0: message(0, 1), 1: None, 2: message(2, 3), 3: None}
    assert [said.keep(1, (7, step), each) for step, each in sent.items()] == list(sent.values())

    def heard(slot: int, step: int) -> tuple[tuple[int, int], int] | None:
        found = said.in_place_of(slot, (4, step), None)
        return None if found is None else (found.label, int(found.latent[0]))

    assert [heard(1, step) for step in range(6)] == [((4, 0), 1), None, ((4, 2), 3), None, ((4, 4), 3), ((4, 5), 3)]
    assert heard(0, 2) is None, "nobody ever spoke"


def test_in_every_episode_the_messages_of_the_next_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = relay_plan(3, episodes=EPISODES, conditions=("permuted",), run_seed=4)
    bundles = plan.bundles
    stage = World(registry.make("relay", count=1, parameters=plan.parameters))
    spoken: list[SentMessages] = []
    for episode in range(EPISODES):
        spoken.append(SentMessages())
        team = LocalTeam(bundles, run_seed=4, greedy=False)
        team.run_episode(stage, episode=episode, exchange=spoken[-1].keep)
    heard: list[tuple[int, int, int, Mapping[int, Message]]] = []
    step_of = Agent.step

    def watched(agent: Agent, agent_input: Any, inbox: Mapping[int, Message]) -> Any:
        heard.append((agent_input.episode, agent_input.step, agent.slot, inbox))
        return step_of(agent, agent_input, inbox)

    monkeypatch.setattr(Agent, "step", watched)
    (summary,) = evaluate(plan).summaries
    assert summary.label == "messages of another episode"
    assert summary.messages == EPISODES * (LAST + 1) * 6
    assert summary.masked == 0
    plays = np.array_split(np.arange(len(heard)), 2 * EPISODES)  # that of the next episode, then the episode
    for number, play in enumerate(plays):
        rows = [heard[at] for at in play]
        episode, said = divmod(number, 2)
        actual = episode if said else (episode + 1) % EPISODES
        donor = (episode + 1) % EPISODES
        assert {row[0] for row in rows} == {actual}
        for _, step, _, inbox in rows:
            assert bool(inbox) == (step > 0)
            for sender, found in inbox.items():
                expected = spoken[donor].by_slot[sender][step - 1]
                assert expected is not None
                assert np.array_equal(found.latent, expected.latent)
                assert found.action == expected.action


def test_the_conditions_stand_beside_one_another_and_count_on(tmp_path: Path, capsys) -> None:
    save_team(relay_bundles(2), tmp_path / "team")
    assert main(["evaluate", str(tmp_path / "team"), "--links", "all", "--episodes", "4", "--seed", "5"]) == 0
    shown = capsys.readouterr().out
    assert all(label in shown for label in ("with messages", "every message masked", "messages of another"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"episodes": 1}, "need a second one"),
        ({"record": Path("steps.jsonl")}, "receive here is of another episode"),
        ({"channel": Channel.parse("rate-bits=3")}, "rate-bits goes by"),
    ],
)
def test_what_cannot_be_permuted_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        dataclasses.replace(relay_plan(2, conditions=("permuted",)), **changes)


def test_a_team_that_exchanges_nothing_is_refused() -> None:
    plan = relay_plan(2)
    silent = [
        dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, message=None))
        for bundle in plan.bundles
    ]
    for bundles in (silent, plan.bundles[:1]):
        with pytest.raises(SettingsError, match="this team exchanges no messages"):
            dataclasses.replace(plan, bundles=tuple(bundles), conditions=("open", "permuted"))


def test_processes_and_centralised_networks_refuse_it(tmp_path: Path, capsys) -> None:
    plan = relay_plan(2, conditions=("open", "permuted"))
    with pytest.raises(SettingsError, match="processes receive the messages of their own episode alone"):
        asyncio.run(run(plan, LaunchSettings(), stop=asyncio.Event()))
    save_team(relay_bundles(2), tmp_path / "team")
    assert main(["evaluate", str(tmp_path / "team"), "--links", "permuted", "--central"]) == 2
    assert "another episode's could stand in" in capsys.readouterr().err
