"""Agents with parameters of their own: the same arithmetic as shared ones, and bundles that differ.

Axis legend: E episodes, N agents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny_team import small_team

from heliograph.environments.vector import VectorEnvironment
from trainer.algorithms.dreamer.execution import initial_state, team_step
from trainer.algorithms.mamba.mamba import Mamba
from trainer.experience.window import Window
from trainer.export.bundles import export_bundle
from trainer.nets.agentwise import Agentwise, own
from trainer.policy.draws import GreedyDraws
from trainer.world_model.imagination import Imagination, JointStates, roll_out
from trainer.world_model.loss import world_model_loss

DEAF = {"agents": 3, "hears": "range", "range": 0}


def team(**model: Any) -> tuple[Mamba, VectorEnvironment]:
    return small_team("relay", DEAF, **model)


def same_parameters_for_everyone(**model: Any) -> tuple[Mamba, Mamba]:
    """A team that shares its parameters, and one whose agents each have a copy of them."""
    (shared, _), (separate, _) = team(**model), team(shared=False, **model)
    for name, network in separate.modules().items():
        weights = shared.modules()[name].state_dict()
        for part in [network, *network.modules()]:
            if isinstance(part, Agentwise):
                path = next(path for path, each in network.named_modules() if each is part)
                prefix = f"{path}." if path else ""
                own_weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
                for member in part.members:
                    member.load_state_dict(own_weights)
    separate.critic.load_state_dict(shared.critic.state_dict())
    return shared, separate


def window(spec_observation: int, actions: int, *, full: bool) -> Window:
    generator = torch.Generator().manual_seed(3)
    shape = (4, 5, 3)
    hears = torch.rand((4, 5, 3, 3), generator=generator) < 0.5
    return Window(
        observation=torch.rand((*shape, spec_observation), generator=generator),
        action_mask=torch.rand((*shape, actions), generator=generator) < 0.7,
        hears=None if full else hears,
        present=torch.ones(shape, dtype=torch.bool),
        first=torch.zeros(shape[:2], dtype=torch.bool),
        action=torch.randint(actions, shape, generator=generator),
        reward=torch.rand(shape, generator=generator),
        terminated=torch.zeros(shape, dtype=torch.bool),
    )


@pytest.mark.parametrize(("communication", "full"), [("ego", True), ("ego", False), ("central", False)])
def test_equal_parameters_of_ones_own_compute_what_shared_ones_do(communication: str, full: bool) -> None:
    shared, separate = same_parameters_for_everyone(communication=communication)
    rows = window(shared.spec.observation_size, shared.spec.actions, full=full)
    results = []
    for each in (shared, separate):
        posteriors = each.model.observe(rows, GreedyDraws().latent)
        loss = world_model_loss(each.model, rows, posteriors, each.settings.loss)
        loss.total.backward()
        start = JointStates(
            ids=posteriors.ids[-1],
            deter=posteriors.deter[-1].detach(),
            hears=None if full else rows.hears[-1],
        )
        world = Imagination(model=each.model, actor=each.actor, settings=each.settings.policy, draws=GreedyDraws())
        results.append((posteriors, loss, roll_out(world, start, predict=world.predict)))
    (posteriors, loss, dream), (other_posteriors, other_loss, other_dream) = results
    torch.testing.assert_close(posteriors.deter, other_posteriors.deter, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.total, other_loss.total, rtol=1e-5, atol=1e-5)
    assert torch.equal(dream.action, other_dream.action)
    torch.testing.assert_close(dream.logits, other_dream.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dream.reward, other_dream.reward, rtol=1e-5, atol=1e-5)
    # The gradients of the copies add up to that of the shared parameters.
    for name in ("encoder.0.weight", "rssm.token.table", "rssm.cell.weight_hh", "reward.rest.0.weight"):
        network, parameter = name.split(".", 1)
        copies = sum(member.get_parameter(parameter).grad for member in separate.model.get_submodule(network).members)
        torch.testing.assert_close(copies, shared.model.get_parameter(name).grad, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_every_slot_exports_its_own_parameters_and_acts_as_it_does_in_the_team() -> None:
    algorithm, environment = team(shared=False)
    spec = environment.spec
    agent_inputs = environment.reset(np.arange(4))
    state = initial_state(algorithm.model, copies=4, agents=3)
    for step in range(2):
        before = state
        decision = team_step(
            algorithm.model,
            algorithm.actor,
            state,
            observation=torch.from_numpy(agent_inputs.observation),
            action_mask=torch.from_numpy(agent_inputs.action_mask),
            hears=torch.from_numpy(agent_inputs.hears),
            first=torch.full((4,), step == 0),
            draws=GreedyDraws(),
        )
        state = decision.state
    for slot in range(3):
        function = algorithm.step_function(slot)
        for episode in range(4):
            present = torch.from_numpy(agent_inputs.hears[episode, slot].copy())
            present[slot] = True
            latent, action, logits, deter = function.module(
                torch.from_numpy(agent_inputs.observation[episode, slot]),
                torch.from_numpy(agent_inputs.action_mask[episode, slot]),
                before.ids[episode].int(),
                before.action[episode].int(),
                present,
                torch.tensor(False),
                torch.tensor(True),
                before.deter[episode, slot],
                torch.full((algorithm.policy().noise_size,), 0.5),
            )
            assert torch.equal(latent.long(), state.ids[episode, slot])
            assert int(action) == int(state.action[episode, slot])
            torch.testing.assert_close(logits, decision.logits[episode, slot], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(deter, state.deter[episode, slot], rtol=1e-5, atol=1e-5)
    for slot in (0, 2):
        bundle = export_bundle(
            algorithm.step_function(slot), spec=spec, slot=slot, algorithm="mamba", run_id="own", training_step=0
        )
        initializers = onnx.load_from_string(bundle.graph).graph.initializer
        weights = {each.name: onnx.numpy_helper.to_array(each) for each in initializers}
        kept = [own(network, slot) for network in (algorithm.model.encoder, algorithm.model.rssm, algorithm.actor)]
        assert sum(each.size for each in weights.values()) <= 500 + sum(
            parameter.numel() for network in kept for parameter in network.parameters()
        ), "nobody else's"
        for other in range(3):
            layer = own(algorithm.model.encoder, other)[0].weight.detach().numpy()
            held = any(np.array_equal(each, layer) or np.array_equal(each.T, layer) for each in weights.values())
            assert held == (other == slot)
