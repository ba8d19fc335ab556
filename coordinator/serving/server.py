"""The coordinator as a server: binds, serves bundles and sessions, and closes without leaving a node hanging."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from functools import partial
from types import TracebackType

from coordinator.serving import wire
from coordinator.serving.bundle_store import BundleStore
from coordinator.serving.callers import Callers
from coordinator.serving.roster import Roster
from coordinator.serving.service import CoordinationService
from coordinator.serving.settings import THIS_MACHINE, ListenSettings, TeamSettings
from coordinator.serving.team import Team
from heliograph import codecs, rpc
from heliograph.bundle import Bundle
from heliograph.codecs.coding import Coding
from heliograph.guard.door import Door
from heliograph.guard.opening import PlaintextOpening, TlsOpening
from heliograph.refusals import Refusals

logger = logging.getLogger(__name__)

DISMISS_DEADLINE_S = 5.0
"""How long nodes get to leave after they were told to."""

CLOSE_GRACE_S = 1.0
"""How long calls may go on after that; then they are cut."""


BEHIND_THE_DOOR = "127.0.0.1:0"


class CoordinationServer:
    """An async context manager: inside, nodes can join at `address`; `team` is who did.

    Raises SettingsError if the bundles have not what the codec needs.  Entering raises PortTaken if the address cannot
    be had, SettingsError for one that others can reach, without TLS.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        settings: TeamSettings,
        *,
        reached: ListenSettings = THIS_MACHINE,
    ) -> None:
        store = BundleStore(bundles)
        message = bundles[0].manifest.message
        self._codec = settings.codec
        self.run_id = uuid.uuid4().hex
        self.refusals = Refusals()
        self.team = Team(
            Roster(store.digests),
            actions=[bundle.manifest.actions for bundle in bundles],
            codec=None if message is None else message.codec,
            address_of=reached.address_of,
            rejoin_s=settings.rejoin_s,
        )
        self._bundle_store = store
        self._welcome = partial(wire.welcome, settings, run_id=self.run_id, team_size=len(bundles))
        self._coding = self._coding_of(bundles[0])
        self._reached = reached
        self.address = ""
        self._door: Door | None = None

    async def __aenter__(self) -> CoordinationServer:
        self._server = rpc.server(max_message_bytes=rpc.MAX_CONTROL_BYTES, refusals=self.refusals)
        self._health = rpc.Health(self._server)
        service = CoordinationService(
            team=self.team,
            run_id=self.run_id,
            bundles=self._bundle_store,
            greeting=lambda: self._welcome(coding=self._coding),
            callers=Callers(
                self.refusals,
                client_of=lambda peer: peer if self._door is None else self._door.client_of(peer),
                certified=self._reached.tls is not None,
            ),
        )
        service.add_to(self._server)
        self.address = await self._open()
        logger.info("listening address=%s run_id=%s", self.address, self.run_id)
        return self

    async def _open(self) -> str:
        """Listen, and serve; behind a door where other machines can come.  The address to be reached at."""
        is_local = rpc.is_local(self._reached.listen)
        rpc.require_private(self._reached.listen, tls=self._reached.tls, insecure=self._reached.insecure)
        port = rpc.bind(self._server, self._reached.listen if is_local else BEHIND_THE_DOOR, tls=self._reached.tls)
        await self._server.start()
        await self._health.serving()
        if is_local:
            host, _, _ = self._reached.listen.rpartition(":")
            return self._reached.listen if host == "unix" else f"{host}:{port}"
        self._door = Door(
            listen=self._reached.listen,
            server=f"{BEHIND_THE_DOOR.rpartition(':')[0]}:{port}",
            opening=PlaintextOpening if self._reached.tls is None else TlsOpening,
            refused=self.refusals.count,
        )
        try:
            await self._door.__aenter__()
        except BaseException:
            await self._server.stop(None)
            raise
        return self._door.address

    async def hand_on(self, bundles: Sequence[Bundle], *, timeout_s: float) -> dict[int, str]:
        """Between episodes: have the whole team go on with other bundles, or nobody.

        Every node loads its bundle beside the current one (`timeout_s` at most); only when all that answer have is each
        told to switch, and joins are for the new bundles.  Returns who could not, and why: then nobody has switched.
        Raises BundleMismatch if they are for a team of another size, SettingsError if the codec cannot go by them.
        """
        coding = self._coding_of(bundles[0])
        digests = [bundle.digest for bundle in bundles]
        with self._bundle_store.offering(bundles):
            unable = await self.team.prepare(digests, timeout_s=timeout_s)
            if not unable:
                # Nothing is awaited from here on, so nobody joins between those who have prepared and the switch.
                self._bundle_store.switch()
                self._coding = coding
                self.team.switch(digests, coding=coding)
        return unable

    def _coding_of(self, bundle: Bundle) -> Coding:
        message = bundle.manifest.message
        return Coding() if message is None else Coding.of(codecs.make(self._codec, message, bundle.tables))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._health.draining()
        reason = "the run is over" if error is None else "the run was stopped"
        if not await self.team.dismiss(reason, timeout_s=DISMISS_DEADLINE_S):
            logger.warning("nodes did not leave in time slots=%s", list(self.team.live))
        await self._server.stop(CLOSE_GRACE_S)
        if self._door is not None:
            await self._door.__aexit__(None, None, None)
