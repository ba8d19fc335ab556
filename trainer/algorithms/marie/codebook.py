"""A learned codebook: codes are moving averages of the vectors that chose them (van den Oord et al. 2017, A.1).

Axis legend: C codes, d numbers in a code, V vectors; [...] any leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.algorithms.marie.discretiser import Discretiser
from trainer.algorithms.marie.tokenizer_settings import CodebookSettings
from trainer.ranks.group import ranks

NEAR = 1e-3
"""A vector at this share of the vectors' mean squared distance from their middle, or nearer, has a code."""


class Codebook(Discretiser):
    """What its codes have been and how long each was idle is kept in buffers, and so in checkpoints.

    Ranks have one codebook, which follows the vectors of all of them.
    """

    def __init__(self, settings: CodebookSettings) -> None:
        codes = torch.empty(settings.size, settings.width)
        nn.init.kaiming_uniform_(codes)
        super().__init__(codes)
        self.settings = settings
        self.register_buffer("sums", codes.clone())
        self.register_buffer("counts", torch.zeros(settings.size))
        self.register_buffer("idle", torch.zeros(settings.size, dtype=torch.int64))
        self.register_buffer("begun", torch.tensor(settings.initialisation == "weights"))
        self.sums: Tensor
        """[C, d]: moving sums of the vectors that chose a code."""
        self.counts: Tensor
        """[C]: moving counts of them."""
        self.idle: Tensor
        """int64 [C]: updates in a row in which none chose it."""
        self.begun: Tensor
        """bool []: whether codes have been placed where the data lies."""

    def nearest(self, vectors: Tensor) -> Tensor:
        return _nearest(vectors, self.codes)

    @torch.no_grad()
    def begin(self, vectors: Tensor) -> None:
        """Place the codes among the vectors [V, d] of a first batch, if that is where they begin."""
        settings, vectors = self.settings, ranks().rows(vectors)
        self.begun.fill_(True)
        codes = vectors[_some(vectors.shape[0], self.classes, vectors.device)]
        counts = torch.ones_like(self.counts)
        if settings.initialisation == "kmeans":
            for _ in range(settings.kmeans_iterations):
                counts, sums = self._assigned(vectors, _nearest(vectors, codes))
                # A mean without vectors goes where there are some.
                elsewhere = vectors[_some(vectors.shape[0], self.classes, vectors.device)]
                means = sums / counts.clamp(min=1).unsqueeze(-1)
                codes = torch.where((counts > 0).unsqueeze(-1), means, elsewhere)
            counts = counts.clamp(min=1)
        ranks().take_over([codes, counts])  # each has drawn others
        self._place(codes, counts)

    @torch.no_grad()
    def follow(self, vectors: Tensor, ids: Tensor) -> int:
        """Move the codes towards the vectors [V, d] that chose them, ids int64 [V], and revive those that are idle; how
        many were."""
        settings = self.settings
        counts, sums = self._assigned(vectors, ids)
        ranks().add([counts, sums])
        self.counts.mul_(settings.decay).add_(counts, alpha=1 - settings.decay)
        self.sums.mul_(settings.decay).add_(sums, alpha=1 - settings.decay)
        total, smoothing = self.counts.sum(), settings.smoothing
        smoothed = (self.counts + smoothing) / (total + self.classes * smoothing) * total
        far = (vectors - self.codes[ids]).square().sum(-1)  # from the codes that were chosen, before these move
        self.codes.copy_(self.sums / smoothed.unsqueeze(-1))
        self.idle.add_(1).masked_fill_(counts > 0, 0)
        return self._revive(vectors, far) if settings.revival == "idle" else 0

    def _revive(self, vectors: Tensor, far: Tensor) -> int:
        """Begin idle codes again at vectors drawn by their squared distances `far` [V] from their codes.

        Vectors that have a code already are not drawn: a second one there would take turns with the first, and what
        stays the same would get other tokens from update to update.  Where all have one, idle codes stay idle.
        """
        idle = self.idle >= self.settings.idle_updates
        if not bool(idle.any()):
            return 0  # and no random number is drawn
        vectors, far = ranks().rows(vectors), ranks().rows(far)
        spread = (vectors - vectors.mean(0)).square().sum(-1).mean()
        chances = far.masked_fill(far <= spread * NEAR, 0.0)
        if not bool(chances.any()):
            return 0
        drawn = vectors[torch.multinomial(chances, self.classes, replacement=True)]
        ranks().take_over([drawn])
        self._place(
            torch.where(idle.unsqueeze(-1), drawn, self.codes),
            self.counts.masked_fill(idle, 1.0),
            where=idle,
        )
        return int(idle.sum())

    def _place(self, codes: Tensor, counts: Tensor, where: Tensor | None = None) -> None:
        """Let codes be where they are given, all of them or those `where`, bool [C]."""
        sums = codes * counts.unsqueeze(-1)
        self.codes.copy_(codes)
        self.counts.copy_(counts)
        self.sums.copy_(sums if where is None else torch.where(where.unsqueeze(-1), sums, self.sums))
        self.idle.copy_(torch.zeros_like(self.idle) if where is None else self.idle.masked_fill(where, 0))

    def _assigned(self, vectors: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors each code has, [C], and their sums [C, d]."""
        counts = torch.bincount(ids, minlength=self.classes).to(vectors.dtype)
        return counts, torch.zeros_like(self.sums).index_add(0, ids, vectors)


def _nearest(vectors: Tensor, codes: Tensor) -> Tensor:
    """By Euclidean distance, without the vector's own square, which is the same to every code."""
    product = vectors.reshape(-1, vectors.shape[-1]) @ codes.t()
    return (codes.square().sum(-1) - 2 * product).argmin(-1).reshape(vectors.shape[:-1])


def _some(vectors: int, wanted: int, device: torch.device) -> Tensor:
    """`wanted` of so many vectors; each but once, if there are enough."""
    if vectors < wanted:
        return torch.randint(vectors, (wanted,), device=device)
    return torch.randperm(vectors, device=device)[:wanted]
