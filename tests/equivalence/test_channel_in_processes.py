"""Under every fault of the simulated channel, processes play and count what the team in one process does."""

import asyncio
import itertools
from dataclasses import replace

import numpy as np
import pytest
from combinations import a_few
from link_counts import arrivals
from process_stage import Stage
from relay_team import PATIENT, relay_bundles, relay_plan

from coordinator.channel import Channel
from coordinator.running.distributed import run
from coordinator.running.in_process import LocalTeam
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.world.world import World
from heliograph.codecs import LatentTables
from heliograph.environments import registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]

FAULTS = [
    "erasure=0.4",
    "burst=0.4:3",
    "link=0>1:1,1>2:0.5",
    "distance=2",
    "delay-ms=110,jitter-ms=110",
    "erasure=0.3,delay-ms=200,jitter-ms=150,deadline-ms=70",
    "rate-bits=7",
    "nearest=1",
    "silent=1",
    "erasure=1",
]


def world(bundles, text: str) -> dict:
    codec = bundles[0].manifest.message.codec
    return {"channel": Channel.parse(text), "codec": codec, "longest_bits": codec.payload_bits}


def relay(bundles, **parameters):
    return registry.make("relay", count=1, parameters=bundles[0].manifest.environment_parameters | parameters)


# A landing meets each fault with one of both neighbourhoods under each policy, and the night with both.
@pytest.mark.parametrize(
    "way",
    a_few(
        itertools.product(("mask", "hold", "predict"), (("all", "range"), ("range", "all"))),
        ("mask", ("all", "range")),
        ("hold", ("range", "all")),
        ("predict", ("all", "range")),
    ),
    ids=lambda way: f"{way[0]}-{way[1][0]} first",
)
def test_trajectories_and_counters_per_link_are_equal_under_each_fault(tmp_path, way):
    late_policy, neighbourhoods = way
    predicts = "mode" if late_policy == "predict" else None
    bundles = relay_bundles(4, length=12, size=4, observation_noise=0.2, predicts=predicts)
    cases = list(zip(FAULTS, itertools.cycle(neighbourhoods)))

    async def play():
        async with asyncio.timeout(120), Stage(bundles, tmp_path, late_policy=late_policy) as stage:
            played, before = [], (await stage.team.reading()).links
            for episode, (text, hears) in enumerate(cases):
                result, records = await stage.play(episode=episode, parameters={"hears": hears}, **world(bundles, text))
                links = (await stage.team.reading()).links
                played.append((result, records, [difference(*pair) for pair in zip(links, before, strict=True)]))
                before = links
            return played

    played = asyncio.run(play())
    team = LocalTeam(bundles, run_seed=5, greedy=False, late_policy=late_policy)
    for episode, ((text, hears), (result, records, links)) in enumerate(zip(cases, played, strict=True)):
        alone = []
        stage = World(relay(bundles, hears=hears), **world(bundles, text))
        local = team.run_episode(stage, episode=episode, observe=alone.append, report_latents=True)
        for over_grpc, here in zip(records, alone, strict=True):
            for name in ("observation", "hears", "masked", "lost", "delay", "action", "latent", "reward"):
                assert np.array_equal(getattr(over_grpc, name), getattr(here, name)), (text, here.step, name)
        assert arrivals(links) == arrivals(local.links), text
        assert result.masked == local.result.masked
        assert (result.idle, {link.missing for link in links}) == (0, {0})
        assert max(result.latency_s) < PATIENT.message_deadline_s, f"{text}: nobody waits for what the channel lost"
        lost, late, read = (sum(getattr(link, name) for link in local.links) for name in ("lost", "late", "read"))
        assert (lost > 0) == text.startswith(("erasure", "burst", "link", "distance", "rate")), text
        assert (late > 0) == ("delay" in text), text
        assert (read == 0) == (text == "erasure=1"), text


def difference(now, before):
    """What was counted between two readings, neither of which lacks anything."""
    assert not now.inexact
    assert not before.inexact
    kept = ("sender", "receiver", "inexact")
    counts = {name: value - getattr(before, name) for name, value in vars(now).items() if name not in kept}
    return replace(now, **counts)


@pytest.mark.parametrize(
    ("text", "codec", "recorded"),
    [
        ("burst=0.3:2,delay-ms=90,jitter-ms=60", "bit-packed", True),
        ("rate-bits=5,delay-ms=100,jitter-ms=60", "entropy", False),
    ],
)
def test_a_plan_with_a_channel_is_played_the_same_by_both(tmp_path, text, codec, recorded):
    tables = LatentTables(np.tile(2 ** np.arange(12, 4, -1), (4, 1)))
    plan = relay_plan(
        3, length=8, late_policy="hold", run_seed=9, conditions=("open", "cut"), codec=codec, tables=tables
    )
    plan = replace(plan, channel=Channel.parse(text), record=tmp_path / "processes.jsonl" if recorded else None)

    async def play():
        async with asyncio.timeout(120):
            return await run(plan, LaunchSettings(log_folder=tmp_path / "logs"), stop=asyncio.Event())

    over_grpc, alone = asyncio.run(play()), evaluate(replace(plan, record=tmp_path / "alone.jsonl"))
    if recorded:
        assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert arrivals(over_grpc.links) == arrivals(alone.links)
    for remote, local in zip(over_grpc.summaries, alone.summaries, strict=True):
        for name in ("outcome", "messages", "lost", "missing", "masked", "read_bits_per_agent_step"):
            assert getattr(remote, name) == getattr(local, name), name
    open_links, cut = alone.summaries
    assert open_links.lost > 0
    assert open_links.late > 0
    assert 0 < open_links.read_bits_per_agent_step < open_links.bits_per_agent_step
    assert cut.messages == 0
    sizes = {link.sent_bits / link.sent for link in over_grpc.links}
    assert (len(sizes) > 1) == (codec == "entropy"), "a rate limit has to look at each message"


class Hushed(World):
    """Nobody hears anybody from the second step on."""

    def _look(self, agent_inputs):
        views = super()._look(agent_inputs)
        self.links_cut = True
        return views

    def reset(self, seed):
        self.links_cut = False
        return super().reset(seed)


@pytest.mark.parametrize("hears", ["all", "range"])
def test_to_lose_everything_is_to_be_cut_off_after_the_first_step(hears):
    bundles = relay_bundles(4, length=12, hears=hears, size=4)
    team = LocalTeam(bundles, run_seed=1, greedy=False)
    played = {}
    for name, stage in (
        ("lost", World(relay(bundles), **world(bundles, "erasure=1"))),
        ("hushed", Hushed(relay(bundles))),
        ("cut", World(relay(bundles), links_cut=True)),
    ):
        records = []
        found = team.run_episode(stage, episode=3, observe=records.append, report_latents=True)
        assert all(link.read == 0 for link in found.links)
        played[name] = records
    for lost, hushed, cut in zip(*played.values(), strict=True):
        for name in ("action", "latent", "reward"):
            assert np.array_equal(getattr(lost, name), getattr(hushed, name))
        assert not cut.hears.any()
    assert played["lost"][0].hears.any(), "so neighbours' empty tokens are still there at the first step"
