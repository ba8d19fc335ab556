"""Settings of the world model and its loss.  Published behaviour that differs from the default is named as such."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from heliograph.settings import Settings
from trainer.nets.settings import LatentSettings


class LatentModelSettings(LatentSettings):
    """A world model of latents."""

    reward_head: Literal["linear", "scaled", "two_hot"] = "linear"
    """The reward head learns rewards as they are, as published; or on a scale that adapts, so that a world's decides
    nothing: less their running mean, in units of their deviation, in which its loss counts then, too; or by cross
    entropy, coded on points of the symmetrical logarithm of rewards in units of their running magnitude."""

    observations: Literal["raw", "standardised"] = "raw"
    """Observations are read and made again as they are, errors summed over their numbers, as published; or each number
    less its running mean, in units of its deviation, and errors averaged, so that neither a world's units nor the size
    of its observations decide what a latent keeps.  Images stay as they are."""


class WorldModelSettings(LatentModelSettings):
    """A world model whose agents communicate."""

    shared: bool = True
    """One set of parameters for all agents (as in every released code), or one for each, in a bundle of its own.  The
    critic, which stays in training, is one either way."""
    communication_layers: PositiveInt = 3
    """Encoder layers of the communication block."""
    heads: PositiveInt = 8
    """Attention heads; must divide `hidden`."""
    dropout: NonNegativeFloat = 0.1
    """In the communication block, during model updates only."""
    communication: Literal["ego", "central", "none"] = "ego"
    """Who is read on an incomplete graph: the runtime's ego sets, or the published masked central attention.  `none`:
    nobody ever is, in collecting, model updates, imagination and execution, and bundles send nothing."""
    train_with_neighbours: bool = True
    """Apply the recorded neighbour sets in model updates and imagination; published: false (full attention)."""
    imagine_with_neighbours: bool = True
    """In imagination hold the start row's neighbour sets; false: full attention there."""
    message_dropout: NonNegativeFloat = 0.0
    """Probability of hiding a sender from a receiver in model updates, so that lost messages are not news."""


class LossSettings(Settings):
    """Weights and conventions of the world-model loss (MAMBA §3.1; published values are the defaults)."""

    kl_scale: NonNegativeFloat = 1.0
    kl_reduce: Literal["mean", "sum"] = "mean"
    """Over the categoricals: the released code averages, DreamerV2 sums (32 times the weight)."""
    kl_posterior: NonNegativeFloat = 0.2
    """Weight of the KL that trains the posterior; the rest trains the prior (balanced KL)."""
    kl_free_nats: NonNegativeFloat = 0.0
    """Mean KL per latent below which it is not trained down; published: none."""
    reward_scale: NonNegativeFloat = 1.0
    reward_loss: Literal["smooth_l1", "squared"] = "smooth_l1"
    """Of a `linear` or `scaled` head; a `two_hot` one (`model.reward_head`) has cross entropy alone."""
    reconstruction_scale: NonNegativeFloat = 1.0
    reconstruction_loss: Literal["smooth_l1", "squared", "bernoulli"] = "smooth_l1"
    """`bernoulli` is for observations that consist of zeros and ones."""
    continue_scale: NonNegativeFloat = 1.0
    available_scale: NonNegativeFloat = 1.0
    information_scale: NonNegativeFloat = 1.0
    reset_action_on_first: bool = True
    """Zero the action, as well as the state, at the first row of an episode; published: false."""
    across_episodes: bool = False
    """Train reward, continuation and information at first rows too; published: true."""
    drop_last_row: bool = False
    """Leave the last row of a window out of every term but the pair terms; published: true."""


ErrorLabel = Literal["whole", "published"]


class PlanningSettings(Settings):
    """At every imagined step, candidate next states are rolled on, and the one from which the model errs least is taken
    (MAG, Algorithm 1)."""

    candidates: PositiveInt = 4
    """Next states for every imagined state (the paper's L)."""
    horizon: PositiveInt = 6
    """Transitions over which a candidate's predicted errors add up, the one to it included (the paper's H)."""
    select: Literal["row", "batch"] = "row"
    """Whose errors decide: each imagined state's own, or their mean over the whole batch (the released code, where the
    choice of one candidate for hundreds of states is nearly noise)."""


class ModelOptimiserSettings(Settings):
    learning_rate: PositiveFloat = 2e-4
    gradient_clip: PositiveFloat = 100.0
    """Largest global norm; the paper's table says 10, the released code uses 100."""
    warm_up_updates: NonNegativeInt = 0
    """Updates over which the learning rate rises linearly."""
