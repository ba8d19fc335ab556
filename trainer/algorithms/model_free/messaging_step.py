"""The step function of an agent that hears (`messaging_policy`), as it is exported.

Axis legend: N agents, D observation, A entries of an action mask, P outputs of an actor, K categoricals, G recurrent
size, H width.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.model_free.messaging_policy import MessagingPolicy
from trainer.algorithms.step_function import StepFunction, talking_step
from trainer.nets.latent import sample_ids


class MessagingStep(nn.Module):
    """What agent `slot` of those that share the network does."""

    def __init__(self, network: MessagingPolicy, *, slot: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("own", network.identity[slot : slot + 1].clone())
        self.own: Tensor  # [1, N]

    # Nine parameters: the inputs of a bundle's graph, in their order (docs/bundle.md).
    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor,
        inbox_latent: Tensor,
        inbox_action: Tensor,
        inbox_present: Tensor,
        first: Tensor,
        greedy: Tensor,
        deter: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latent int32 [K], action (int32 [] or float [k]), logits [P] and the next recurrent state [G]."""
        network, actions, own = self.network, self.network.actions, self.own
        keep = torch.where(first, 0.0, 1.0).to(deter.dtype).reshape(1, 1)
        seen = torch.relu(network.encoder(torch.cat([observation, own.squeeze(0)]))).unsqueeze(0)  # [1, H]
        ids = inbox_latent.long().unsqueeze(0)  # [1, N, K]
        heard = network.reading(
            ids,
            (deter * keep.squeeze(0)).reshape(1, 1, -1),
            readable=(inbox_present & ~own.bool()).unsqueeze(0),
            own=own.bool(),
            sent=network.sent(ids),
        ).squeeze(0)  # [1, H]
        # Its own action of the step before is in its inbox; it reads nobody else's.
        done = own @ actions.read(inbox_action.to(actions.dtype)).to(deter.dtype)  # [1, F]
        after = network.recur(seen, heard, done, deter.unsqueeze(0), keep)  # [1, G]
        choices = network.choices(after, seen).squeeze(0)  # [K, C]
        drawn = torch.where(greedy, choices.argmax(-1), sample_ids(choices, noise[: -actions.noise]))
        logits = actions.masked(network.head(after).squeeze(0), action_mask)
        action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise[-actions.noise :]))
        return network.message_of(drawn).int(), action.to(actions.executed_dtype), logits, after.squeeze(0)


def messages(network: MessagingPolicy) -> MessageFormat:
    """Those that its agents send."""
    return MessageFormat(categoricals=network.settings.categoricals, classes=network.settings.classes)


def messaging_step(network: MessagingPolicy, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    return talking_step(
        # A copy on the CPU, where nodes run; training may go on elsewhere with the original.
        MessagingStep(deepcopy(network).cpu(), slot=slot),
        spec,
        network.actions,
        message=messages(network),
        state=(StateTensor(name="deter", shape=(network.settings.recurrent,)),),
        noise_size=network.noise_size,
    )
