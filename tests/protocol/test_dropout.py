"""Whoever is lost, wherever: the sum over the survivors, or no sum; for every subset, n ≤ 6.

Clinic k contributes 10^k, so a clinic that is counted twice, or not, shows as a digit. One
federation for each (n, m, t) plays all cases one after another, as attempts and rounds of a run: a
void attempt must not spoil what comes after it.
"""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from cairn_protocol.errors import OurFault
from split_view import policies

SIZES = sorted({(n, m, t) for clinics in range(3, 7) for n, m, t, _ in policies(clinics)})


def subsets(clinics, most: int):
    """Every subset of up to `most` clinics."""
    return chain.from_iterable(combinations(clinics, size) for size in range(most + 1))


class Play:
    """A federation, and the place in its run."""

    def __init__(self, federate, size, away=()) -> None:
        self.clinics, self.least, self.threshold = size
        self.federation = federate(
            self.clinics, dropout="recovered", survivors=self.least, threshold=self.threshold
        ).agreed(without=away)
        self.participants = self.federation.server.participants
        self.vectors = np.array([[10**k, -(10**k)] for k in range(self.clinics)])
        self.round = self.attempt = 0

    def total(self, *, lost=(), silent=(), mute=()) -> list[int] | None:
        """What the server gets; None: the attempt is void."""
        where = {"round_": self.round, "attempt": self.attempt}
        try:
            self.federation.ask(self.vectors, lost=lost, **where)
            total = self.federation.unmask(silent=silent, mute=mute).tolist()
        except OurFault as error:
            if error.code != "internal.incomplete":
                raise
            self.attempt += 1
            return None
        self.round, self.attempt = self.round + 1, 0
        return total

    def check(self, *, lost=(), silent=(), mute=()) -> bool:
        """Whether there was a sum, which then is the survivors'; and there is one if there can."""
        survivors = [c for c in self.participants if c not in lost]
        whole = len(survivors) == len(self.participants)
        enough = len(survivors) >= self.least and len(survivors) - len(silent) >= self.threshold
        expected = sum(10**c for c in survivors)
        total = self.total(lost=lost, silent=silent, mute=mute)
        assert total == ([expected, -expected] if enough and (whole or not mute) else None)
        return total is not None


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "n{}-m{}-t{}".format(*size))
class TestEverySubset:
    def test_lost_at_the_upload(self, federate, size):
        play = Play(federate, size)
        sums = [play.check(lost=lost) for lost in subsets(range(size[0]), size[0])]
        assert sum(sums) == len(list(subsets(range(size[0]), size[0] - size[1])))
        assert play.check()

    def test_lost_when_the_survivors_are_named(self, federate, size):
        play = Play(federate, size)
        for lost in subsets(range(size[0]), size[0] - size[1]):
            survivors = [c for c in range(size[0]) if c not in lost]
            for silent in subsets(survivors, len(survivors) - size[2] + 1):
                play.check(lost=lost, silent=silent)
        assert play.check()

    def test_lost_behind_the_certificate(self, federate, size):
        play = Play(federate, size)
        for lost in subsets(range(size[0]), size[0] - size[1]):
            survivors = [c for c in range(size[0]) if c not in lost]
            for mute in subsets(survivors, 1) if lost else ():
                play.check(lost=lost, mute=mute)
        assert play.check()

    def test_away_when_keys_are_made(self, federate, size):
        for away in subsets(range(size[0]), size[0] - size[1] + 1):
            if size[0] - len(away) < size[1]:
                with pytest.raises(OurFault):
                    Play(federate, size, away)
                continue
            play = Play(federate, size, away)
            assert play.check()
            for lost in subsets(play.participants, 1):
                play.check(lost=lost)
