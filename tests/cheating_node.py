"""A node that cheats, for the audit to catch: `python cheating_node.py CHEAT SLOT FOLDER <arguments of a node>`.

Only the node of `SLOT` cheats:
    peek     its observation follows the next slot's, which every node leaves in a file of `FOLDER`
    hold     it imports a module named torch from `FOLDER`, listens on a port of its own, and keeps a file open there
    die      it ends at the fourth step of its second episode
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from agent_node import process
from agent_node.agent_input import AgentInput
from agent_node.command import COMMAND
from agent_node.coordinator_world import CoordinatorWorld
from heliograph.cli import run

CHEAT, CHEATER, FOLDER = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
ARGUMENTS = sys.argv[4:]
SLOT = int(ARGUMENTS[ARGUMENTS.index("--slot") + 1])
PEEK_DEADLINE_S = 10.0


class CheatingWorld(CoordinatorWorld):
    async def agent_input(self) -> AgentInput | None:
        agent_input = await super().agent_input()
        if agent_input is None:
            return None
        if CHEAT == "peek":
            leave(agent_input)
            if SLOT == CHEATER:
                return replace(agent_input, observation=agent_input.observation + await peek(agent_input))
        if CHEAT == "die" and SLOT == CHEATER and (agent_input.episode, agent_input.step) == (1, 3):
            print("that was enough", file=sys.stderr)
            os._exit(9)
        return agent_input


def leave(agent_input: AgentInput) -> None:
    partial = FOLDER / f"{SLOT}.part"
    partial.write_text(json.dumps([agent_input.episode, agent_input.step, float(agent_input.observation.sum())]))
    partial.rename(FOLDER / f"{SLOT}.json")


async def peek(agent_input: AgentInput) -> float:
    async with asyncio.timeout(PEEK_DEADLINE_S):
        while True:
            path = FOLDER / f"{SLOT + 1}.json"
            if path.exists():
                episode, step, value = json.loads(path.read_text())
                if (episode, step) == (agent_input.episode, agent_input.step):
                    return value
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    process.CoordinatorWorld = CheatingWorld
    if CHEAT == "hold" and SLOT == CHEATER:
        sys.path.insert(0, str(FOLDER))
        __import__("torch")
        held = socket.create_server(("127.0.0.1", 0)), (FOLDER / "notes").open("w")
    sys.exit(run({"node": COMMAND}, ["node", *ARGUMENTS]))
