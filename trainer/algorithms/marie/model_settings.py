"""Settings of MARIE's world model: its sizes, what its heads predict, the paper's ablations (MARIE §3.2, A.2-A.4)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from heliograph.settings import Settings

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class RewardBinsSettings(Settings):
    """Of `reward = bins`: a distribution over symlog(reward), whose target is a Gaussian around it (Farebrother et al.
    2024)."""

    count: PositiveInt = 128
    lowest: float = -3.0
    highest: float = 3.0
    """In units of symlog, so that 3 stands for a reward of 19."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.lowest < self.highest:
            raise ValueError(f"reward_bins.lowest = {self.lowest} is not below reward_bins.highest = {self.highest}")
        return self


class PerceiverSettings(Settings):
    cross_heads: PositiveInt = 8
    cross_width: PositiveInt = 64
    """Of each head, over what all agents see and do."""
    inner_layers: PositiveInt = 2
    inner_heads: PositiveInt = 8
    inner_width: PositiveInt = 64
    """Of each head, over the agents' aggregates."""


class MarieModelSettings(Settings):
    """Published values are the defaults."""

    manner: Literal["decentralised", "centralised"] = "decentralised"
    """A sequence for each agent, or the paper's ablation: one of all agents' tokens and actions together."""
    aggregation: Literal["perceiver", "none"] = "perceiver"
    """What an agent's sequence knows of the others: a vector at every step, or, in the paper's ablation, nothing.  A
    centralised model needs none."""
    context: PositiveInt = 15
    """Steps for which there are positions; training windows are at most so long."""
    slide: NonNegativeInt = 0
    """Steps that imagination forgets at once when its context is full, to go on with the rest read anew from the first
    position; 0: a horizon that outgrows the context is refused."""
    width: PositiveInt = 256
    layers: PositiveInt = 10
    heads: PositiveInt = 4
    """Attention heads; must divide `width`."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the world model's matrix products, in updates and in imagination; weights, norms, losses, draws, tokenizer and
    policy keep single precision.  Half the time where a processor or GPU multiplies bfloat16 natively."""
    dropout: Probability = 0.1
    """After the embedding, on attention weights and after every block, in the Perceiver too; in model updates only."""
    initialisation: Literal["published", "scaled"] = "published"
    """Deviation of initial matrices and embeddings: 0.02 for all, from which a narrow model first learns nothing but
    how often what happens; or, so that what is read shows from the start, 1 over the root of a matrix's inputs, and 0.5
    of embeddings."""
    perceiver: PerceiverSettings = PerceiverSettings()
    action_bins: PositiveInt = 256
    """Of each dimension of a continuous action, which is a token of its own."""
    reward: Literal["smooth_l1", "bins"] = "smooth_l1"
    """The reward as one number, or as a distribution, which the authors use on 2m_vs_1z and MAMuJoCo."""
    reward_bins: RewardBinsSettings = RewardBinsSettings()
    available: Literal["pairs", "bernoulli"] = "pairs"
    """Next available actions: two classes for each, averaged over actions, as in the reported runs; or one logit for
    each, summed over actions."""
    available_hidden: PositiveInt = 256
    """Width of the head of available actions, which in the released code is no matter of `width`."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"model.heads = {self.heads} does not divide model.width = {self.width}")
        if self.manner == "centralised" and self.aggregation != "none":
            raise ValueError(
                "a centralised model reads all agents in one sequence, so model.aggregation must be none, "
                f"not {self.aggregation}"
            )
        if self.slide >= self.context:
            raise ValueError(f"model.slide = {self.slide} leaves nothing of model.context = {self.context}")
        return self


class MarieLossSettings(Settings):
    """Weights, and what is trained where an episode ends; `published` is what the released code does."""

    reward_scale: NonNegativeFloat = 1.0
    """Weight of the reward's loss; published: 1, which is little where rewards are small fractions."""
    observation: Literal["tokens", "published"] = "tokens"
    """`tokens`: the mean over all tokens that an episode goes on to.  `published`: sequences are cut at each agent's
    own end, repeated ends included, and the mean is taken over the means of the parts: a part of one step then weighs
    as much as one of fifteen, and nobody learns what others see of an agent that is out."""
    available: Literal["recorded", "published"] = "recorded"
    """`recorded`: the actions that were available, where an episode goes on.  `published`: after an agent's end all of
    them, even if its episode goes on with a single legal action."""


class MarieOptimiserSettings(Settings):
    learning_rate: PositiveFloat = 1e-4
    weight_decay: NonNegativeFloat = 0.01
    """AdamW's, on the matrices of linear layers alone: embeddings, queries, norms and biases have none."""
    gradient_clip: PositiveFloat = 10.0
    warm_up_updates: NonNegativeInt = 0
    """Updates over which the learning rate rises linearly."""
    at_once: NonNegativeInt = 0
    """Windows that go through the model at once; the gradients of a batch add up.  The step is the same, but for other
    draws of dropout, and takes less memory, and on a CPU less time, as what is worked on stays in its caches; 0: the
    whole batch, for a GPU."""
