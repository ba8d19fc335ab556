"""Settings of networks over latents: their sizes, and what the latents mean."""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from heliograph.settings import Settings


class LatentSettings(Settings):
    """Sizes of the networks and semantics of their latents (MAMBA §3, Table of hyper-parameters)."""

    hidden: PositiveInt = 256
    """Width of every hidden layer and of the observation embedding."""
    recurrent: PositiveInt = 256
    """GRU size; the released Flatland code uses 600 where the paper says 400."""
    categoricals: PositiveInt = 32
    """Categorical variables in a latent."""
    classes: PositiveInt = 32
    """Classes of each; 32 x 32 is a message of 160 bits."""
    position_scale: NonNegativeFloat = 1.0
    """Factor on the sinusoidal slot code; published: 1.  0: agents are not told apart by it (MAMBA, appendix C)."""
    posterior_scale: PositiveFloat = 1.0
    """Initial scale of the posterior's last layer.  Above 1, latents start as informative codes, not as noise."""
    uniform_mix: NonNegativeFloat = 0.0
    """Share of a uniform distribution mixed into prior and posterior; published: 0."""
    image_channels: PositiveInt = 16
    """Channels of the first convolution over an observed image; the next layers have two and four times as many."""
