"""The arms that a question compares, from its settings and the study's cohort, and their size."""

from __future__ import annotations

from collections.abc import Callable

from cairn_protocol.errors import InputError
from cairn_protocol.study import Cohort

Refusal = Callable[[str, str], InputError]  # (why, hint)


def named_arms(
    asked: tuple[str, ...],
    of_study: tuple[str, ...],
    reference: str,
    *,
    fewest: int,
    refusal: Refusal,
) -> tuple[str, ...]:
    """The arms asked for, or the cohort's.

    Raises:
        InputError: made by `refusal`: too few arms, one named twice, one that the cohort has not,
            or a `reference` that is none of them.
    """
    arms = asked or of_study
    if len(arms) < fewest:
        raise refusal(
            "no arm is named" if fewest == 1 else f"at least {fewest} arms are needed",
            "name them in the study's cohort.arms or in the question's arms",
        )
    if len(set(arms)) != len(arms):
        raise refusal("arms: one arm is named twice", "name each arm once")
    if strangers := [arm for arm in arms if of_study and arm not in of_study]:
        raise refusal(
            f"arms: the study's cohort has no arm {', '.join(map(repr, strangers))}",
            f"cohort.arms: {', '.join(of_study)}",
        )
    if reference and reference not in arms:
        raise refusal(
            f"reference: {reference!r} is not one of the arms", f"one of: {', '.join(arms)}"
        )
    return arms


def planned_in_an_arm(arms: tuple[str, ...], cohort: Cohort) -> float:
    """Planned patients of one arm, if all arms of the cohort are of one size.

    A question about some of its arms does not get the others' patients.
    """
    return cohort.planned_patients / max(len(arms), len(cohort.arms))
