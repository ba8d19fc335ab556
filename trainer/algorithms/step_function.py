"""Step functions: what an algorithm hands to export for one agent; each takes and gives what `docs/bundle.md` says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from heliograph.sending import Sending
from trainer.policy.distributions import ActionDistribution


@dataclass(frozen=True, kw_only=True)
class StepFunction:
    """A module and the names and example values of its tensors, in order.

    `state` names the recurrent tensors among the inputs; the module returns their successors last, in that order.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    state: tuple[StateTensor, ...]
    message: MessageFormat | None
    noise_size: int
    sending: Sending | None = None
    """When its messages are sent; None: at every step."""
    predicts: str | None = None
    """What of its predictions stands for messages that are not there, as in the manifest; None: it makes none."""
    holds: bool = False
    """As in the manifest."""
    planning_size: int | None = None
    """As in the manifest."""


def silent_step(
    module: nn.Module,
    spec: EnvironmentSpec,
    *,
    state: tuple[StateTensor, ...],
    noise_size: int,
) -> StepFunction:
    """Of an agent without messages.  `module`, on the CPU, takes observation, action_mask, first, greedy, its state and
    noise; it returns the action, logits and its next state."""
    return _step(module, spec, inbox={}, message=None, state=state, noise_size=noise_size)


# Seven parameters: what a step function of an agent that talks has beside one that does not.
def talking_step(
    module: nn.Module,
    spec: EnvironmentSpec,
    actions: ActionDistribution,
    *,
    message: MessageFormat,
    state: tuple[StateTensor, ...],
    noise_size: int,
    predicts: str | None = None,
) -> StepFunction:
    """Of an agent that sends and receives messages: `module` takes its inbox after the action mask, as well, and
    returns the latent first."""
    inbox = {
        "inbox_latent": torch.zeros(spec.agents, message.categoricals, dtype=torch.int32),
        "inbox_action": torch.zeros(spec.agents, *actions.shape, dtype=actions.executed_dtype),
        "inbox_present": torch.ones(spec.agents, dtype=torch.bool),
    }
    if predicts is not None:
        inbox["inbox_age"] = torch.zeros(spec.agents, dtype=torch.int32)
    step = _step(module, spec, inbox=inbox, message=message, state=state, noise_size=noise_size)
    return replace(step, predicts=predicts)


def _step(
    module: nn.Module,
    spec: EnvironmentSpec,
    *,
    inbox: dict[str, Tensor],
    message: MessageFormat | None,
    state: tuple[StateTensor, ...],
    noise_size: int,
) -> StepFunction:
    recurrent = {f"state.{each.name}": torch.zeros(each.shape) for each in state}
    return StepFunction(
        module=module,
        inputs={
            "observation": torch.zeros(spec.observation_size),
            "action_mask": torch.ones(spec.actions, dtype=torch.bool),
            **inbox,
            "first": torch.tensor(True),
            "greedy": torch.tensor(False),
            **recurrent,
            "noise": torch.full((noise_size,), 0.5),
        },
        outputs=(*(["latent"] if message else []), "action", "logits", *(f"{name}.next" for name in recurrent)),
        state=state,
        message=message,
        noise_size=noise_size,
    )
