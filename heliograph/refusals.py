"""Calls that a server refuses: ended with a reason, and counted.  For the houses that serve; imports grpc."""

from __future__ import annotations

from collections import Counter
from typing import Any, NoReturn

import grpc
import grpc.aio


class Refusals:
    """`counts` are by name of the gRPC status that a call was ended with."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def refuse(self, context: grpc.aio.ServicerContext[Any, Any], status: str, sentence: str) -> NoReturn:
        """End the call, and with it the handler that this is awaited in."""
        self.counts[status] += 1
        await context.abort(grpc.StatusCode[status], sentence)
