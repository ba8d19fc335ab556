"""Peer streams by grpcio: the reference, which speaks all of gRPC.  Imported by `choice.py`.

The service works on bytes, so that a malformed message is counted and refused by the node's own code and does not end
the stream inside gRPC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import grpc
import grpc.aio

from agent_node.hello import EXCHANGE, HELLO_METADATA, METHOD, SERVICE, hello_bytes
from agent_node.stream_writer import StreamWriter
from agent_node.transport.seam import QUEUED_MESSAGES, CallEnded, Handler, Take, refused
from heliograph import rpc
from heliograph.certificates.identity import Identity
from heliograph.listening import parse_address
from heliograph.refusals import Refusals
from heliograph.renewed_channel import RenewedChannel
from heliograph.tls import Tls, peer_identity

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
StreamCall: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"


class GrpcioTransport:
    """A `Transport`."""

    def server(self, *, tls: Tls | None, refusals: Refusals) -> GrpcioServer:
        return GrpcioServer(tls=tls, refusals=refusals)

    def line(self, address: str, *, tls: Tls | None, peer: Identity) -> GrpcioLine:
        return GrpcioLine(address, tls=tls, peer=peer)


class _Call:
    """What both ends of a stream have in common."""

    def __init__(self, *, read: Callable[[], Awaitable[object]], write: Callable[[bytes], Awaitable[None]]) -> None:
        self._read = read
        self._writer: StreamWriter[bytes] = StreamWriter(write, limit=QUEUED_MESSAGES)

    def send(self, data: bytes) -> bool:
        return self._writer.send(data)

    def attend(self) -> None:
        return  # gRPC reads on by itself

    def rest(self) -> None:
        return

    async def flush(self, *, timeout_s: float) -> bool:
        return await self._writer.flush(timeout_s=timeout_s)

    def abandon(self) -> None:
        self._writer.abandon()

    async def receive(self, take: Take) -> None:
        """Cancelling this cancels the call as well."""
        try:
            # Cheaper than a call's iterator, which is a generator around the same read.
            while isinstance(data := await self._read(), bytes):  # until it is EOF
                take(data)
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from None


class _Dialled(_Call):
    def __init__(self, call: StreamCall) -> None:
        super().__init__(read=call.read, write=call.write)
        self._call = call

    async def answer(self) -> bytes:
        try:
            hello = hello_bytes(await self._call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from None
        if not hello:
            raise refused((await self._call.code()).name, await self._call.details() or "")
        return hello

    async def half_close(self) -> None:
        try:
            await self._call.done_writing()
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from None

    def cancel(self) -> None:
        self._call.cancel()


class _Accepted(_Call):
    def __init__(self, context: Context) -> None:
        super().__init__(read=context.read, write=context.write)
        self._context = context
        self.hello = hello_bytes(context.invocation_metadata())
        self.peer = context.peer()
        self.identity = peer_identity(context)

    async def accept(self, hello: bytes) -> None:
        await self._context.send_initial_metadata(((HELLO_METADATA, hello),))


class GrpcioServer:
    """A `PeerServer`."""

    def __init__(self, *, tls: Tls | None, refusals: Refusals) -> None:
        self._tls = tls
        self._server = rpc.server(max_message_bytes=rpc.MAX_PEER_BYTES, refusals=refusals)
        self.health = rpc.Health(self._server)

    def serve(self, handler: Handler) -> None:
        async def serve(_messages: AsyncIterator[bytes], context: Context) -> None:
            try:
                await handler(_Accepted(context))
            except CallEnded as ended:
                await context.abort(grpc.StatusCode[ended.grpc_status], ended.message)

        behaviour: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(serve)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: behaviour}),))

    def bind(self, listen: str, *, insecure: bool) -> int:
        return rpc.bind(self._server, listen, tls=self._tls, insecure=insecure)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, *, grace_s: float) -> None:
        await self._server.stop(grace=grace_s)


class GrpcioLine:
    """A `Line`: one channel, whose connection is made again with the newest certificate."""

    def __init__(self, address: str, *, tls: Tls | None, peer: Identity) -> None:
        parse_address(address)  # a channel looks at it later
        self._channel = RenewedChannel(address, max_message_bytes=rpc.MAX_PEER_BYTES, tls=tls, peer=peer)

    async def call(self, hello: bytes) -> _Dialled:
        exchange: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = (await self._channel.newest()).stream_stream(
            EXCHANGE
        )
        return _Dialled(exchange(metadata=((HELLO_METADATA, hello),)))

    async def close(self) -> None:
        await self._channel.close()


def _ended(error: grpc.aio.AioRpcError) -> CallEnded:
    return CallEnded(error.code().name, error.details() or "")
