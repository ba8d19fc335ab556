"""What a world model gets wrong, and a network that tells it in advance (MAG, "Approximating R_m").

Axis legend: T time, B windows, N agents, D observation, K categoricals, G recurrent size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.experience.window import Window
from trainer.nets.perceptron import FeatureHead
from trainer.nets.settings import LatentSettings
from trainer.policy.imagined import Features
from trainer.world_model.loss import loss_rows, term_weights
from trainer.world_model.posteriors import LatentModel, Posteriors
from trainer.world_model.settings import ErrorLabel, LossSettings


def make_error_predictor(settings: LatentSettings) -> FeatureHead:
    """Head [z, h] -> predicted error of one agent's model in that imagined state: four hidden layers."""
    return FeatureHead(
        categoricals=settings.categoricals,
        classes=settings.classes,
        dense=settings.recurrent,
        hidden=settings.hidden,
        out=1,
        activation=nn.ELU,
        layers=4,
    )


@torch.no_grad()
def model_error(
    model: LatentModel, window: Window, posteriors: Posteriors, settings: LossSettings, *, label: ErrorLabel
) -> Tensor:
    """The weighted loss of every row but a window's last, whose successor nobody knows: [T-1, B, N].

    `published` divides the reconstruction by D and by the number of rows, which leaves nothing of it.
    """
    rows, weights = loss_rows(model, window, posteriors, settings), term_weights(settings)
    length = window.first.shape[0] - 1
    states = {name: values[:length] for name, values in rows.states.items()}
    if label == "published":
        reconstruction = states["reconstruction"]
        states["reconstruction"] = reconstruction / (window.observation.shape[-1] * reconstruction.numel())
    pairs = {name: values * rows.within[: len(values)] for name, values in rows.pairs.items()}
    error = torch.stack([weights[name] * values for name, values in states.items()]).sum(0)
    error += weights["reward"] * pairs["reward"] + weights["continue"] * pairs["continue"]
    # The pair of an action belongs to the row that it leaves, but what tells the action apart to the row after.
    error[1:] += weights["information"] * pairs["information"][: length - 1]
    return error


def predictor_loss(predictor: nn.Module, features: Features, error: Tensor) -> Tensor:
    """Smooth-L1 of the prediction for features [..., N, ...] to the error [..., N]."""
    return functional.smooth_l1_loss(predictor(*features).squeeze(-1), error)
