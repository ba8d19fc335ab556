"""What to run: bundles, world, episodes, pace.  Checked as a whole before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from coordinator.plan.settings import DEFAULTS, PERMUTED, RunSettings, late_policy_of
from coordinator.world.world import World
from heliograph import codecs
from heliograph.action_rows import ActionRows
from heliograph.actions import ActionSpace, DiscreteActions
from heliograph.bundle import Bundle
from heliograph.environments import registry
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleMismatch, SettingsError
from heliograph.manifest import Manifest
from heliograph.settings import merge

LABELS = {"open": "with messages", "cut": "every message masked", PERMUTED: "messages of another episode"}
"""The ways to run a pass of episodes: links as the world says, or cut, or as it says for what was said elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Plan(RunSettings):
    """A run: `episodes` for each of `conditions`, numbered through, so that no two share a number or a seed."""

    bundles: tuple[Bundle, ...]
    environment: str
    parameters: dict[str, Any] = field(default_factory=dict)
    permission: Permission = CATALOGUE_ONLY
    """To make that environment with these parameters, both of which the bundles name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Said here, once for all that run teams, so that reports and logbooks tell what was really done.
        object.__setattr__(self, "late_policy", late_policy_of(self.manifest, self.late_policy))
        if not self.conditions or any(name not in LABELS for name in self.conditions):
            raise SettingsError(f"conditions are {', '.join(LABELS)}, not {self.conditions}")
        if PERMUTED in self.conditions:
            self._check_permuting()
        if self.bundles and self.manifest.sending is not None:
            self._check_withholding()
        if self.bundles and self.late_policy == "predict" and self.manifest.predicts is None:
            raise SettingsError(
                "these bundles predict no messages that are not there",
                remedy="Give --late hold or mask, or train a team with channel.late = predict",
            )
        if self.manifest.message is not None:
            codecs.make(self.codec, self.manifest.message, self.bundles[0].tables)
        elif self.codec != codecs.BIT_PACKED:
            raise SettingsError(f"bundles that send no messages have no use for codec {self.codec!r}")

    def _check_permuting(self) -> None:
        if self.bundles and (self.manifest.message is None or len(self.bundles) == 1):
            raise SettingsError(
                "this team exchanges no messages, so there are none of another episode for it",
                remedy="Evaluate it with --links open",
            )
        if self.episodes < 2:
            raise SettingsError("messages of another episode need a second one", remedy="Give at least 2 episodes")
        if self.record is not None:
            raise SettingsError(
                "a recording tells what agents send, and what they receive here is of another episode",
                remedy="Record another condition",
            )
        if self.channel is not None and self.channel.rate_bits is not None:
            raise SettingsError(
                "channel: rate-bits goes by what agents send here, and what is received is of another episode",
                remedy="Leave out rate-bits",
            )

    def _check_withholding(self) -> None:
        if self.late_policy == "mask":
            raise SettingsError(
                "these bundles withhold messages that are as before, which would be missing", remedy="Give --late hold"
            )
        if self.channel is not None and self.channel.rate_bits is not None:
            raise SettingsError(
                "channel: rate-bits counts a message at every step, and these bundles withhold some",
                remedy="Leave out rate-bits",
            )
        if self.channel is not None and self.channel.nearest is not None:
            raise SettingsError(
                "channel: with nearest not everyone receives from everyone, and these bundles withhold messages",
                remedy="Leave out nearest",
            )

    @property
    def manifest(self) -> Manifest:
        return self.bundles[0].manifest

    @cached_property
    def rows(self) -> ActionRows:
        """How the actions of the team stand in one array."""
        return ActionRows(tuple(bundle.manifest.actions for bundle in self.bundles))

    def world(self, name: str) -> World:
        """The world of a pass.  Raises BundleMismatch if the bundles' sizes are not those of the environment."""
        environment = registry.make(self.environment, count=1, parameters=self.parameters, permission=self.permission)
        for bundle in self.bundles:
            check_sizes(bundle.manifest, environment.spec)
        # Bundles without messages have nothing to hear, and nobody should count what they do not hear.
        message = self.manifest.message
        if self.manifest.sending is not None and not environment.spec.complete_graph:
            raise SettingsError(
                f"these bundles withhold messages, and in {self.environment} as it is here not everyone receives from "
                "everyone",
                remedy="Whoever comes into reach would have no last message; run them in the world of their training",
            )
        return World(
            environment,
            links_cut=name == "cut" or message is None,
            channel=self.channel,
            codec=None if message is None else codecs.make(self.codec, message, self.bundles[0].tables),
            longest_bits=0 if message is None else message.codec.payload_bits,
            most_steps=self.most_steps,
        )

    @property
    def reports_latents(self) -> bool:
        """Whether the coordinator is told what agents say: to record it, or since its size decides what gets by."""
        limited = self.channel is not None and self.channel.rate_bits is not None
        message = self.manifest.message
        alike = self.codec == codecs.BIT_PACKED and not (message is not None and message.prefix)
        return self.record is not None or (limited and not alike)

    def first_episode(self, name: str) -> int:
        return self.conditions.index(name) * self.episodes

    def donor(self, name: str, episode: int) -> int:
        """The episode of this condition whose messages are heard in one of it, where they are permuted: the next."""
        first = self.first_episode(name)
        return first + (episode - first + 1) % self.episodes


def make_plan(
    bundles: Iterable[Bundle],
    settings: RunSettings = DEFAULTS,
    *,
    agents: int | None = None,
    environment: str | None = None,
    permission: Permission = CATALOGUE_ONLY,
    overrides: Sequence[str] = (),
    **changes: Any,
) -> Plan:
    """A plan for `bundles` in the world that they were trained in, with `key=value` overrides of its parameters.

    `changes` are fields of the settings, in place of what those say.  `permission` is that to make this world; what the
    environment and the overrides are asked to be needs no more.
    Raises BundleMismatch if they are for another team size or another environment than asked for, EnvironmentUntrusted
    for a world that the permission lacks.
    """
    team = tuple(bundles)
    manifest = team[0].manifest
    if agents is not None and agents != len(team):
        raise BundleMismatch(f"bundles are for a team of {len(team)}, not of {agents}")
    if environment is not None and environment != manifest.environment:
        raise BundleMismatch(f"bundles were trained in {manifest.environment!r}, not in {environment!r}")
    plan = Plan(
        bundles=team,
        environment=manifest.environment,
        permission=permission.also([] if environment is None else [environment], overrides),
        parameters=merge(manifest.environment_parameters, overrides),
        **{each.name: getattr(settings, each.name) for each in fields(settings)} | changes,
    )
    # Made once here, so that a wrong parameter or size is told before any process starts.
    plan.world(plan.conditions[0]).environment.close()
    return plan


def check_sizes(manifest: Manifest, spec: EnvironmentSpec) -> None:
    """Raise BundleMismatch unless team, observation and action sizes agree, and continuous actions altogether."""
    for name, bundle_has, world_has in (
        ("agents", manifest.team_size, spec.agents),
        ("observation size", manifest.observation_size, spec.observation_size),
    ):
        if bundle_has != world_has:
            raise BundleMismatch(f"{name}: bundles are made for {bundle_has}, environment {spec.id!r} has {world_has}")
    made_for, offered = manifest.actions, spec.action_space(manifest.slot)
    if made_for.kind == offered.kind and made_for.mask_size != offered.mask_size:
        raise BundleMismatch(
            f"actions: bundles are made for {made_for.mask_size}, environment {spec.id!r} has {offered.mask_size}"
        )
    if made_for != offered:
        raise BundleMismatch(
            f"actions: the bundle of slot {manifest.slot} is made for {_in_words(made_for)}, "
            f"environment {spec.id!r} has {_in_words(offered)}"
        )


def _in_words(actions: ActionSpace) -> str:
    if isinstance(actions, DiscreteActions):
        return f"{actions.count} numbered ones"
    bounds = ", ".join(f"{low:g} .. {high:g}" for low, high in zip(actions.low, actions.high, strict=True))
    return f"{actions.bits} bits for each of {bounds}"
