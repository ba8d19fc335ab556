"""What a node serves as metrics: its steps, links, refusals and bundle."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from dataclasses import replace

import pytest

pytest.importorskip("prometheus_client")

from peer_stage import DEADLINE_S, HELLO, TEAM, admitted, exchange, node_of_slot_1

from agent_node.metrics import node_metrics


def scraped(address: str) -> list[str]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE_S) as answer:
        return answer.read().decode().splitlines()


def test_a_node_tells_of_its_steps_links_refusals_and_bundle(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="heliograph.metrics")

    async def script() -> list[str]:
        async with asyncio.timeout(3 * DEADLINE_S), node_of_slot_1() as (node, world, channel):
            with node_metrics(node, "127.0.0.1:0"):
                await admitted(channel)
                stranger = exchange(channel, replace(HELLO, run_id="another").serialise())
                await stranger.code()
                await world.step(1, receives_from=(0,), deadline_s=0.1)
                (said,) = (message for message in caplog.messages if message.startswith("metrics address="))
                return await asyncio.to_thread(scraped, said.removeprefix("metrics address="))

    lines = asyncio.run(script())
    assert 'heliograph_node_step_seconds_count{part="waited",slot="1"} 1.0' in lines
    assert 'heliograph_link_masked_total{peer="0",slot="1"} 1.0' in lines
    refusals = [line for line in lines if line.startswith("heliograph_node_refused_total")]
    assert len(refusals) == 1
    assert refusals[0].endswith(" 1.0")
    (bundle,) = (line for line in lines if line.startswith("heliograph_bundle_info"))
    assert TEAM[1].digest in bundle
