"""`Bounded`: how often something is written that a stranger can make happen as often as they like.

The first `singly` times in a day each; from then on as the count reaches another power of ten. So
a server that floods a clinic with requests to be refused fills no disk: ten entries a day tell of
a thousand million. Counts live in memory: a restart begins anew.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

MOST_NAMES: Final = 50  # told apart in a day; all others are one
OTHERS: Final = "others"


class Bounded:
    """Counts by name and day (UTC), for several threads.

    Args:
        singly: times of which each is written.
    """

    def __init__(
        self, singly: int, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        self._singly, self._today = singly, today
        self._lock = threading.Lock()
        self._day: date | None = None
        self._times: Counter[str] = Counter()

    def count(self, name: str) -> tuple[str, int, bool]:
        """The name to write it under, how many times it was today, and whether to write it."""
        with self._lock:
            if (day := self._today()) != self._day:
                self._day, self._times = day, Counter()
            if name not in self._times and len(self._times) >= MOST_NAMES:
                name = OTHERS
            self._times[name] += 1
            times = self._times[name]
        return name, times, times <= self._singly or _power_of_ten(times)


def _power_of_ten(number: int) -> bool:
    return set(str(number)[1:]) <= {"0"} and str(number)[0] == "1"
