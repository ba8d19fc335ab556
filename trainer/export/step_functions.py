"""Step functions of agents that talk: names and shapes of what every one of them takes and gives (`docs/bundle.md`)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.dreamer.execution import AgentStep
from trainer.export.bundles import StepFunction
from trainer.world_model.posteriors import LatentModel


def talking_step(model: LatentModel, actor: nn.Module, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    sizes, actions = model.settings, model.actions
    noise_size = sizes.categoricals + actions.noise
    inputs = {
        "observation": torch.zeros(spec.observation_size),
        "action_mask": torch.ones(spec.actions, dtype=torch.bool),
        "inbox_latent": torch.zeros(spec.agents, sizes.categoricals, dtype=torch.int32),
        "inbox_action": torch.zeros(spec.agents, *actions.shape, dtype=actions.executed_dtype),
        "inbox_present": torch.ones(spec.agents, dtype=torch.bool),
        "first": torch.tensor(True),
        "greedy": torch.tensor(False),
        "state.deter": torch.zeros(sizes.recurrent),
        "noise": torch.full((noise_size,), 0.5),
    }
    return StepFunction(
        # Copies on the CPU, where nodes run; training may go on elsewhere with the originals.
        module=AgentStep(deepcopy(model).cpu(), deepcopy(actor).cpu(), slot=slot),
        inputs=inputs,
        outputs=("latent", "action", "logits", "state.deter.next"),
        state=(StateTensor(name="deter", shape=(sizes.recurrent,)),),
        message=MessageFormat(categoricals=sizes.categoricals, classes=sizes.classes),
        noise_size=noise_size,
    )
