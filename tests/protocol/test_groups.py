"""Groups of clinics: none may stand from which fewer clinics' answer could be told."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.groups import Group, faults, least_part, parts, strangers
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES, NO_HEAD, Mark
from cairn_protocol.policy import Policy
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

NAMES = tuple("abcdefghij")
TEN = Policy(clinics=10, survivors=10, threshold=10)
SIX = Policy(clinics=6, survivors=6, threshold=6)


def groups(**named: str) -> dict[str, Group]:
    """A group from the letters of its clinics."""
    return {n: Group(clinics=frozenset(c), planned_patients=100) for n, c in named.items()}


def wrong(policy: Policy, fewest: int = 3, planned: int = 900, **named: str) -> str:
    return "; ".join(faults(groups(**named), policy, fewest, planned))


@pytest.mark.parametrize(
    "named",
    [{}, {"north": "abc"}, {"north": "abc", "south": "def"}, {"north": "abcdefghij"}],
    ids=["none", "one", "two", "everybody"],
)
def test_large_groups_may_stand(named: dict[str, str]) -> None:
    assert wrong(TEN, **named) == ""


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"north": "ab"}, "a, b could be told from the rest, 3 clinics are needed"),
        ({"north": "abcd"}, "the 2 clinics in no group could be told"),
        ({"north": "abc", "south": "abcd"}, "d could be told from the rest"),
        ({"north": "abcd", "south": "cdef"}, "c, d could be told from the rest"),
        ({"north": "abcdefg"}, "they name 7 clinics, the policy has 6"),
    ],
    ids=["too few", "the rest too few", "one within another", "an overlap", "too many"],
)
def test_what_a_subtraction_would_single_out_may_not(named: dict[str, str], said: str) -> None:
    assert said in wrong(SIX, **named)


def test_a_group_is_smaller_than_the_cohort() -> None:
    assert "planned_patients is not below" in wrong(TEN, planned=100, north="abc")


def test_who_may_be_missing_and_who_may_help_the_server_are_reckoned_with() -> None:
    lossy = Policy(clinics=10, survivors=8, threshold=8, dropout="recovered")
    assert least_part(lossy, 3) == 5
    assert least_part(TEN.model_copy(update={"colluding": 3}), 3) == 5
    assert least_part(TEN, 4) == 4
    assert "5 clinics are needed" in wrong(lossy, north="abcd")
    assert wrong(lossy, north="abcde") == ""


LETTERS = st.sets(st.sampled_from(NAMES), min_size=1).map(lambda s: "".join(sorted(s)))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["north", "south", "east"]), LETTERS))
def test_no_subtraction_of_groups_that_stand_leaves_few_clinics(named: dict[str, str]) -> None:
    """Whatever sums over groups, and over all, are added and subtracted: sets of whole parts."""
    if wrong(TEN, **named):
        return
    told_apart = parts(groups(**named))
    rest = frozenset(NAMES).difference(*told_apart)
    everything = [*told_apart, *([rest] if rest else [])]
    for group in named.values():
        assert frozenset(group) == frozenset().union(*(p for p in told_apart if p <= set(group)))
    for k in range(1, len(everything) + 1):
        for some in combinations(everything, k):
            assert len(frozenset().union(*some)) >= 3
    assert sorted(c for part in everything for c in part) == sorted(NAMES)


KEYS = [Identity.generate() for _ in range(7)]
STUDY = """
cairn = 1
name = "waiting"
title = "Synthetic: does a text message while waiting help?"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 3000
largest_clinic = 500
[privacy]
data = "{data}"
[policy]
clinics = {n}
survivors = {n}
threshold = {n}
[[questions]]
name = "effect"
kind = "effect"
{epsilon}
"""
NORTH = """
[groups.north]
clinics = ["clinic-000", "clinic-001", "clinic-002"]
planned_patients = 900
"""


def study(more: str, clinics: int = 6, data: str = "patients") -> Study:
    epsilon = "epsilon = 1.0" if data == "patients" else ""
    return Study.parse((STUDY.format(n=clinics, data=data, epsilon=epsilon) + more).encode())


def test_a_study_whose_groups_tell_is_not_read() -> None:
    assert study(NORTH).groups["north"].planned_patients == 900
    for more, clinics in ((NORTH, 5), (NORTH.replace('"clinic-000", ', ""), 6)):
        with pytest.raises(InputError) as caught:
            study(more, clinics)
        assert "3" in caught.value.why
        assert "are needed" in caught.value.why


def test_public_data_know_no_such_limit() -> None:
    assert study(NORTH, 4, "public").groups


def opened(names: list[str]) -> object:
    """What the first of these clinics makes of a run over them."""
    team, own = Identity.generate(), KEYS[0]
    signed = SignedStudy.sign(study(NORTH), team)
    keys = {name: key.public for name, key in zip(names, KEYS, strict=False)}
    _, opening = ServerRun.open(
        bytes(16), signed, SignedRoster.sign(Roster.first(signed, keys), team)
    )
    return ClinicRun.open(
        own,
        opening,
        team_public=team.public,
        approved_digest=study(NORTH).digest,
        mark=Mark.sign(own, 1, b"b" * BOOT_BYTES, NO_HEAD),
        verified=frozenset(keys.values()),
    )


ROSTER = [f"clinic-{i:03}" for i in range(6)]


def test_a_group_of_clinics_that_are_not_there_is_refused() -> None:
    opened(ROSTER)
    away = ["clinic-000", "clinic-001", *(f"clinic-{i:03}" for i in range(3, 7))]
    with pytest.raises(PolicyRefusal) as caught:
        opened(away)
    assert caught.value.code == "policy.group-not-on-roster"
    assert "clinic-002" in caught.value.what
    assert strangers(study(NORTH).groups, away) == ("clinic-002",)


@given(
    n=st.integers(6, 14),
    lost=st.integers(0, 4),
    f=st.integers(1, 4),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_every_sum_holds_two_verified_clinics_of_every_part(
    n: int, lost: int, f: int, data: st.DataObject
) -> None:
    """By the rules for the whole roster: h verified on it and in every sum."""
    policy = Policy(
        clinics=n, survivors=n - lost, threshold=n - lost, colluding=f, dropout="recovered"
    )
    least = least_part(policy, 3)
    if policy.faults() or least > n:
        return
    part = data.draw(st.integers(least, n))  # the first so many clinics
    order = data.draw(st.permutations(range(n)))
    verified = set(order[: data.draw(st.integers(policy.verified_needed(n), n))])
    survivors = set(data.draw(st.permutations(range(n)))[: n - lost])
    if len(survivors & verified) < policy.honest:
        return  # R17: not opened
    assert len({c for c in survivors & verified if c < part}) >= 2
    assert len({c for c in survivors if c < part}) >= 3
