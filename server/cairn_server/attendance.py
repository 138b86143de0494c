"""`Attendance`: which clinics of a run can be asked, and how long each is worth waiting for.

It decides nothing where a study forbids dropout: there every clinic is always asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

HALVINGS: Final = 4  # of the grace, for a clinic that keeps silent: a sixteenth is left
AWAY_AFTER: Final = 3  # rounds in a row without an answer, until keys are agreed without a clinic
RETURNS: Final = 5  # times that keys are made anew for the sake, or by the fault, of one clinic


class Attendance:
    """The clinics of a run by their index on the roster."""

    def __init__(self, clinics: int, left: Iterable[int] = ()) -> None:
        self._clinics = clinics
        self._left = set(left)
        self._misses: Counter[int] = Counter()  # rounds in a row without it
        self._returns: Counter[int] = Counter()
        self._back: set[int] = set()  # there, but without keys

    @property
    def asked(self) -> tuple[int, ...]:
        """Clinics that have not left the run."""
        return tuple(i for i in range(self._clinics) if i not in self._left)

    def leave(self, clinic: int) -> bool:
        """The clinic is not asked again in this run; whether that is news."""
        news = clinic not in self._left
        self._left.add(clinic)
        self._back.discard(clinic)
        return news

    def grace(self, clinic: int, full: float) -> float:
        """How much of the `full` grace the clinic is waited for: all of it, if it has just come.

        A service that was restarted reads its records before it makes keys.
        """
        if clinic in self._back:
            return full
        return full / 2.0 ** min(self._misses[clinic], HALVINGS)

    def returned(self, clinic: int) -> bool:
        """The clinic answers, but has no keys: new ones are due. False: it came so too often."""
        if clinic not in self._back and self._returns[clinic] >= RETURNS:
            return False
        self._back.add(clinic)
        return True

    def stalled(self, clinic: int) -> None:
        """The clinic offered keys and did not confirm those of the others."""
        self._returns[clinic] += 1

    def counted(self, participants: Iterable[int], survivors: Iterable[int]) -> None:
        """A sum was opened over `survivors`."""
        survived = set(survivors)
        for clinic in participants:
            self._misses[clinic] = 0 if clinic in survived else self._misses[clinic] + 1

    def keys_due(self, participants: Iterable[int]) -> bool:
        """Whether keys should be agreed anew before the next round.

        To take a clinic back, or to spare every round the recovery of one that stays away.
        """
        return bool(self._back) or any(
            clinic in self._left or self._misses[clinic] >= AWAY_AFTER for clinic in participants
        )

    def agreed(self, participants: Iterable[int]) -> None:
        """Keys were agreed among `participants`."""
        taken = set(participants)
        for clinic in self._back:
            self._returns[clinic] += 1
        for clinic in range(self._clinics):
            self._misses[clinic] = 0 if clinic in taken else max(self._misses[clinic], 1)
        self._back.clear()
