"""A channel that follows the certificate of its process.  For the roles that talk.

A gRPC channel keeps the certificate that it was made with, for ever; so whoever dials again and again asks here for
the channel each time.
"""

from __future__ import annotations

import grpc.aio

from heliograph import rpc
from heliograph.certificates.identity import Identity
from heliograph.tls import Tls


class RenewedChannel:
    """A channel to `address`, as `rpc.channel` makes it; closed and made again when the files of `tls` have changed."""

    def __init__(
        self, address: str, *, max_message_bytes: int, tls: Tls | None = None, peer: Identity | None = None
    ) -> None:
        self._address, self._max_message_bytes, self._tls, self._peer = address, max_message_bytes, tls, peer
        self._channel: grpc.aio.Channel | None = None
        self._credentials: grpc.ChannelCredentials | None = None

    async def newest(self) -> grpc.aio.Channel:
        """The channel, with the certificate of now; a call over the one before may be cut by this."""
        credentials = None if self._tls is None else self._tls.channel_credentials()
        if self._channel is None or credentials is not self._credentials:
            await self.close()
            self._credentials = credentials
            self._channel = rpc.channel(
                self._address, max_message_bytes=self._max_message_bytes, tls=self._tls, peer=self._peer
            )
        return self._channel

    def cause(self, error: BaseException) -> str:
        """Why a connection failed: what gRPC says, and what that cannot say, that our own certificate has expired."""
        said = f"{error.code().name} {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else str(error)
        trouble = "" if self._tls is None else self._tls.trouble()
        return f"{said or type(error).__name__}; {trouble}" if trouble else said or type(error).__name__

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
