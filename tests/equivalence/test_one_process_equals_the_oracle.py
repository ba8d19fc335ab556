"""The team in one process against plain numpy: who hears what, when, and nothing else."""

import numpy as np
import pytest
from relay_team import relay_plan
from scripted_bundle import predict

from coordinator.running.in_process import LocalTeam
from heliograph import noise


@pytest.mark.parametrize(
    ("agents", "parameters"),
    [(2, {}), (3, {"hears": "ring"}), (4, {"hears": "range", "size": 4, "length": 8}), (5, {"size": 2})],
)
@pytest.mark.parametrize("links", ["open", "cut"])
def test_every_latent_and_action_is_the_predicted_one(agents, parameters, links):
    plan = relay_plan(agents, run_seed=3, conditions=(links,), **parameters)
    records = []
    played = LocalTeam(plan.bundles, run_seed=3, greedy=False).run_episode(
        plan.world(links), episode=2, observe=records.append, report_latents=True
    )
    said: dict[int, tuple[tuple[int, ...], int]] = {}
    counters = [0] * agents
    for record in records:
        assert record.hears.any() == (links == "open")
        predictions = [
            predict(
                plan.bundles[slot].manifest,
                observation=record.observation[slot],
                action_mask=record.action_mask[slot],
                inbox={peer: said[peer] for peer in (slot, *np.flatnonzero(record.hears[slot])) if peer in said},
                counter=counters[slot],
                first=record.step == 0,
                greedy=False,
                noise=noise.uniform(run_seed=3, slot=slot, episode=2, step=record.step, size=5),
            )
            for slot in range(agents)
        ]
        assert record.action.tolist() == [prediction.action for prediction in predictions]
        assert record.latent.tolist() == [list(prediction.latent) for prediction in predictions]
        counters = [prediction.counter for prediction in predictions]
        said = {slot: (prediction.latent, prediction.action) for slot, prediction in enumerate(predictions)}
    assert played.result.steps == len(records) == plan.parameters["length"]
    assert (sum(link.sent for link in played.links) == 0) == (links == "cut")


def test_a_complete_graph_sends_each_message_once_to_each_listener():
    plan = relay_plan(3)
    played = LocalTeam(plan.bundles, run_seed=0, greedy=True).run_episode(plan.world("open"), episode=0)
    assert [link.sent for link in played.links] == [played.result.steps] * 3 * 2
    assert [link.delivered for link in played.links] == [played.result.steps] * 3 * 2
    assert played.result.hearable == 3 * 2 * (played.result.steps - 1)


def test_episodes_do_not_depend_on_what_was_played_before():
    plan = relay_plan(3)
    team = LocalTeam(plan.bundles, run_seed=1, greedy=False)
    world = plan.world("open")
    runs = []
    for episodes in ((0, 1, 2), (2, 0, 1)):
        records = {episode: [] for episode in episodes}
        for episode in episodes:
            team.run_episode(world, episode=episode, observe=records[episode].append, report_latents=True)
        runs.append({episode: [record.action.tolist() for record in records[episode]] for episode in episodes})
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1], "episodes differ from one another"
