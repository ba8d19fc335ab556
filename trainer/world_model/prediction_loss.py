"""What predicting messages learns from: messages that arrived, each from an older one that its reader held.

Axis legend: T rows of a window, B windows, N agents; of [T, B, N, N], entry [..., i, j] is about what i holds of j.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainer.experience.links import known_ages
from trainer.experience.window import Window
from trainer.world_model.posteriors import Posteriors
from trainer.world_model.rssm import TeamRSSM


def prediction_loss(rssm: TeamRSSM, window: Window, posteriors: Posteriors, age: Tensor) -> Tensor:
    """Mean negative log-likelihood of an id, over messages that arrived (`age` int [T, B, N, N], see `links.AGE`).

    Of each row's message and each reader one sender is drawn, and the row at which the reader would have held its last
    message; so all ages are learned from whatever delays there were.  No gradient leaves the predictor.
    """
    length, batch, agents = posteriors.ids.shape[:3]
    device = posteriors.ids.device
    if agents == 1:
        return posteriors.deter.new_zeros(())
    newest = _newest_arrived(window.first, age)  # [T, B, N, N]
    row = torch.arange(length, device=device)[:, None, None].expand(-1, batch, agents)
    column = torch.arange(batch, device=device)[None, :, None].expand_as(row)
    reader = torch.arange(agents, device=device)[None, None].expand_as(row)
    sender = (reader + torch.randint(1, agents, row.shape, device=device)) % agents
    begun = torch.where(window.first, row[..., 0], 0).cummax(0).values.unsqueeze(-1)
    before = begun + (torch.rand(row.shape, device=device) * (row - begun)).long()
    held = newest[before.clamp(max=length - 1), column, reader, sender]
    counts = (newest[row, column, reader, sender] == row) & (held >= begun) & (held < row)
    held = torch.where(counts, held, 0)
    said = window.action.roll(-1, dims=0)
    logits = rssm.predicted_logits(
        posteriors.ids[held, column, sender], said[held, column, sender], row - held, sender, posteriors.deter.detach()
    )
    target = posteriors.ids[row, column, sender]  # [T, B, N, K]
    surprise = functional.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none")
    weight = counts.to(surprise.dtype)
    mean: Tensor = (surprise.unflatten(0, target.shape).mean(-1) * weight).sum() / weight.sum().clamp(min=1)
    return mean


def _newest_arrived(first: Tensor, age: Tensor) -> Tensor:
    """int64 [T, B, N, N]: the newest row up to each one whose message ever arrived in the window, -1 if none."""
    length = len(first)
    row = torch.arange(length, device=first.device)[:, None, None, None]
    age = known_ages(age, row)
    arrived_at = torch.where((age >= 0) & (row > 0) & ~first[..., None, None], row - 1 - age, length)
    arrived = torch.zeros(length + 1, *age.shape[1:], dtype=torch.bool, device=age.device)
    arrived = arrived.scatter(0, arrived_at, torch.ones_like(arrived_at, dtype=torch.bool))[:length]
    return torch.where(arrived, row, -1).cummax(0).values
