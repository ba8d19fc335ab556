"""Imagination on two levels: the global latent is drawn first, and the agents' own ones given it (MABL §3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.world_model.bilevel import BilevelModel
from trainer.world_model.imagination import Imagination, JointStates, Outlook


@dataclass(frozen=True, kw_only=True)
class BilevelImagination(Imagination):
    """Its states hold the features of both levels, its outlooks the prior of what is drawn first."""

    model: BilevelModel

    def transition(self, states: JointStates, action: Tensor) -> Outlook:
        """What actions [M, N] lead to."""
        deter = self.model.transition(states.ids, states.deter, action)
        return Outlook(prior=self.model.first_prior(deter), deter=deter, hears=None)

    def predict(self, outlook: Outlook) -> JointStates:
        """The next states, drawn from the top down."""
        ids = self.model.draw_down(outlook.prior, outlook.deter, self.draws.latent)
        return JointStates(ids=ids, deter=outlook.deter, hears=None, seen=self.model.imagined(ids, outlook.deter))
