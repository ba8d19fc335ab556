"""Recurrent agents as MAPPO's that also hear one another: the actor of CommNet and of TarMAC.

Axis legend: E copies, N agents, D observation, A entries of an action mask, P outputs of an actor, K categoricals, C
classes, G recurrent size, H width; L rows of a sequence, Q sequences; T time, B windows; [...] any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.dreamer.execution import TeamState
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.carried import CARRIED, packed, unpacked
from trainer.algorithms.model_free.reading import Reading
from trainer.algorithms.model_free.recurrent_policy import FIRST_OUTPUT_SCALE
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import MessagingSettings
from trainer.experience.window import Window
from trainer.nets.observations import observation_encoder
from trainer.nets.perceptron import linear_layer, perceptron
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Along:
    """What agents make of sequences."""

    outputs: Tensor
    """[L, Q, N, P]."""
    deter: Tensor
    """[L, Q, N, G]."""
    speaks: Tensor | None
    """[L, Q, N], with a gate the probability of saying anything."""


class MessagingPolicy(AgentNetwork):
    """h_t = GRU(o_t, c_t, a_{t-1}, h_{t-1}), an action and a message z_t from h_t; c_t is made of the z_{t-1} received.

    There is one exchange for each environment step: what is said at a step is read at the next one.  A message is K
    categoricals of C classes, drawn from a layer over h_t (with `message_sees` over o_t as well) where the papers send
    numbers; what it should have said is learned from what the others then do, by a straight-through gradient along the
    sequences, and with `state_scale` from what the others could not tell of the state, too.

    With `gate` an agent also decides whether to say anything (IC3Net): a message of nothing but class 0 says nothing.
    The decision is drawn, and learned by PPO as a part of the action.
    """

    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ("telling",)

    def __init__(self, settings: MessagingSettings, spec: EnvironmentSpec, *, reading: Reading) -> None:
        super().__init__()
        self.settings, self.agents, self.reading = settings, spec.agents, reading
        self.actions = action_distribution(spec)
        hidden, recurrent = settings.hidden, settings.recurrent
        self.encoder = observation_encoder(
            spec.observation_size,
            [hidden, hidden],
            image=spec.image,
            channels=settings.image_channels,
            extra=spec.agents,
        )
        self.cell = nn.GRUCell(2 * hidden + self.actions.features, recurrent)
        self.head = perceptron([recurrent, hidden, self.actions.outputs], nn.ReLU)
        told = recurrent + (hidden if settings.message_sees else 0)
        self.message = perceptron([told, settings.categoricals * settings.classes], nn.ReLU)
        self.gate = perceptron([recurrent, 1], nn.ReLU) if settings.gate else None
        whole = spec.state_size or spec.agents * spec.observation_size
        self.telling = perceptron([recurrent, whole], nn.ReLU) if settings.state_scale else None
        self.register_buffer("identity", torch.eye(spec.agents), persistent=False)
        self.identity: Tensor
        with torch.no_grad():
            linear_layer(self.head, -1).weight.mul_(FIRST_OUTPUT_SCALE)
            linear_layer(self.message, -1).weight.mul_(settings.message_scale)

    @property
    def noise_size(self) -> int:
        return self.settings.categoricals + (self.gate is not None) + self.actions.noise

    def initial_state(self, copies: int) -> TeamState:
        """The state before a first step; its content does not matter."""
        shape, device = (copies, self.agents), self.identity.device
        return TeamState(
            ids=torch.zeros(*shape, self.settings.categoricals, dtype=torch.int64, device=device),
            action=torch.zeros(*shape, *self.actions.shape, dtype=self.actions.dtype, device=device),
            deter=torch.zeros(*shape, self.settings.recurrent, device=device),
        )

    @torch.no_grad()
    def act(
        self,
        state: TeamState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, TeamState]:
        seen = self.seen(observation)
        deter = self.advance(state, seen, first=first, hears=hears)
        ids = self.message_of(draws.latent(self.choices(deter, seen)))
        action = draws.action(self.actions.masked(self.head(deter), action_mask), self.actions)
        return action, TeamState(ids=ids, action=action, deter=deter)

    def seen(self, observation: Tensor) -> Tensor:
        """What the cell reads of observations [..., N, D]; [..., N, H]."""
        identity = self.identity.expand(*observation.shape[:-1], self.agents)
        return torch.relu(self.encoder(torch.cat([observation, identity], dim=-1)))

    # Six parameters: what a step takes.
    def advance(
        self,
        state: TeamState,
        seen: Tensor,
        *,
        first: Tensor,
        hears: Tensor | None,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """The next recurrent state [E, N, G]; at a `first` step, bool [E], what was carried counts as zero.

        `probabilities` [E, N, K, C] receive the gradient of what was said.
        """
        keep = (~first).to(seen.dtype).reshape(-1, 1, 1)
        own, sent = self.identity.bool(), self.sent(state.ids)
        others = ~own.expand(len(seen), -1, -1)
        if probabilities is not None and self.gate is not None:
            # Behind a shut gate something else was drawn than what is read, so it has no gradient.
            probabilities = torch.where(sent.unsqueeze(-1) > 0, probabilities, probabilities.detach())
        heard = self.reading(
            state.ids,
            state.deter * keep,
            readable=others if hears is None else hears & others,
            own=own,
            sent=sent,
            probabilities=probabilities,
        )
        return self.recur(seen, heard, self.actions.read(state.action).to(seen.dtype), state.deter, keep)

    def recur(self, seen: Tensor, heard: Tensor, done: Tensor, deter: Tensor, keep: Tensor) -> Tensor:
        """Of what was seen and heard [..., H], what was done [..., F] and [..., G] the next [..., G].

        `keep` [..., 1] is 0 where an episode begins.
        """
        inputs = torch.cat([seen, heard * keep, done * keep], dim=-1)
        following: Tensor = self.cell(inputs.flatten(0, -2), (deter * keep).flatten(0, -2))
        shaped: Tensor = following.unflatten(0, deter.shape[:-1])
        return shaped

    def choices(self, deter: Tensor, seen: Tensor) -> Tensor:
        """Class probabilities [..., K, C] of the messages of agents in the states [..., G] that have `seen` [..., H].

        With a gate it is one more categorical, of the two classes shut and open.
        """
        settings = self.settings
        told = torch.cat([deter, seen], dim=-1) if settings.message_sees else deter
        logits = self.message(told).unflatten(-1, (settings.categoricals, settings.classes))
        probabilities = torch.softmax(logits, dim=-1)
        if self.gate is None:
            return probabilities
        is_open = torch.sigmoid(self.gate(deter)).unsqueeze(-1)  # [..., 1, 1]
        gate = torch.cat([1 - is_open, is_open], dim=-1)
        return torch.cat([probabilities, functional.pad(gate, (0, settings.classes - 2))], dim=-2)

    def message_of(self, drawn: Tensor) -> Tensor:
        """The message [..., K] of what was drawn by `choices`."""
        if self.gate is None:
            return drawn
        return drawn[..., :-1] * drawn[..., -1:].clamp(max=1)

    def sent(self, ids: Tensor) -> Tensor:
        """Whether messages [..., K] say anything: 1 or 0, [..., 1]."""
        like = self.identity
        if self.gate is None:
            return torch.ones_like(ids[..., :1]).to(like.dtype)
        return (ids != 0).any(-1, keepdim=True).to(like.dtype)

    def columns(self, state: TeamState) -> dict[str, Tensor]:
        return {CARRIED: packed(state)}

    def outputs(self, sequences: Sequences) -> Tensor:
        """See AgentNetwork."""
        return self.along(sequences).outputs

    def along(self, sequences: Sequences) -> Along:
        """How they would act, and speak, now."""
        received = unpacked(self.initial_state(1), sequences.carried_in)
        # Unbound: the gradient of a row that is picked by its index is as large as all of them.
        seen = self.seen(sequences.observation).unbind(0)
        deter, choices = received.deter[0], None
        all_deter, gates = [], []
        for row, begins in enumerate(sequences.begins[..., None, None]):
            probabilities = None
            if choices is not None:
                probabilities = choices[..., : self.settings.categoricals, :]
                probabilities = torch.where(begins.unsqueeze(-1), probabilities.detach(), probabilities)
            before = TeamState(
                ids=received.ids[row],
                action=received.action[row],
                deter=torch.where(begins, received.deter[row], deter),
            )
            hears = None if sequences.hears is None else sequences.hears[row]
            deter = self.advance(
                before, seen[row], first=sequences.first[row], hears=hears, probabilities=probabilities
            )
            choices = self.choices(deter, seen[row])
            all_deter.append(deter)
            if self.gate is not None:
                # Behind an open gate, too, nothing but class 0 says nothing.
                gates.append(choices[..., -1, 1] * (1 - choices[..., :-1, 0].prod(-1)))
        states = torch.stack(all_deter)
        return Along(
            outputs=self.actions.masked(self.head(states), sequences.action_mask),
            deter=states,
            speaks=torch.stack(gates) if gates else None,
        )

    def latents(self, window: Window, draws: Draws) -> Tensor:
        """What the agents would say along a window, int64 [T, B, N, K]."""
        seen, state, rows = self.seen(window.observation), self.initial_state(window.first.shape[1]), []
        for row in range(len(window.first)):
            # A window that begins inside an episode does not know what was said before it.
            first = window.first[row] if row else torch.ones_like(window.first[row])
            before = TeamState(ids=state.ids, action=window.action[row], deter=state.deter)
            hears = None if window.hears is None else window.hears[row]
            deter = self.advance(before, seen[row], first=first, hears=hears)
            ids = self.message_of(draws.latent(self.choices(deter, seen[row])))
            state = TeamState(ids=ids, action=before.action, deter=deter)
            rows.append(state.ids)
        return torch.stack(rows)
