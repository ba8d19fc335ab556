"""MAG: models as agents, which plan what they predict (Wu et al. 2023), plugged into MAMBA as its authors do.

Between model and policy updates a predictor learns where the model errs ("Approximating R_m"); in imagination every
next state is then the one of several candidates from which the model will err least ("Planning to Predict").  Acting
and export are MAMBA's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mag.settings import MagSettings
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.nets.agentwise import per_agent
from trainer.nets.means import Means
from trainer.world_model.imagination import Imagination, JointStates, Predict
from trainer.world_model.model_error import make_error_predictor, model_error, predictor_loss
from trainer.world_model.planning import Planning


class Mag(Mamba):
    """An `Algorithm`."""

    name = "mag"

    def __init__(
        self,
        settings: MambaSettings,
        planning: MagSettings,
        spec: EnvironmentSpec,
        *,
        device: torch.device,
        compile_mode: str = "off",
    ) -> None:
        super().__init__(settings, spec, device=device, compile_mode=compile_mode)
        self.planning = planning
        self.error_predictor = per_agent(
            lambda: make_error_predictor(settings.model), agents=spec.agents, shared=settings.model.shared
        ).to(device)
        self.learns("error_predictor", self.error_predictor, rate=planning.predictor_learning_rate)

    def learn_model(self, replay: Replay, random: np.random.Generator, metrics: Means) -> None:
        """World-model updates, then `predictor_updates` updates of the error predictor."""
        super().learn_model(replay, random, metrics)
        for _ in range(self.planning.predictor_updates):
            self.update_predictor(replay.sample(random).window.to(self.device), metrics)

    def update_predictor(self, window: Window, metrics: Means) -> None:
        """One gradient step on the error predictor.

        It sees what imagination will show it, latents drawn from the prior, beside the recurrent state whose error the
        label is; the released code unrolls the window once more to draw them.
        """
        draws, loss = self.draws, self.settings.loss
        with torch.no_grad():
            posteriors = self.model.observe(window, draws.latent, reset_action_on_first=loss.reset_action_on_first)
            error = model_error(self.model, window, posteriors, loss, label=self.planning.label)
            deter, rssm = posteriors.foreseen[:-1], self.model.rssm
            ids = draws.latent(rssm.probabilities(rssm.prior_logits(deter)))
        value = predictor_loss(self.error_predictor, (ids, deter), error)
        norm = self.step("error_predictor", value, clip=float("inf"))  # as published
        metrics.add(
            {
                "mag/model_error": float(error.mean()),
                "mag/predictor_loss": float(value.detach()),
                "mag/predictor_gradient_norm": norm,
            }
        )

    def predict_by(self, world: Imagination) -> Predict:
        return Planning(world=world, error=self.predicted_error, settings=self.planning)

    def predicted_error(self, states: JointStates) -> Tensor:
        """Mean over the agents [M]."""
        predicted: Tensor = self.error_predictor(*states.latents).mean((-1, -2))
        return predicted
