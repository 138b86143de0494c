"""`Schedule`: when a clinic's files are to be imported again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, Self

_DAILY: Final = re.compile(r"daily ([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Schedule:
    """Every day at a time of the machine's own clock; None: at every full hour."""

    at: time | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`daily 02:00` or `hourly`; None for an empty text.

        Raises:
            ValueError: it is neither.
        """
        if not text:
            return None
        if text == "hourly":
            return cls(None)
        if (found := _DAILY.fullmatch(text)) is None:
            raise ValueError('reimport is "daily HH:MM", "hourly", or left out')
        return cls(time(int(found[1]), int(found[2])))

    def latest(self, now: datetime) -> datetime:
        """The last moment, until `now`, for which an import is planned."""
        if self.at is None:
            return now.replace(minute=0, second=0, microsecond=0)
        today = datetime.combine(now.date(), self.at, now.tzinfo)
        return today if today <= now else today - timedelta(days=1)

    def due(self, last: datetime | None, now: datetime) -> bool:
        """Whether an import is due that was last tried at `last`: a missed one is made up."""
        return last is None or last < self.latest(now)
