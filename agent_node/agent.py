"""One agent as a library: a bundle, its recurrent state and its own previous message; no clock and no network.

Whoever drives it decides which messages are there: the node over gRPC (`node.py`), the in-process team
(`in_process.py`), or a program of yours.

Axis legend: N agents, K categoricals, C classes, D observation size, A actions, k dimensions of a continuous one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agent_node.agent_input import AgentInput
from agent_node.message import Decision, Message
from agent_node.step_function import StepFunction
from heliograph import noise
from heliograph.actions import Action, ActionSpace, DiscreteActions
from heliograph.bundle import Bundle
from heliograph.codecs.prefix import sent_ids
from heliograph.errors import BundleError, MessageError, WorldError


class Agent:
    """Runs one bundle step by step.

    `run_seed` keys its noise, so any process can repeat its choices; `greedy` takes the most likely latent and action
    instead of sampling.  `step_function` is the bundle's graph if it is loaded already.
    Raises BundleCorrupt or BundleMismatch if the graph cannot be used.
    """

    def __init__(
        self, bundle: Bundle, *, run_seed: int, greedy: bool, step_function: StepFunction | None = None
    ) -> None:
        self.manifest = bundle.manifest
        self._rows = bundle.manifest.received_actions
        self.slot = bundle.manifest.slot
        self._function = StepFunction(bundle) if step_function is None else step_function
        self._run_seed = run_seed
        self._greedy = np.array(greedy)
        self._initial = {
            state.name: np.full(state.shape, state.initial, dtype=np.float32) for state in self.manifest.state
        }
        self._state = self._initial
        self._previous: tuple[int, int] | None = None
        self._own: Message | None = None
        self._sent: Message | None = None

    def starts_over(self, agent_input: AgentInput) -> bool:
        """Whether this input is a first step for the agent: it says so, is of a new episode, or steps were missed."""
        return agent_input.first or self._previous != (agent_input.episode, agent_input.step - 1)

    def reads(self, agent_input: AgentInput) -> tuple[int, ...]:
        """The slots whose messages this step reads: nobody's at a first step, or by a bundle without messages."""
        if self.manifest.message is None or agent_input.step == 0 or self.starts_over(agent_input):
            return ()
        return agent_input.receives_from

    def check_neighbours(self, agent_input: AgentInput) -> None:
        """Raise WorldError if the agent input names a neighbour that is not another slot of the team."""
        for slot in (*agent_input.receives_from, *agent_input.sends_to, *agent_input.lost, *agent_input.late):
            if not 0 <= slot < self.manifest.team_size or slot == self.slot:
                raise WorldError(
                    f"observation of slot {self.slot} at episode {agent_input.episode} step {agent_input.step} names "
                    f"slot {slot} as a neighbour in a team of {self.manifest.team_size}"
                )

    def step(self, agent_input: AgentInput, inbox: Mapping[int, Message]) -> Decision:
        """Decide one step from the agent input and the messages of step - 1 by sender slot.

        At a first step (see `starts_over`) state, inbox and own message count as zero; its neighbours are
        present all the same, as they were in training.
        Raises WorldError for an unusable agent input, MessageError for a message of the wrong step, sender or shape,
        BundleError if the graph answers nonsense; the agent is then as it was before.
        """
        first = self.starts_over(agent_input)
        answers, decision = self._answers(agent_input, inbox)
        self._state = {name: answers[f"state.{name}.next"] for name in self._initial}
        self._previous = (agent_input.episode, agent_input.step)
        self._own = decision.message
        if self._withholds(decision, last=None if first else self._sent):
            return replace(decision, message=None)
        self._sent = decision.message
        return decision

    def consider(self, agent_input: AgentInput, inbox: Mapping[int, Message]) -> Decision:
        """What `step` would decide here, for the sake of comparison: the agent stays as it is."""
        decision = self._answers(agent_input, inbox)[1]
        last = None if self.starts_over(agent_input) else self._sent
        return replace(decision, message=None) if self._withholds(decision, last=last) else decision

    def _withholds(self, decision: Decision, *, last: Message | None) -> bool:
        sending, message = self.manifest.sending, decision.message
        if sending is None or message is None or last is None:
            return False
        return sending.withholds(message.latent, last.latent, steps=message.step - last.step)

    def _answers(
        self, agent_input: AgentInput, inbox: Mapping[int, Message]
    ) -> tuple[Mapping[str, npt.NDArray[Any]], Decision]:
        first = self.starts_over(agent_input)
        feeds = {
            "observation": self._checked_observation(agent_input),
            "action_mask": self._checked_mask(agent_input),
            "first": np.array(first),
            "greedy": self._greedy,
            "noise": noise.uniform(
                run_seed=self._run_seed,
                slot=self.slot,
                episode=agent_input.episode,
                step=agent_input.step,
                size=self.manifest.noise_size,
            ),
        }
        state = self._initial if first else self._state
        feeds |= {f"state.{name}": value for name, value in state.items()}
        if self.manifest.message is not None:
            feeds |= self._first_inbox(agent_input) if first else self._inbox_tensors(agent_input, inbox, self._own)
        elif inbox:
            raise MessageError(f"slot {self.slot} has a bundle without messages, but got some of {sorted(inbox)}")
        answers = self._function(feeds)
        return answers, self._decision(agent_input, answers)

    def _checked_observation(self, agent_input: AgentInput) -> npt.NDArray[np.float32]:
        observation = np.ascontiguousarray(agent_input.observation, dtype=np.float32)
        if observation.shape != (self.manifest.observation_size,):
            raise WorldError(
                f"observation of slot {self.slot} has shape {observation.shape}, "
                f"its bundle expects ({self.manifest.observation_size},)"
            )
        if not np.isfinite(observation).all():
            place = int(np.flatnonzero(~np.isfinite(observation))[0])
            raise WorldError(
                f"observation of slot {self.slot} at episode {agent_input.episode} step {agent_input.step} "
                f"holds {observation[place]} at index {place}"
            )
        return observation

    def _checked_mask(self, agent_input: AgentInput) -> npt.NDArray[np.bool_]:
        mask = np.ascontiguousarray(agent_input.action_mask, dtype=np.bool_)
        size = self.manifest.actions.mask_size
        if mask.shape != (size,):
            raise WorldError(f"action mask of slot {self.slot} has shape {mask.shape}, its bundle expects ({size},)")
        if not mask.any():
            raise WorldError(
                f"slot {self.slot} has no legal action at episode {agent_input.episode} step {agent_input.step}"
            )
        return mask

    def _first_inbox(self, agent_input: AgentInput) -> dict[str, npt.NDArray[Any]]:
        tensors = self._inbox_tensors(agent_input, {}, None)
        for sender in agent_input.receives_from:
            self._check_sender(sender)
            # A zero vector among the tokens that attend to one another is not the same as no token.
            tensors["inbox_present"][sender] = True
        return tensors

    def _inbox_tensors(
        self, agent_input: AgentInput, inbox: Mapping[int, Message], own: Message | None
    ) -> dict[str, npt.NDArray[Any]]:
        message_format = self.manifest.message
        assert message_format is not None
        team_size = self.manifest.team_size
        latent = np.zeros((team_size, message_format.categoricals), dtype=np.int32)  # [N, K]
        rows = self._rows
        action: npt.NDArray[Any] = np.zeros((team_size, *rows.shape), dtype=rows.inbox_dtype)  # [N, ...]
        present = np.zeros(team_size, dtype=np.bool_)
        present[self.slot] = True
        age = np.zeros(team_size, dtype=np.int32)
        if own is not None:
            latent[self.slot], action[self.slot] = own.latent, rows.row(self.slot, own.action)
        for sender, message in inbox.items():
            self._check_message(sender, message, agent_input)
            latent[sender], action[sender] = message.latent, rows.row(sender, message.action)
            present[sender], age[sender] = True, message.age
        if int(latent.min()) < 0 or int(latent.max()) >= message_format.classes:
            sender = int(np.argmax(((latent < 0) | (latent >= message_format.classes)).any(axis=1)))
            raise MessageError(f"latent of slot {sender} has an id outside 0..{message_format.classes - 1}")
        tensors = {"inbox_latent": latent, "inbox_action": action, "inbox_present": present}
        return tensors if self.manifest.predicts is None else tensors | {"inbox_age": age}

    def _check_sender(self, sender: int) -> None:
        if not 0 <= sender < self.manifest.team_size or sender == self.slot:
            raise MessageError(f"slot {self.slot} cannot get a message of slot {sender}")

    def _check_message(self, sender: int, message: Message, agent_input: AgentInput) -> None:
        message_format = self.manifest.message
        assert message_format is not None
        self._check_sender(sender)
        if message.label != (agent_input.episode, agent_input.step - 1):
            raise MessageError(
                f"message of slot {sender} is of episode {message.episode} step {message.step}, "
                f"read at episode {agent_input.episode} step {agent_input.step}"
            )
        if message.latent.shape != (message_format.categoricals,):
            raise MessageError(
                f"latent of slot {sender} has shape {message.latent.shape}, expected ({message_format.categoricals},)"
            )
        actions = self._rows.spaces[sender]
        if not actions.admits(message.action):
            raise MessageError(f"message of slot {sender} has action {message.action}, {_existing(actions)}")

    def _decision(self, agent_input: AgentInput, answers: Mapping[str, npt.NDArray[Any]]) -> Decision:
        logits, where = answers["logits"], f"slot {self.slot} at episode {agent_input.episode} step {agent_input.step}"
        action = self._chosen(answers["action"], where)
        if not self.manifest.actions.is_legal(action, agent_input.action_mask):
            raise BundleError(f"bundle of {where} chose action {action}, which is not legal")
        if np.isnan(logits).any():
            raise BundleError(f"bundle of {where} answered logits that are not numbers")
        if self.manifest.message is None:
            return Decision(action=action, message=None, logits=logits)
        latent = answers["latent"]
        if int(latent.min()) < 0 or int(latent.max()) >= self.manifest.message.classes:
            raise BundleError(f"bundle of {where} chose a latent id outside 0..{self.manifest.message.classes - 1}")
        if self.manifest.message.prefix and sent_ids(latent.tolist(), unsaid=self.manifest.message.classes - 1) is None:
            raise BundleError(f"bundle of {where} says a latent id after one that it does not say")
        message = Message(episode=agent_input.episode, step=agent_input.step, latent=latent, action=action)
        return Decision(action=action, message=message, logits=logits)

    def _chosen(self, answer: npt.NDArray[Any], where: str) -> Action:
        actions = self.manifest.actions
        if isinstance(actions, DiscreteActions):
            return int(answer)
        settled = actions.settled(answer)
        if settled is None:
            raise BundleError(f"bundle of {where} chose action {answer}, which is none of {actions.levels} levels")
        return settled


def _existing(actions: ActionSpace) -> str:
    if isinstance(actions, DiscreteActions):
        return f"there are {actions.count}"
    return f"not {actions.size} numbers between -1 and 1"
