"""Exported step functions, run by onnxruntime, equal the torch step functions and the trainer's own team step.

Axis legend: E episodes, N agents, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_team import small_team

from heliograph.bundle import Bundle, load_team
from heliograph.environments.vector import VectorEnvironment
from heliograph.graph import check_graph
from heliograph.noise import uniform
from heliograph.seeds import episode_seed
from trainer.algorithms.dreamer.execution import initial_state, team_step
from trainer.algorithms.mamba.mamba import Mamba
from trainer.export.bundles import export_team
from trainer.policy.draws import GreedyDraws, NoiseDraws

pytestmark = pytest.mark.slow

EPISODES = 200
CLASSES = 8

onnxruntime.disable_telemetry_events()


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    algorithm: Mamba
    environment: VectorEnvironment
    bundles: list[Bundle]
    sessions: list[onnxruntime.InferenceSession]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One step of all episodes, as the trainer's team step decides it from what the agents had before."""

    inbox_latent: np.ndarray
    """int32 [E, N, K]; the latents of the step before, zeros at a first step."""
    inbox_action: np.ndarray
    """int32 [E, N]."""
    deter: np.ndarray
    """[E, N, G] before the step."""
    observation: np.ndarray
    action_mask: np.ndarray
    hears: np.ndarray
    first: bool
    noise: np.ndarray
    """[E, N, K + 1]."""
    latent: np.ndarray
    action: np.ndarray
    logits: np.ndarray
    next_deter: np.ndarray


TEAMS = {
    "two agents, complete graph": ("relay", {"agents": 2}),
    "two agents, vectors of unequal sizes": ("steering_team:make", {}),
    "three agents, changing graph": ("relay", {"agents": 3, "hears": "range", "range": 0, "observation_noise": 0.2}),
}


@pytest.fixture(scope="module", params=TEAMS.values(), ids=TEAMS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    name, parameters = request.param
    algorithm, environment = small_team(name, parameters, copies=EPISODES)
    folder = tmp_path_factory.mktemp("exported")
    export_team(algorithm, environment.spec, folder, run_id="exported", training_step=0)
    bundles = load_team(folder)
    return Exported(
        algorithm=algorithm,
        environment=environment,
        bundles=bundles,
        sessions=[session_of(bundle) for bundle in bundles],
    )


def session_of(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])


@cache
def moments(team: Exported, *, greedy: bool) -> list[Moment]:
    """Whole episodes of the trainer's team step."""
    found = []
    algorithm, environment = team.algorithm, team.environment
    spec, size = environment.spec, algorithm.policy().noise_size
    state = initial_state(algorithm.model, copies=EPISODES, agents=spec.agents)
    seeds = [episode_seed(run_seed=1, episode=episode) for episode in range(EPISODES)]
    agent_inputs = environment.reset(np.array(seeds))
    for step in range(spec.episode_limit):
        noise = np.array(
            [
                [uniform(run_seed=1, slot=slot, episode=episode, step=step, size=size) for slot in range(spec.agents)]
                for episode in range(EPISODES)
            ]
        )
        before = state
        decision = team_step(
            algorithm.model,
            algorithm.actor,
            state,
            observation=torch.from_numpy(agent_inputs.observation),
            action_mask=torch.from_numpy(agent_inputs.action_mask),
            hears=None if spec.complete_graph else torch.from_numpy(agent_inputs.hears),
            first=torch.full((EPISODES,), step == 0),
            draws=GreedyDraws() if greedy else NoiseDraws(torch.from_numpy(noise)),
        )
        state = decision.state
        found.append(
            Moment(
                inbox_latent=before.ids.int().numpy(),
                inbox_action=before.action.to(algorithm.actions.executed_dtype).numpy(),
                deter=before.deter.numpy(),
                observation=agent_inputs.observation.copy(),
                action_mask=agent_inputs.action_mask.copy(),
                hears=agent_inputs.hears.copy(),
                first=step == 0,
                noise=noise,
                latent=state.ids.numpy(),
                action=state.action.numpy(),
                logits=decision.logits.numpy(),
                next_deter=state.deter.numpy(),
            )
        )
        agent_inputs = environment.step(decision.action.numpy()).agent_inputs
    return found


def feeds_of(moment: Moment, episode: int, slot: int, *, greedy: bool) -> dict[str, np.ndarray]:
    """What a node of `slot` feeds its bundle: the messages that it heard, and nothing of the other slots."""
    present = moment.hears[episode, slot].copy()
    present[slot] = True
    return {
        "observation": moment.observation[episode, slot],
        "action_mask": moment.action_mask[episode, slot],
        "inbox_latent": np.where(present[:, None], moment.inbox_latent[episode], 0).astype(np.int32),
        "inbox_action": (moment.inbox_action[episode].T * present).T,
        "inbox_present": present,
        "first": np.array(moment.first),
        "greedy": np.array(greedy),
        "state.deter": moment.deter[episode, slot],
        "noise": moment.noise[episode, slot],
    }


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_bundles_decide_over_200_episodes_what_the_team_step_decides(exported: Exported, greedy: bool) -> None:
    agents = exported.environment.spec.agents
    latents, actions, graphs = [], [], []
    for moment in moments(exported, greedy=greedy):
        for slot, session in enumerate(exported.sessions):
            names = [output.name for output in session.get_outputs()]
            assert sorted(names) == ["action", "latent", "logits", "state.deter.next"]
            answers = [
                dict(zip(names, session.run(names, feeds_of(moment, episode, slot, greedy=greedy)), strict=True))
                for episode in range(EPISODES)
            ]
            assert np.array_equal([answer["latent"] for answer in answers], moment.latent[:, slot])
            assert np.array_equal([answer["action"] for answer in answers], moment.action[:, slot])
            for name, wanted in (("logits", moment.logits), ("state.deter.next", moment.next_deter)):
                np.testing.assert_allclose([answer[name] for answer in answers], wanted[:, slot], rtol=0, atol=1e-4)
        latents.append(moment.latent)
        actions.append(moment.action)
        graphs.append(moment.hears)
    # The test would prove little of a team that says one thing, does one thing or always hears the same.
    said = np.array(latents).reshape(-1, latents[0].shape[-1])
    assert len(np.unique(said, axis=0)) > 10
    assert len(np.unique(actions)) >= 4
    heard = np.array(graphs)  # [T, E, N, N]
    assert bool((heard[0] != heard[-1]).any()) == (agents == 3), "the graph changes"
    assert bool((heard != heard.swapaxes(-1, -2)).any()) == (agents == 3), "the graph is directed"


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_bundles_equal_the_module_that_they_were_traced_from(exported: Exported, greedy: bool) -> None:
    for slot, session in enumerate(exported.sessions):
        function = exported.algorithm.step_function(slot)
        names = list(function.inputs)
        for moment in moments(exported, greedy=greedy):
            for episode in range(0, EPISODES, 50):
                feeds = feeds_of(moment, episode, slot, greedy=greedy)
                with torch.no_grad():
                    ours = function.module(*(torch.from_numpy(np.asarray(feeds[name])) for name in names))
                theirs = session.run(list(function.outputs), feeds)
                for name, one, other in zip(function.outputs, ours, theirs, strict=True):
                    assert one.numpy().dtype == other.dtype, name
                    np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-4, err_msg=name)


def other_actions(actions: np.ndarray) -> np.ndarray:
    return (actions + 1) % 5 if actions.dtype == np.int32 else -actions


def test_at_a_first_step_state_and_messages_do_not_matter_and_later_they_do(exported: Exported) -> None:
    first, later, *_ = moments(exported, greedy=True)
    changed = np.zeros(2, dtype=bool)
    for index, moment in enumerate((first, later)):
        for episode in range(20):
            feeds = feeds_of(moment, episode, 0, greedy=True)
            other = feeds | {
                "inbox_latent": (feeds["inbox_latent"] + 3) % CLASSES,
                "inbox_action": other_actions(feeds["inbox_action"]),
                "state.deter": feeds["state.deter"] + 1,
            }
            answers = [exported.sessions[0].run(["logits", "state.deter.next"], each) for each in (feeds, other)]
            changed[index] |= not all(map(np.array_equal, *answers))
    assert changed.tolist() == [False, True]


def test_absent_slots_and_unused_noise_do_not_matter(exported: Exported) -> None:
    _, moment, *_ = moments(exported, greedy=True)
    feeds = feeds_of(moment, 3, 1, greedy=True)
    feeds["inbox_present"] = np.arange(len(feeds["inbox_present"])) == 1
    absent = ~feeds["inbox_present"]
    other = feeds | {"noise": 1 - feeds["noise"], "inbox_latent": feeds["inbox_latent"].copy()}
    other["inbox_latent"][absent] = CLASSES - 1
    outputs = ["latent", "action", "logits", "state.deter.next"]
    for one, two in zip(*(exported.sessions[1].run(outputs, each) for each in (feeds, other)), strict=True):
        assert np.array_equal(one, two)


def test_bundles_hold_what_the_manifest_says_and_nothing_of_training(exported: Exported) -> None:
    spec, model = exported.environment.spec, exported.algorithm.settings.model
    # A number for a choice, two for each dimension of a vector.
    action_noise = 2 * spec.actions if spec.continuous else 1
    for slot, bundle in enumerate(exported.bundles):
        manifest = bundle.manifest
        assert (manifest.slot, manifest.team_size) == (slot, spec.agents)
        assert (manifest.environment, manifest.environment_parameters) == (spec.id, spec.parameters)
        assert manifest.actions == spec.action_space(slot)
        assert manifest.noise_size == model.categoricals + action_noise
        assert [(state.name, state.shape) for state in manifest.state] == [("deter", (model.recurrent,))]
        graph = onnx.load_from_string(bundle.graph)
        onnx.checker.check_model(graph)
        assert b".py" not in bundle.graph  # neither paths nor lines of the code that it was traced from
        check_graph(bundle.graph)
        sizes: dict[str, Any] = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in graph.graph.input
        }
        assert sizes == {
            "observation": [spec.observation_size],
            "action_mask": [spec.actions],
            "inbox_latent": [spec.agents, model.categoricals],
            "inbox_action": [spec.agents, *spec.action_shape],
            "inbox_present": [spec.agents],
            "first": [],
            "greedy": [],
            "state.deter": [model.recurrent],
            "noise": [model.categoricals + action_noise],
        }
        # Critic, decoder and reward, continuation, action-mask and information heads stay at home.
        weights = sum(int(np.prod(each.dims)) for each in graph.graph.initializer)
        heads = exported.algorithm.model
        needed = [heads.encoder, heads.rssm, exported.algorithm.actor]
        kept = sum(parameter.numel() for module in needed for parameter in module.parameters())
        prior = sum(parameter.numel() for parameter in heads.rssm.prior_head.parameters())
        assert weights <= kept - prior + 500
