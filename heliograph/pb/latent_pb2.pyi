from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LatentCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATENT_CODEC_UNSPECIFIED: _ClassVar[LatentCodec]
    LATENT_CODEC_BIT_PACKED: _ClassVar[LatentCodec]
    LATENT_CODEC_ENTROPY: _ClassVar[LatentCodec]
    LATENT_CODEC_MOST_INFORMATIVE: _ClassVar[LatentCodec]
    LATENT_CODEC_REPEATS: _ClassVar[LatentCodec]
LATENT_CODEC_UNSPECIFIED: LatentCodec
LATENT_CODEC_BIT_PACKED: LatentCodec
LATENT_CODEC_ENTROPY: LatentCodec
LATENT_CODEC_MOST_INFORMATIVE: LatentCodec
LATENT_CODEC_REPEATS: LatentCodec

class LatentCoding(_message.Message):
    __slots__ = ("codec", "kept", "tables_sha256")
    CODEC_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    TABLES_SHA256_FIELD_NUMBER: _ClassVar[int]
    codec: LatentCodec
    kept: int
    tables_sha256: str
    def __init__(self, codec: _Optional[_Union[LatentCodec, str]] = ..., kept: _Optional[int] = ..., tables_sha256: _Optional[str] = ...) -> None: ...
