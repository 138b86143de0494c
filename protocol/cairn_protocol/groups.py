"""`Group`: clinics that a study names publicly, so that a question may be asked of them together.

A sum that is asked of a group is over all clinics all the same: those outside add the vector of
nobody, and their noise. What such sums tell about one clinic is what can be got from them by
subtraction, so every *part* of the roster (the clinics that are in the same groups, those in none
included) must hold enough clinics, whoever drops out and whoever helps the server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from cairn_protocol.errors import InputError
from cairn_protocol.policy import Policy

FEWEST_CLINICS = 3
MOST_PATIENTS = 10**9  # that anybody plans for


class Group(BaseModel):
    """`clinics` by their names on the roster; `planned_patients` stands in for their number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clinics: frozenset[str] = Field(min_length=1)
    planned_patients: int = Field(gt=0, le=MOST_PATIENTS)


Groups = Mapping[str, Group]


def parts(groups: Groups) -> tuple[frozenset[str], ...]:
    """The named clinics, those that are in the same groups together."""
    found: dict[frozenset[str], set[str]] = {}
    for clinic in sorted(frozenset().union(*(g.clinics for g in groups.values()))):
        where = frozenset(name for name, group in groups.items() if clinic in group.clinics)
        found.setdefault(where, set()).add(clinic)
    return tuple(frozenset(part) for part in found.values())


def least_part(policy: Policy, fewest: int) -> int:
    """How many clinics every part must have, so that enough are left in every sum.

    Three, `fewest` and two honest ones, after every clinic that a sum may lack was one of them. Of
    these two are verified at each clinic, by the rules for the whole roster.  # SPEC 4.7
    """
    return max(FEWEST_CLINICS, fewest, policy.colluding + 2) + policy.clinics - policy.survivors


def faults(groups: Groups, policy: Policy, fewest: int, planned: int) -> Iterator[str]:
    """What is wrong with the groups of a study about patients; nothing: they may stand.

    Args:
        fewest: clinics behind a number that is shown.
        planned: patients of the whole study.
    """
    least = least_part(policy, fewest)
    named = 0
    for part in parts(groups):
        named += len(part)
        if len(part) < least:
            yield f"groups: {_listed(part)} could be told from the rest, {least} clinics are needed"
    rest = policy.clinics - named
    if rest < 0:
        yield f"groups: they name {named} clinics, the policy has {policy.clinics}"
    elif 0 < rest < least and groups:
        yield f"groups: the {rest} clinics in no group could be told, {least} are needed"
    for name, group in groups.items():
        if group.planned_patients >= planned:
            yield f"groups.{name}: planned_patients is not below that of the cohort"


def strangers(groups: Groups, roster: Collection[str]) -> tuple[str, ...]:
    """Clinics that a group names and the roster lacks."""
    return tuple(sorted({c for g in groups.values() for c in g.clinics} - set(roster)))


def check_named(groups: Groups, clinics: Collection[str]) -> None:
    """Refuses to put together a roster that lacks a clinic of a group.

    Raises:
        InputError: `input.group-clinics`.
    """
    if missing := strangers(groups, clinics):
        raise InputError(
            f"the study's groups name clinics that would not take part: {', '.join(missing)}",
            code="group-clinics",
            why=f"taking part: {', '.join(sorted(clinics))}",
            hint="name them under [groups] as they are called on the roster, or enrol the missing",
        )


def _listed(clinics: Collection[str]) -> str:
    return ", ".join(sorted(clinics))
