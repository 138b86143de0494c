"""`safe_policy`: how many clinics must answer, and how many may collude, for a roster of a size.

It gives the rows of the table in docs/study-file.md, which says what each means in practice, and
the sizes between them: h = m − f is three fifths of the roster, so that a sum over all clinics
holds noise of about 1.29 times what one trusted party would add, whatever its size.
"""

from __future__ import annotations

from typing import Final

from cairn_protocol.attempts import MOST_ATTEMPTS, expected_attempts
from cairn_protocol.errors import InputError
from cairn_protocol.policy import LARGEST_ROSTER, Policy

FEWEST: Final = 3  # clinics: with two, whoever sees the sum knows the other's part
RECOVERS_FROM: Final = 5  # clinics: of fewer, no sum without one of them is safe
COLLUDING: Final = ((9, 1), (10, 2), (20, 3), (50, 10))  # clinics, f; straight lines between


def safe_policy(clinics: int) -> Policy:
    """A policy that protects patients and can be kept to, for so many clinics.

    Up to four clinics all must answer; from five on a round goes on without some of them.

    Raises:
        InputError: fewer than three clinics, or so many that their rounds would seldom open.
    """
    if clinics < FEWEST:
        raise InputError(
            f"{clinics} clinics cannot protect their patients from each other",
            code="clinics-too-few",
            why="whoever sees a sum and knows their own part of it knows the rest",
            hint=f"find at least {FEWEST} clinics",
        )
    if clinics < RECOVERS_FROM:
        return Policy(clinics=clinics, survivors=clinics, threshold=clinics, colluding=1)
    if clinics > LARGEST_ROSTER or expected_attempts(policy := _recovered(clinics)) > MOST_ATTEMPTS:
        raise InputError(
            f"no policy is known that {clinics} clinics can keep to",
            code="clinics-too-many",
            why="with 1 message in 100 lost, their rounds would seldom open",
            hint="ask fewer clinics, or write [policy] by hand with the loss that you measured",
        )
    return policy


def _recovered(clinics: int) -> Policy:
    colluding = _colluding(clinics)
    survivors = round(0.6 * clinics) + colluding
    return Policy(
        clinics=clinics,
        survivors=survivors,
        threshold=survivors,
        colluding=colluding,
        dropout="recovered",
    )


def _colluding(clinics: int) -> int:
    """f by the lines between `COLLUDING`, rounded down; level outside them."""
    lower, f = COLLUDING[0]
    if clinics <= lower:
        return f
    for upper, more in COLLUDING[1:]:
        if clinics <= upper:
            return f + (more - f) * (clinics - lower) // (upper - lower)
        lower, f = upper, more
    return f
