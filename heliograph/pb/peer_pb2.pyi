from heliograph.pb import latent_pb2 as _latent_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("protocol_version", "run_id", "slot", "bundle_digest", "instance", "coding")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CODING_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    run_id: str
    slot: int
    bundle_digest: str
    instance: str
    coding: _latent_pb2.LatentCoding
    def __init__(self, protocol_version: _Optional[int] = ..., run_id: _Optional[str] = ..., slot: _Optional[int] = ..., bundle_digest: _Optional[str] = ..., instance: _Optional[str] = ..., coding: _Optional[_Union[_latent_pb2.LatentCoding, _Mapping]] = ...) -> None: ...

class LatentMessage(_message.Message):
    __slots__ = ("episode", "step", "latent", "action", "codec", "levels")
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LATENT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    episode: int
    step: int
    latent: bytes
    action: int
    codec: _latent_pb2.LatentCodec
    levels: bytes
    def __init__(self, episode: _Optional[int] = ..., step: _Optional[int] = ..., latent: _Optional[bytes] = ..., action: _Optional[int] = ..., codec: _Optional[_Union[_latent_pb2.LatentCodec, str]] = ..., levels: _Optional[bytes] = ...) -> None: ...
