"""Calls that a server refuses: ended with a reason, and counted.  For the packages that serve; imports grpc."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError


class Refusals:
    """`counts` are by name of the gRPC status that a call was ended with."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def refuse(self, context: grpc.aio.ServicerContext[Any, Any], status: str, sentence: str) -> NoReturn:
        """End the call, and with it the handler that this is awaited in."""
        self.count(status)
        await context.abort(grpc.StatusCode[status], sentence)

    def count(self, status: str) -> None:
        """Count what was refused before it became a call."""
        self.counts[status] += 1


class RequestGuard(grpc.aio.ServerInterceptor):
    """Ends a call whose single request is no message of its kind with INVALID_ARGUMENT, counted.

    Left to itself gRPC ends it with UNKNOWN and logs a traceback.  Handlers of a stream of requests read bytes and
    parse them themselves, so that what came before the malformed one is not lost.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming or handler.request_deserializer is None:
            return handler
        parse, name = handler.request_deserializer, handler_call_details.method
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

        async def parsed(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return parse(data)
            except DecodeError:
                sentence = f"the request of {name} is no message of its kind ({len(data)} bytes)"
                await self._refusals.refuse(context, "INVALID_ARGUMENT", sentence)

        async def answer(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            return await behaviour(await parsed(data, context), context)

        async def answers(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async for response in behaviour(await parsed(data, context), context):
                yield response

        if not handler.response_streaming:
            return handler._replace(request_deserializer=None, unary_unary=answer)
        # A handler of a streamed response either yields it or writes it to its context.
        streamed = answers if inspect.isasyncgenfunction(behaviour) else answer
        return handler._replace(request_deserializer=None, unary_stream=streamed)
