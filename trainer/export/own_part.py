"""An agent's own part of a step function that acts in rows of a mixed team (`heliograph.action_rows`).

Its bundle is then as it would be in a team where all act like it: the mask of its own actions comes in, its action and
its own logits go out.  What messages tell of the others' actions stays in rows.

Axis legend: A numbered actions, k dimensions of a continuous one, P outputs of an actor.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from heliograph.action_rows import ActionRows
from trainer.algorithms.step_function import StepFunction


class OwnPart(nn.Module):
    """Of agent `slot`; `step` has the observation and the mask as its first inputs, and `outputs` by name."""

    def __init__(self, step: nn.Module, rows: ActionRows, *, slot: int, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.step, self._outputs = step, outputs
        self._is_vector, self._of_logits = rows.is_vector(slot), rows.own_outputs(slot)
        mask = rows.mask_row(slot, torch.zeros(rows.spaces[slot].mask_size, dtype=torch.bool).numpy())
        before, after = mask[: rows.own(slot).start], mask[rows.own(slot).stop :]
        self.register_buffer("before", torch.from_numpy(before.copy()), persistent=False)
        self.register_buffer("after", torch.from_numpy(after.copy()), persistent=False)
        self.before: Tensor
        self.after: Tensor

    def forward(self, observation: Tensor, action_mask: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """What `step` returns, but the agent's own action, int32 [] or float [k], and logits [A] or [2k]."""
        row_mask = torch.cat([self.before, action_mask, self.after])  # [A + k]
        answers = dict(zip(self._outputs, self.step(observation, row_mask, *others), strict=True))
        row = answers["action"]  # [1 + k]
        answers["action"] = row[1:] if self._is_vector else row[0].to(torch.int32)
        answers["logits"] = answers["logits"][self._of_logits]
        return tuple(answers.values())


def own_part(step: StepFunction, rows: ActionRows, *, slot: int) -> StepFunction:
    """The step function of agent `slot` in its own actions."""
    assert tuple(step.inputs)[:2] == ("observation", "action_mask")
    mask = torch.ones(rows.spaces[slot].mask_size, dtype=torch.bool)
    return replace(
        step,
        module=OwnPart(step.module, rows, slot=slot, outputs=step.outputs),
        inputs=step.inputs | {"action_mask": mask},
    )
