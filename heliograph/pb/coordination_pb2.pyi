from heliograph.pb import latent_pb2 as _latent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LatePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATE_POLICY_UNSPECIFIED: _ClassVar[LatePolicy]
    LATE_POLICY_MASK: _ClassVar[LatePolicy]
    LATE_POLICY_HOLD: _ClassVar[LatePolicy]
    LATE_POLICY_PREDICT: _ClassVar[LatePolicy]
LATE_POLICY_UNSPECIFIED: LatePolicy
LATE_POLICY_MASK: LatePolicy
LATE_POLICY_HOLD: LatePolicy
LATE_POLICY_PREDICT: LatePolicy

class FetchBundleRequest(_message.Message):
    __slots__ = ("slot", "any_slot", "digest")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    ANY_SLOT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    slot: int
    any_slot: bool
    digest: str
    def __init__(self, slot: _Optional[int] = ..., any_slot: bool = ..., digest: _Optional[str] = ...) -> None: ...

class BundleChunk(_message.Message):
    __slots__ = ("data", "digest")
    DATA_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    digest: str
    def __init__(self, data: _Optional[bytes] = ..., digest: _Optional[str] = ...) -> None: ...

class NodeMessage(_message.Message):
    __slots__ = ("join", "connected", "act", "counters", "prepared")
    JOIN_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    ACT_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    PREPARED_FIELD_NUMBER: _ClassVar[int]
    join: Join
    connected: Connected
    act: Act
    counters: Counters
    prepared: Prepared
    def __init__(self, join: _Optional[_Union[Join, _Mapping]] = ..., connected: _Optional[_Union[Connected, _Mapping]] = ..., act: _Optional[_Union[Act, _Mapping]] = ..., counters: _Optional[_Union[Counters, _Mapping]] = ..., prepared: _Optional[_Union[Prepared, _Mapping]] = ...) -> None: ...

class Join(_message.Message):
    __slots__ = ("protocol_version", "slot", "instance", "peer_address", "bundle_digest", "resumes")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PEER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESUMES_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    slot: int
    instance: str
    peer_address: str
    bundle_digest: str
    resumes: str
    def __init__(self, protocol_version: _Optional[int] = ..., slot: _Optional[int] = ..., instance: _Optional[str] = ..., peer_address: _Optional[str] = ..., bundle_digest: _Optional[str] = ..., resumes: _Optional[str] = ...) -> None: ...

class Connected(_message.Message):
    __slots__ = ("slots",)
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, slots: _Optional[_Iterable[int]] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("welcome", "roster", "percept", "counters_request", "shutdown", "prepare", "switch")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    PERCEPT_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    SWITCH_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    roster: Roster
    percept: Percept
    counters_request: CountersRequest
    shutdown: Shutdown
    prepare: Prepare
    switch: Switch
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., roster: _Optional[_Union[Roster, _Mapping]] = ..., percept: _Optional[_Union[Percept, _Mapping]] = ..., counters_request: _Optional[_Union[CountersRequest, _Mapping]] = ..., shutdown: _Optional[_Union[Shutdown, _Mapping]] = ..., prepare: _Optional[_Union[Prepare, _Mapping]] = ..., switch: _Optional[_Union[Switch, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("run_id", "run_seed", "team_size", "greedy", "late_policy", "report_latents", "coding", "rejoin_ms")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_SEED_FIELD_NUMBER: _ClassVar[int]
    TEAM_SIZE_FIELD_NUMBER: _ClassVar[int]
    GREEDY_FIELD_NUMBER: _ClassVar[int]
    LATE_POLICY_FIELD_NUMBER: _ClassVar[int]
    REPORT_LATENTS_FIELD_NUMBER: _ClassVar[int]
    CODING_FIELD_NUMBER: _ClassVar[int]
    REJOIN_MS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    run_seed: int
    team_size: int
    greedy: bool
    late_policy: LatePolicy
    report_latents: bool
    coding: _latent_pb2.LatentCoding
    rejoin_ms: int
    def __init__(self, run_id: _Optional[str] = ..., run_seed: _Optional[int] = ..., team_size: _Optional[int] = ..., greedy: bool = ..., late_policy: _Optional[_Union[LatePolicy, str]] = ..., report_latents: bool = ..., coding: _Optional[_Union[_latent_pb2.LatentCoding, _Mapping]] = ..., rejoin_ms: _Optional[int] = ...) -> None: ...

class Roster(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("slot", "peer_address", "instance", "bundle_digest")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    PEER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    slot: int
    peer_address: str
    instance: str
    bundle_digest: str
    def __init__(self, slot: _Optional[int] = ..., peer_address: _Optional[str] = ..., instance: _Optional[str] = ..., bundle_digest: _Optional[str] = ...) -> None: ...

class Percept(_message.Message):
    __slots__ = ("episode", "step", "observation", "action_mask", "hears", "heard_by", "first", "message_deadline_us", "lost", "late", "late_by")
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    ACTION_MASK_FIELD_NUMBER: _ClassVar[int]
    HEARS_FIELD_NUMBER: _ClassVar[int]
    HEARD_BY_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    LATE_BY_FIELD_NUMBER: _ClassVar[int]
    episode: int
    step: int
    observation: bytes
    action_mask: bytes
    hears: _containers.RepeatedScalarFieldContainer[int]
    heard_by: _containers.RepeatedScalarFieldContainer[int]
    first: bool
    message_deadline_us: int
    lost: _containers.RepeatedScalarFieldContainer[int]
    late: _containers.RepeatedScalarFieldContainer[int]
    late_by: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, episode: _Optional[int] = ..., step: _Optional[int] = ..., observation: _Optional[bytes] = ..., action_mask: _Optional[bytes] = ..., hears: _Optional[_Iterable[int]] = ..., heard_by: _Optional[_Iterable[int]] = ..., first: bool = ..., message_deadline_us: _Optional[int] = ..., lost: _Optional[_Iterable[int]] = ..., late: _Optional[_Iterable[int]] = ..., late_by: _Optional[_Iterable[int]] = ...) -> None: ...

class Act(_message.Message):
    __slots__ = ("episode", "step", "action", "latent", "masked", "waited_us", "computed_us", "levels")
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LATENT_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    WAITED_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_US_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    episode: int
    step: int
    action: int
    latent: bytes
    masked: _containers.RepeatedScalarFieldContainer[int]
    waited_us: int
    computed_us: int
    levels: bytes
    def __init__(self, episode: _Optional[int] = ..., step: _Optional[int] = ..., action: _Optional[int] = ..., latent: _Optional[bytes] = ..., masked: _Optional[_Iterable[int]] = ..., waited_us: _Optional[int] = ..., computed_us: _Optional[int] = ..., levels: _Optional[bytes] = ...) -> None: ...

class CountersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Counters(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[LinkCounters]
    def __init__(self, links: _Optional[_Iterable[_Union[LinkCounters, _Mapping]]] = ...) -> None: ...

class LinkCounters(_message.Message):
    __slots__ = ("peer", "sent", "sent_bytes", "send_skipped", "delivered", "delivered_bytes", "late", "rejected", "masked", "sent_bits", "lost", "read", "read_bits")
    PEER_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEND_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    SENT_BITS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    READ_BITS_FIELD_NUMBER: _ClassVar[int]
    peer: int
    sent: int
    sent_bytes: int
    send_skipped: int
    delivered: int
    delivered_bytes: int
    late: int
    rejected: int
    masked: int
    sent_bits: int
    lost: int
    read: int
    read_bits: int
    def __init__(self, peer: _Optional[int] = ..., sent: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., send_skipped: _Optional[int] = ..., delivered: _Optional[int] = ..., delivered_bytes: _Optional[int] = ..., late: _Optional[int] = ..., rejected: _Optional[int] = ..., masked: _Optional[int] = ..., sent_bits: _Optional[int] = ..., lost: _Optional[int] = ..., read: _Optional[int] = ..., read_bits: _Optional[int] = ...) -> None: ...

class Prepare(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class Prepared(_message.Message):
    __slots__ = ("digest", "reason")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    digest: str
    reason: str
    def __init__(self, digest: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Switch(_message.Message):
    __slots__ = ("digest", "coding", "roster")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODING_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    digest: str
    coding: _latent_pb2.LatentCoding
    roster: Roster
    def __init__(self, digest: _Optional[str] = ..., coding: _Optional[_Union[_latent_pb2.LatentCoding, _Mapping]] = ..., roster: _Optional[_Union[Roster, _Mapping]] = ...) -> None: ...

class Shutdown(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
