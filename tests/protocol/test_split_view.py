"""Whatever a lying server shows to whom, one sum opens, over at least m − f honest clinics.

Exhaustive for every admitted policy with n ≤ 6, every |P| ≥ m and every number of colluders among
P. The clinic's part is the real `consider` and `certify`; `split_view` has the model. For n ≤ 5
every order of every request is walked through; for n = 6 (and as a soak most of n = 7) every choice
of one set per clinic, which the former shows to be enough. Each rule of `survivors` is then
weakened in its own source, and the search must find what the rule was for.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from cairn_protocol import survivors
from split_view import (
    REAL,
    Case,
    Local,
    Rules,
    Views,
    broken,
    cases,
    determined,
    determined_by_rank,
    mask_of,
    members,
    policies,
)
from split_view_worst import worst


def test_every_policy_that_a_clinic_admits_is_here():
    assert [len(policies(n)) for n in range(1, 7)] == [0, 0, 1, 4, 7, 13]
    assert (5, 4, 4, 1) in policies(5)
    assert (5, 3, 3, 1) in policies(5, admitted=False)


@pytest.mark.parametrize("case", [c for n in (3, 4, 5) for c in cases(n)], ids=str)
def test_every_order_of_every_request(case):
    views, states, most, fewest = Views(case), 0, 0, len(case.honest)
    for state in views.explore():
        states += 1
        sums = views.sums(state)
        assert not broken(case, sums), views.counterexample()
        most = max(most, len(sums))
        fewest = min([fewest, *(total.bit_count() for total in sums)])
    assert states >= 2 ** len(case.honest)
    found = worst(case)
    assert (most, fewest) == (found.largest, found.smallest)  # the short search misses nothing
    assert most == 1
    assert fewest == max(case.least - case.inside, 1)  # and the bound is reached


@pytest.mark.parametrize("case", cases(6), ids=str)
def test_six_clinics(case):
    found = worst(case)
    assert found.largest == 1
    assert found.smallest == case.least - case.inside >= case.smallest


def test_six_clinics_are_searched_wholly():
    # 16 sets of at least four of six hold clinic 0; by symmetry it has one of the smallest kind,
    # and where that has four members the five others have any of their 16.
    assert worst(Case(6, 4, 4, 1, participants=6, inside=0)).states == 16**5 + 6**5 + 1


@pytest.mark.soak
@pytest.mark.parametrize("case", [c for c in cases(7) if c.inside or c.least > 5], ids=str)
def test_seven_clinics(case):
    found = worst(case)
    assert found.largest == 1
    assert found.smallest == case.least - case.inside >= case.smallest


@pytest.mark.parametrize("case", cases(4), ids=str)
def test_one_set_under_two_digests(case):
    # A colluder signs two uploads, so the same survivors can be shown with different digests.
    views = Views(case, variants=2)
    assert all(not broken(case, views.sums(state)) for state in views.explore())


class TestTheSearchIsWhole:
    """What the searches take for granted about the real functions."""

    @pytest.mark.parametrize("case", [c for n in (4, 5, 6) for c in cases(n)], ids=str)
    def test_a_clinic_answers_one_set_and_opens_that(self, case):
        views, everyone = Views(case), (1 << case.clinics) - 1
        whole = case.everybody
        taken = [move.survivors for move, _ in views.considered(0, Local())]
        unheard = [move.survivors for move in views.certifiable(0, None)]
        assert unheard == [mask for mask in taken if mask != whole]
        for move, local in views.considered(0, Local()):
            assert move.survivors | 1 == move.survivors <= whole
            assert local.opened == ({whole} if move.survivors == whole else set())
            assert views.considered(0, local) == []
            later = views.certifiable(0, local.before)
            assert [m.survivors for m in later] == ([] if local.opened else [move.survivors])
            for before in (local.before, None) if later else ():
                after = views.certified(before, later[0], everyone)
                assert mask_of(after.survivors) == move.survivors
                assert views.certifiable(0, after) == []
                assert views.considered(0, Local(after)) == []

    @pytest.mark.parametrize("case", [c for n in (4, 5, 6) for c in cases(n)], ids=str)
    def test_more_signers_never_close_what_fewer_open(self, case):
        views = Views(case)
        for move, local in views.considered(0, Local()):
            for signers in range(1 << case.clinics):
                opens = views.certified(local.before, move, signers)
                assert local.opened or opens == views.certified(None, move, signers)
                for one in range(case.clinics) if opens else ():
                    assert views.certified(local.before, move, signers | 1 << one)

    @pytest.mark.parametrize("case", cases(4), ids=str)
    def test_all_honest_clinics_are_alike(self, case):
        views = Views(case)
        for own in case.honest:
            swapped = {
                mask_of({0: own, own: 0}.get(i, i) for i in members(mask))
                for mask in (move.survivors for move, _ in views.considered(own, Local()))
            }
            assert swapped == {move.survivors for move, _ in views.considered(0, Local())}


class TestTheAlgebra:
    """`determined` by components is what elimination over the rationals gives."""

    def agree(self, case, opened):
        rows = [[int(total >> i & 1) for i in case.honest] for total in determined(case, opened)]
        rows.sort(reverse=True)
        assert determined_by_rank(case, opened) == rows

    @pytest.mark.parametrize("case", [c for n in (3, 4) for c in cases(n)], ids=str)
    def test_in_every_state_that_can_come(self, case):
        reached = {tuple(c.opened for c in state) for state in Views(case).explore()}
        for opened in reached:
            self.agree(case, opened)

    def test_in_states_that_no_rule_allows(self):
        random = np.random.default_rng(1)
        several = 0
        for _ in range(400):
            n = int(random.integers(3, 7))
            case = Case(n, 3, int(random.integers(2, 5)), 1, n, int(random.integers(0, 2)))
            opened = tuple(
                frozenset(int(u) for u in random.integers(1, 1 << n, size=random.integers(0, 4)))
                for _ in case.honest
            )
            self.agree(case, opened)
            several += len(determined(case, opened)) > 1
        assert several > 50


def weakened(old: str, new: str) -> Rules:
    """The rules with one piece of the module's own source exchanged."""
    source = inspect.getsource(survivors)
    assert source.count(old) == 1, f"the module has no longer, or not once: {old}"
    namespace = {"__name__": survivors.__name__}
    exec(source.replace(old, new), namespace)
    return Rules(namespace["consider"], namespace["certify"])


FOUR = Case(4, 3, 3, 1, participants=4, inside=1)
FIVE = Case(5, 4, 4, 1, participants=5, inside=1)
ANSWERED = "before is not None"
AT_ONCE = "opened=survivors == rules.participants"
ENOUGH = "rules.threshold:"

WEAKENED = {
    "U1: a survivor that is no participant": (
        Case(6, 5, 4, 1, participants=5, inside=1),
        weakened("not set(survivors) <= set(rules.participants)", "False"),
        "x0 + x1 + x2, 3 honest of at least 4",
    ),
    "U1: fewer than m": (
        Case(4, 4, 3, 1, participants=4, inside=1),
        weakened("len(survivors) < rules.least", "False"),
        "x0 + x1, 2 honest of at least 3",
    ),
    "U1: fewer than h verified": (
        Case(4, 3, 3, 1, participants=4, inside=2, sybils=True),
        weakened("check_verified(rules, survivors, rules.verified_least)", "pass"),
        "1 honest of at least 2",
    ),
    "U2: any set at any time": (FOUR, weakened(ANSWERED, "False"), "x0, 1 honest"),
    "U2: another set after opening P": (
        FOUR,
        weakened(ANSWERED, "before is not None and not before.opened"),
        "1 honest of at least 2",
    ),
    "U2: another set after signing one": (
        FOUR,
        weakened(ANSWERED, "before is not None and before.opened"),
        "1 honest of at least 2",
    ),
    "U2: P after signing another": (
        FOUR,
        weakened(ANSWERED, f"{ANSWERED} and survivors != rules.participants"),
        "1 honest of at least 2",
    ),
    "U3: all but one, at once": (
        FOUR,
        weakened(AT_ONCE, "opened=len(survivors) >= len(rules.participants) - 1"),
        "1 honest of at least 2",
    ),
    "U4: no certificate": (FOUR, weakened(AT_ONCE, "opened=True"), "1 honest of"),
    "U4: no certificate, five clinics": (
        FIVE,
        weakened(AT_ONCE, "opened=True"),
        "2 honest of at least 3",
    ),
    "U4: an empty certificate": (FOUR, weakened(ENOUGH, "0:"), "1 honest of at least 2"),
    "U4: one signer too few": (
        FOUR,
        weakened(ENOUGH, "rules.threshold - 1:"),
        "1 honest of at least 2",
    ),
}


@pytest.mark.parametrize("weakness", WEAKENED)
def test_a_weakened_rule_opens_more(weakness):
    case, rules, words = WEAKENED[weakness]
    assert Views(case, REAL).counterexample() == ""
    found = Views(case, rules).counterexample()
    assert words in found, found or "no counterexample"


SECOND_FENCES = {
    "U1: a set without this clinic": weakened("rules.own not in survivors", "False"),
    "U1: whatever a certificate names": weakened(
        "before or consider(rules, None, survivors, digest)",
        "before or Answered(survivors, digest, opened=False)",
    ),
    "U2: a certificate on another set than was signed": weakened(" or said.digest != digest", ""),
    "U2: a certified set after opening P": weakened(
        "before or consider(rules, None, survivors, digest)",
        "consider(rules, None, survivors, digest)",
    ),
    "U4: signers that did not survive": weakened("signers & set(said.survivors)", "signers"),
}


@pytest.mark.parametrize("fence", SECOND_FENCES)
@pytest.mark.parametrize(
    "case", [FOUR, FIVE, Case(4, 3, 3, 1, 4, 0), Case(5, 4, 4, 2, 5, 2), Case(6, 5, 4, 1, 5, 1)]
)
def test_a_second_fence_does_not_carry_the_claim_alone(fence, case):
    # These checks keep what a clinic says simple; the claim holds without any one of them.
    assert Views(case, SECOND_FENCES[fence]).counterexample() == ""


class TestPolicies:
    """`Policy.faults` asks for 2t > n + f because less opens two sums, or a small one."""

    def test_half_are_too_few_even_with_a_certificate(self):
        found = Views(Case(5, 3, 3, 1, participants=5, inside=1)).counterexample()
        assert found.count("determined") == 2, found or "no counterexample"

    def test_half_without_a_certificate_isolate_one_clinic(self):
        case = Case(5, 3, 3, 1, participants=5, inside=1)
        found = Views(case, weakened(AT_ONCE, "opened=True")).counterexample()
        assert "1 honest of at least 2" in found, found or "no counterexample"

    @pytest.mark.parametrize("clinics", [5, 6])
    def test_one_less_than_the_least_threshold_fails_where_m_is_t(self, clinics):
        loose = [
            (n, m, t, f)
            for n, m, t, f in policies(clinics, admitted=False)
            if 1 <= f <= m - 2 and m == t < n and n + f - 1 <= 2 * t <= n + f
        ]
        assert loose
        for policy in loose:
            found = worst(Case(*policy, participants=clinics, inside=policy[-1]))
            assert found.largest > 1, policy


def sybils(size: int) -> list[Case]:
    """Rosters with more colluders than f, of whom no clinic has verified one."""
    return [
        Case(n, m, t, f, participants, inside, sybils=True)
        for n, m, t, f in policies(size)
        for participants in range(m, n + 1)
        for inside in range(f + 1, participants - 1)
    ]


SYBILS = [case for size in (4, 5, 6) for case in sybils(size)]


@pytest.mark.parametrize(
    "case", SYBILS + [pytest.param(case, marks=pytest.mark.soak) for case in sybils(7)], ids=str
)
def test_h_verified_survivors_keep_the_claim_beyond_f_colluders(case):
    # Every clinic of the roster that is not verified colludes, however many these are.
    found = worst(case)
    assert found.largest <= 1
    assert found.smallest == 0 or found.smallest >= case.smallest


def test_some_rosters_with_many_sybils_still_open_a_sum():
    assert sum(worst(case).smallest > 0 for case in SYBILS) >= 8
