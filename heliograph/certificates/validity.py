"""How long a certificate is good for, in words and in days.  Imports nothing heavy."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

WARN_BELOW = 0.1
"""The share of a certificate's lifetime with which it runs out: nine days of ninety."""

RENEWAL = "issue it again with `heliograph certificates issue --renew`; processes that run take it by themselves"


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Of one certificate."""

    name: str
    """ "tls.crt", the process's own, or "ca.crt", that of the authority which signed it."""
    since: datetime.datetime
    until: datetime.datetime

    def days_left(self) -> float:
        """Negative once it has expired."""
        return (self.until - _now()).total_seconds() / 86400

    @property
    def state(self) -> str:
        """ "good", "early", "ending" or "expired"."""
        now = _now()
        if now >= self._over_from():
            return "expired"
        if now < self.since:
            return "early"
        return "ending" if self._ends_from() <= now else "good"

    def next_change_s(self) -> float:
        """Seconds until the state is another; infinite once it has expired."""
        now = _now()
        return min(
            ((at - now).total_seconds() for at in (self.since, self._ends_from(), self._over_from()) if at > now),
            default=float("inf"),
        )

    def in_words(self) -> str:
        """ "expired at … UTC", and the like."""
        if self.state == "early":
            return f"is not valid before {self.since:%Y-%m-%d %H:%M:%S} UTC, which this machine's clock has not reached"
        verb = "expired at" if self.state == "expired" else "expires at"
        return f"{verb} {self.until:%Y-%m-%d %H:%M:%S} UTC"

    def _over_from(self) -> datetime.datetime:
        # The second that the certificate names is still of it.
        return self.until + datetime.timedelta(seconds=1)

    def _ends_from(self) -> datetime.datetime:
        return self.until - (self.until - self.since) * WARN_BELOW


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
