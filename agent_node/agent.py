"""The agent as a library: a bundle and what it must remember from one step to the next.

Axis legend: N agents, D observation, A actions, K categoricals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent_node.message import Message
from agent_node.percept import Percept
from agent_node.step_function import StepFunction
from heliograph import noise
from heliograph.bundle import Bundle
from heliograph.errors import BundleCorrupt, MessageError, WorldError


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the step function made of a percept and an inbox."""

    action: int
    message: Message | None
    """To be sent to whoever hears this agent; None for an agent without messages."""
    logits: np.ndarray
    """float32 [A], illegal actions far below every other."""


class Agent:
    """One agent of a team: runs its bundle's step function and carries its state and own last message.

    A percept that does not follow the one before it (another episode, a gap in the steps, `first`) starts from the
    initial state: the graph then counts state and messages as zero vectors.
    """

    def __init__(
        self, bundle: Bundle, *, run_seed: int, greedy: bool, function: StepFunction | None = None
    ) -> None:
        """Load the bundle, or take its step function if it is loaded already.

        `run_seed` keys the noise; `greedy` takes the most likely latent classes and action instead of sampling.
        Raises BundleCorrupt or BundleMismatch.
        """
        self.manifest = bundle.manifest
        self.slot = bundle.manifest.slot
        self._run_seed, self._greedy = run_seed, np.array(greedy)
        self._function = function or StepFunction(bundle)
        self._initial = {
            f"state.{tensor.name}": np.full(tensor.shape, tensor.initial, dtype=tensor.dtype)
            for tensor in self.manifest.state
        }
        self._state = self._initial
        self._previous: tuple[int, int] | None = None
        self._own: Message | None = None

    def starts_at(self, percept: Percept) -> bool:
        """Whether this percept starts from the initial state, so that no message of others matters."""
        return percept.first or self._previous != (percept.episode, percept.step - 1)

    def step(self, percept: Percept, inbox: Mapping[int, Message]) -> Decision:
        """Decide.  `inbox` holds the messages of `percept.step` - 1 that are to be read, by slot.

        Raises WorldError for an observation or mask of a wrong shape, with NaN, or with no legal action;
        MessageError for a message of another step, a wrong shape, an id or a slot out of range.
        """
        self._check_percept(percept)
        first = self.starts_at(percept)
        feeds = {
            "observation": np.ascontiguousarray(percept.observation, dtype=np.float32),
            "action_mask": np.ascontiguousarray(percept.action_mask, dtype=bool),
            "first": np.array(first),
            "greedy": self._greedy,
            "noise": noise.uniform(
                run_seed=self._run_seed,
                slot=self.slot,
                episode=percept.episode,
                step=percept.step,
                size=self.manifest.noise_size,
            ),
            **(self._initial if first else self._state),
        }
        if self.manifest.message is not None:
            feeds |= self._inbox_tensors(percept, inbox, first=first)
        outputs = self._function(feeds)
        action = self._checked_action(int(outputs["action"]), percept.action_mask)
        message = None
        if self.manifest.message is not None:
            message = Message(
                episode=percept.episode, step=percept.step, latent=self._checked_ids(outputs["latent"]), action=action
            )
        self._state = {name: outputs[f"{name}.next"] for name in self._initial}
        self._previous, self._own = (percept.episode, percept.step), message
        return Decision(action=action, message=message, logits=outputs["logits"])

    def _inbox_tensors(self, percept: Percept, inbox: Mapping[int, Message], *, first: bool) -> dict[str, np.ndarray]:
        agents, message_format = self.manifest.team_size, self.manifest.message
        assert message_format is not None
        latents = np.zeros((agents, message_format.categoricals), dtype=np.int32)
        actions = np.zeros(agents, dtype=np.int32)
        present = np.zeros(agents, dtype=bool)
        present[self.slot] = True
        if first:
            # Nobody has spoken yet: whoever can be heard takes part with the zero vector, as in training.
            present[list(percept.hears)] = True
        else:
            assert self._own is not None
            for slot, message in inbox.items():
                self._check_message(percept, slot, message)
                present[slot] = True
                latents[slot], actions[slot] = message.latent, message.action
            latents[self.slot], actions[self.slot] = self._own.latent, self._own.action
        return {"inbox_latent": latents, "inbox_action": actions, "inbox_present": present}

    def _check_percept(self, percept: Percept) -> None:
        size, actions = self.manifest.observation_size, self.manifest.actions.count
        if percept.observation.shape != (size,):
            raise WorldError(f"observation has shape {percept.observation.shape}, the bundle of slot {self.slot} "
                             f"takes ({size},)")
        if not np.isfinite(percept.observation).all():
            place = int(np.flatnonzero(~np.isfinite(percept.observation))[0])
            raise WorldError(f"observation[{place}] is {percept.observation[place]} at episode {percept.episode} "
                             f"step {percept.step}")
        if percept.action_mask.shape != (actions,):
            raise WorldError(f"action mask has shape {percept.action_mask.shape}, the bundle of slot {self.slot} "
                             f"has {actions} actions")
        if not percept.action_mask.any():
            raise WorldError(f"no action is legal at episode {percept.episode} step {percept.step}")
        strangers = [slot for slot in percept.hears if not 0 <= slot < self.manifest.team_size or slot == self.slot]
        if strangers:
            raise WorldError(f"slot {self.slot} of {self.manifest.team_size} cannot hear slot {strangers[0]}")

    def _check_message(self, percept: Percept, slot: int, message: Message) -> None:
        message_format = self.manifest.message
        assert message_format is not None
        if not 0 <= slot < self.manifest.team_size or slot == self.slot:
            raise MessageError(f"message from slot {slot} in the inbox of slot {self.slot} of {self.manifest.team_size}")
        if (message.episode, message.step) != (percept.episode, percept.step - 1):
            raise MessageError(
                f"message of slot {slot} is of episode {message.episode} step {message.step}, "
                f"not of episode {percept.episode} step {percept.step - 1}"
            )
        if message.latent.shape != (message_format.categoricals,):
            raise MessageError(f"latent of slot {slot} has shape {message.latent.shape}, expected "
                               f"({message_format.categoricals},)")
        if message.latent.min() < 0 or message.latent.max() >= message_format.classes:
            raise MessageError(f"latent id of slot {slot} outside 0..{message_format.classes - 1}")
        if not 0 <= message.action < self.manifest.actions.count:
            raise MessageError(f"action {message.action} of slot {slot} outside 0..{self.manifest.actions.count - 1}")

    def _checked_action(self, action: int, mask: np.ndarray) -> int:
        if not 0 <= action < mask.size or not mask[action]:
            raise BundleCorrupt(f"step function of slot {self.slot} chose action {action}, which is not legal")
        return action

    def _checked_ids(self, latent: np.ndarray) -> np.ndarray:
        message_format = self.manifest.message
        assert message_format is not None
        if latent.min() < 0 or latent.max() >= message_format.classes:
            raise BundleCorrupt(f"step function of slot {self.slot} made a latent id outside 0..{message_format.classes - 1}")
        return latent
