"""A team of processes whose links are counted plays as one whose links are not, and every count agrees."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest
from relay_team import relay_plan

from coordinator.links.accounting import Account
from coordinator.links.link_plan import LinkPlan
from coordinator.running import run as run_module
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from coordinator.serving.team import Team
from heliograph.errors import SettingsError
from heliograph.transports import DEFAULT_TRANSPORT

pytestmark = pytest.mark.usefixtures("warm_teams")

STEPS, EPISODES, AGENTS = 12, 2, 3
HANG_S = 60.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Reports and recordings of the same run, over plain links and over counted ones."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, links in (("plain", None), ("counted", LinkPlan()), ("lean", LinkPlan(transport="lean"))):
        record = folder / f"{name}.jsonl"
        plan = relay_plan(AGENTS, episodes=EPISODES, length=STEPS, run_seed=3, record=record)
        transport = DEFAULT_TRANSPORT if links is None else links.transport
        found[name] = run_processes(plan, LaunchSettings(links=links, transport=transport)), record.read_bytes()
    return found


def test_counting_changes_nothing_of_what_is_played(runs):
    assert runs["counted"][1] == runs["plain"][1]
    assert runs["plain"][0].wire is None
    assert runs["lean"][1] == runs["plain"][1], "nor does another transport"


@pytest.mark.parametrize("name", ["counted", "lean"])
def test_records_nodes_and_frames_agree_on_every_link(runs, name):
    wire = runs[name][0].wire
    assert len(wire.links) == AGENTS * (AGENTS - 1)
    assert wire.conservation[0].startswith("6 of 6 links")
    assert wire.conservation[1].startswith("6 of 6 links")
    assert len(wire.conservation) == 2
    for link in wire.links:
        assert link.messages == EPISODES * STEPS
        assert link.frames["DATA"].frames <= link.messages, "a message never takes two frames, two may share one"
        data = link.frames["DATA"]
        assert data.bytes - 9 * data.frames == link.protobuf_bytes + 5 * link.messages
        assert set(link.frames) <= {"DATA", "WINDOW_UPDATE", "PING"}
        assert name == "counted" or set(link.frames) <= {"DATA", "PING"}, "no window is half used"


def test_layers_hold_one_another_and_say_how_they_are_known(runs):
    wire = runs["counted"][0].wire
    sizes = [wire.bytes_per_message(layer) for layer in ("latent", "codec", "protobuf", "http2")]
    assert sizes == sorted(sizes)
    assert sizes[0] == 12 / 8, "4 categoricals of 8 classes"
    assert wire.layers["http2"].label == "measured"
    if sys.platform == "linux":
        assert wire.bytes_per_message("ip") > sizes[-1]
        assert (wire.layers["tcp"].label, wire.layers["ip"].label) == ("measured", "computed")
    assert wire.connecting_http2_bytes > 3 * 24, "three prefaces at least"
    document = runs["counted"][0].as_dict()["wire"]
    assert document["bytes_per_message"]["protobuf"] == sizes[2]
    assert document["links"][0]["frames"]["DATA"]["frames"] > 0


def test_steps_add_up_to_the_run(runs):
    wire = runs["counted"][0].wire
    assert [episode.episode for episode in wire.episodes] == list(range(EPISODES))
    for link in wire.links:
        at = link.sender, link.receiver
        assert sum(episode.sent[:, *at].sum() for episode in wire.episodes) == link.messages
        assert sum(episode.protobuf_bytes[:, *at].sum() for episode in wire.episodes) == link.protobuf_bytes
    travelled = sum(episode.http2_bytes.sum() for episode in wire.episodes)
    counted = sum(count.bytes for link in wire.links for count in link.frames.values())
    assert 0 <= counted - travelled < 200 * len(wire.links), "but for what the last step sent"
    assert not np.diagonal(wire.episodes[0].sent, axis1=1, axis2=2).any()


def test_links_of_nodes_started_elsewhere_cannot_be_counted():
    with pytest.raises(SettingsError, match="started here"):
        LaunchSettings(spawn=False, links=LinkPlan())


def test_bundles_without_messages_have_nothing_to_count():
    with pytest.raises(SettingsError, match="send no messages"):
        run_processes(relay_plan(2, messages=False), LaunchSettings(links=LinkPlan()))


def test_what_depends_on_the_message_before_is_sized_as_the_nodes_sent_it():
    plan = relay_plan(2, episodes=2, length=40, codec="repeats")
    wire = run_processes(plan, LaunchSettings(links=LinkPlan())).wire
    assert wire.conservation[0].startswith("2 of 2 links")
    sizes = {int(bits) for episode in wire.episodes for bits in episode.latent_bits[episode.sent]}
    assert min(sizes) < max(sizes) == 12, "some say what the last one said, the others fall back"
    assert wire.layers["latent"].label == "measured"


def test_a_node_that_dies_leaves_its_links_uncompared_and_its_successor_is_counted(monkeypatch):
    class Killing(Account):
        def step(self, pass_name, record):
            super().step(pass_name, record)
            if (record.episode, record.step) == (0, 5):
                for child in psutil.Process().children():
                    if "--slot 1 " in " ".join(child.cmdline()):
                        child.kill()

    reunite = Team.reunite

    async def with_the_successor(self):
        await reunite(self)
        if self.steps == 10:  # however slowly it starts
            is_back = await self.wait_until(
                lambda: self.live == (0, 1, 2) and not self.missing_links(), timeout_s=HANG_S
            )
            assert is_back

    monkeypatch.setattr(run_module, "Account", Killing)
    monkeypatch.setattr(Team, "reunite", with_the_successor)
    plan = relay_plan(AGENTS, length=STEPS)
    report = run_processes(plan, LaunchSettings(links=LinkPlan(), restarts=1))
    assert [ending.slot for ending in report.endings] == [1]
    agreed, framed, *unsure = report.wire.conservation
    assert agreed.startswith("2 of 6 links")
    assert framed.startswith("2 of 6 links")
    assert len(unsure) == 4
    assert all(
        "an earlier process of node 1 took its counts with it" in sentence and "1" in sentence[:4]
        for sentence in unsure
    )
    for link in report.wire.links:
        anew = 1 in (link.sender, link.receiver)
        if sys.platform == "linux":
            assert (link.tcp_segments is None) == anew, "the kernel's counts went with the connection"
        assert link.frames["DATA"].frames > 0
        assert ("HEADERS" in link.frames) == anew, "its successor was dialled through the same proxy"
