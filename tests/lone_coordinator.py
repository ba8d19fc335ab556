"""A coordination service that does what a test tells it, one node at a time: the wire without a world behind it.

For tests of the node that need a coordinator to misbehave, or nothing but its stream.  Where a working coordinator is
wanted, tests use the real one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

import grpc
import grpc.aio
import numpy as np

from heliograph import rpc
from heliograph.bundle import Bundle
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc

DEADLINE_S = 30.0


class NodeSession:
    """The coordinator's end of one node's session."""

    def __init__(self, context: grpc.aio.ServicerContext, join: pb.Join) -> None:
        self.join = join
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = context

    async def send(self, **kind: object) -> None:
        await self._context.write(pb.CoordinatorMessage(**kind))

    async def agent_input(self, step: int, *, episode: int = 0, size: int = 6, **fields: object) -> None:
        observation = np.full(size, 0.5, dtype="<f4").tobytes()
        fields = {"observation": observation, "action_mask": b"\1" * 5, "message_deadline_us": 50_000} | fields
        await self.send(percept=pb.Percept(episode=episode, step=step, **fields))

    async def receive(self, kind: str) -> object:
        """The next message of this kind; others on the way to it are skipped."""
        while True:
            message = await self._context.read()
            assert message is not grpc.aio.EOF, f"the node left before any {kind}"
            if message.WhichOneof("kind") == kind:
                return getattr(message, kind)

    async def left(self) -> None:
        """Return once the node has half-closed."""
        while await self._context.read() is not grpc.aio.EOF:
            pass


class LoneCoordinator(coordination_pb2_grpc.CoordinationServicer):
    """Async context manager.  Hands out `bundle`, welcomes every node with `welcome` and yields its `session`."""

    def __init__(self, bundle: Bundle | None = None, *, digest: str | None = None, **welcome: object) -> None:
        self._tar = b"" if bundle is None else bundle.to_tar()
        self._digest = digest if digest is not None else bundle.digest if bundle is not None else ""
        team_size = 2 if bundle is None else bundle.manifest.team_size
        defaults = {"run_id": "run", "run_seed": 3, "team_size": team_size, "greedy": True}
        defaults["late_policy"] = "LATE_POLICY_MASK"
        self._welcome = pb.Welcome(**(defaults | welcome))
        self._sessions: asyncio.Queue[NodeSession] = asyncio.Queue()
        self.address = ""

    async def session(self) -> NodeSession:
        """The next node that joined; it is welcomed, and has no roster yet."""
        return await asyncio.wait_for(self._sessions.get(), DEADLINE_S)

    async def FetchBundle(self, request, context):  # noqa: N802
        for start in range(0, len(self._tar), rpc.BUNDLE_CHUNK_BYTES):
            yield pb.BundleChunk(data=self._tar[start : start + rpc.BUNDLE_CHUNK_BYTES])
        yield pb.BundleChunk(digest=self._digest)

    async def Participate(self, requests, context):  # noqa: N802
        first = await context.read()
        session = NodeSession(context, first.join)
        await session.send(welcome=self._welcome)
        self._sessions.put_nowait(session)
        await session.over

    async def __aenter__(self) -> LoneCoordinator:
        self._server = rpc.server(max_message_bytes=rpc.MAX_CONTROL_BYTES)
        coordination_pb2_grpc.add_CoordinationServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{rpc.bind(self._server, '127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(grace=0)
