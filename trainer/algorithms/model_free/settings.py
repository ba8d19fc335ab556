"""Settings of the model-free baselines; what is published is MAPPO's (Yu et al. 2022)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from heliograph.settings import Settings
from trainer.nets.settings import LatentSettings
from trainer.policy.settings import Share


class PpoSettings(Settings):
    """One update: `epochs` of PPO over what was collected since the one before."""

    sequence: PositiveInt = 10
    """Rows through which gradients go back; each sequence begins with the recurrent state that was acted with."""
    epochs: PositiveInt = 5
    minibatches: PositiveInt = 1
    """Parts into which the sequences are split at random in every epoch."""
    discount: Share = 0.99
    trace: Share = 0.95
    """Lambda of the lambda-return, whose difference to the value is the generalised advantage estimate."""
    reward_sharing: Literal["team", "individual"] = "team"
    """Everyone is paid the mean over the agents until all have ended, or its own reward until its own end."""
    advantage_normalisation: bool = True
    """Over everything that was collected."""
    value_normalisation: bool = True
    """The critic learns returns less their running mean, in units of their deviation; needed where they are large."""
    clip: PositiveFloat = 0.2
    entropy_scale: NonNegativeFloat = 0.01
    actor_learning_rate: PositiveFloat = 5e-4
    critic_learning_rate: PositiveFloat = 5e-4
    gradient_clip: PositiveFloat = 10.0


class RecurrentSettings(Settings):
    """Sizes of agents that remember and hear nobody."""

    hidden: PositiveInt = 64
    """Width of every hidden layer, of the critic, too."""
    recurrent: PositiveInt = 64
    """GRU size."""
    image_channels: PositiveInt = 16
    """Channels of the first convolution over an observed image; the next layers have two and four times as many."""


class MappoSettings(RecurrentSettings):
    ppo: PpoSettings = PpoSettings()


class MessagingSettings(MappoSettings):
    """MAPPO's agents, which also send and receive messages."""

    categoricals: PositiveInt = 32
    """Categorical variables in a message."""
    classes: Annotated[int, Field(ge=2)] = 32
    """Classes of each; 32 x 32 is a message of 160 bits."""
    message_scale: PositiveFloat = 1.0
    """Initial scale of the layer that messages are drawn from; above 1 they start as informative codes."""
    message_sees: bool = False
    """Whether messages are drawn from what was seen at the step, too, beside the recurrent state, in which that is
    little as long as nothing has been learned."""
    state_scale: NonNegativeFloat = 0.0
    """Weight of an auxiliary loss: by how much (squared error, summed) the recurrent state of each agent fails to tell
    the simulator's state, or where there is none all observations; in training alone.  0: there is none."""
    gate: bool = False
    """Whether an agent decides at every step if it says anything (IC3Net)."""


class TalkingSettings(LatentSettings):
    """Sizes of agents that talk; those of MAMBA, whose latents are messages just like these."""

    communication_layers: PositiveInt = 1
    """Encoder layers of the communication block."""
    heads: PositiveInt = 4
    """Attention heads, of the critic, too; must divide `hidden`."""
    communication: Literal["ego", "central", "none"] = "ego"
    """Who is read on an incomplete graph: the runtime's ego sets, or masked central attention.  `none`: nobody ever is,
    and bundles send nothing."""


class AttentionPpoSettings(Settings):
    policy: TalkingSettings = TalkingSettings()
    ppo: PpoSettings = PpoSettings()
