"""Settings of what MAG adds to MAMBA, whose own stay where they are."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveFloat

from trainer.world_model.settings import ErrorLabel, PlanningSettings


class MagSettings(PlanningSettings):
    label: ErrorLabel = "whole"
    """What the predictor learns to tell: a row's whole loss, or one whose reconstruction has been divided until nothing
    of it is left (the released code)."""
    predictor_updates: NonNegativeInt = 60
    """Updates of the error predictor per training iteration, each on fresh windows, after those of the model."""
    predictor_learning_rate: PositiveFloat = 5e-4
