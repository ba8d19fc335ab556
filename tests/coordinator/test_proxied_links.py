"""The lower slot of a pair is told of a proxy, which is there and leads to its peer; the higher one never dials."""

from __future__ import annotations

import asyncio

from coordinator.links.proxied_links import ProxiedLinks
from coordinator.serving.roster import Member

HOST = "127.0.0.1"


def test_every_pair_has_a_proxy_that_listens_and_leads_to_the_higher_slot() -> None:
    async def play() -> list[bytes]:
        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"flash")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, HOST, 0)
        peer = f"{HOST}:{server.sockets[0].getsockname()[1]}"
        heard = []
        async with asyncio.timeout(60), ProxiedLinks(team_size=3, listen=HOST) as links:
            for low, high in ((0, 1), (0, 2), (1, 2)):
                above = Member(slot=high, peer_address=peer, instance="one", bundle_digest="")
                below = Member(slot=low, peer_address=peer, instance="one", bundle_digest="")
                assert links.address_of(high, below) == peer
                told = links.address_of(low, above)
                assert told != peer
                reader, writer = await asyncio.open_connection(*told.rsplit(":", 1))
                heard.append(await reader.readexactly(5))
                writer.close()
        server.close()
        return heard

    assert asyncio.run(play()) == [b"flash"] * 3
