"""The gate: nothing is released without budget, ledgers, disclosure and the empirical test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from cairn_models.answers import Answer, Estimate, Funnel
from cairn_models.questions import build
from cairn_privacy.audit.configuration import Configuration
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.mark import NO_HEAD, Mark
from cairn_protocol.study import Study
from cairn_server.receipt import receipt_of
from cairn_server.release import check_release, release
from cairn_server.report import write_results
from cairn_server.results import (
    Absence,
    Blinding,
    LedgerHead,
    Participant,
    QuestionSpend,
    QuestionSums,
    RunFacts,
    Spend,
    StudyResults,
    TotalSpend,
)

STUDY = """
cairn = 1
name = "gate"
title = "A synthetic study at the gate"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 900
largest_clinic = 300
[policy]
clinics = 5
survivors = 4
threshold = 4
dropout = "recovered"
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
"""
NAMES = ("ash", "elm", "oak", "sloe", "yew")
KEYS = {name: Identity.generate() for name in NAMES}


@dataclass
class Examined:
    """The part of an empirical test's result that the gate reads."""

    covered: bool = True

    def covers(self, terms: QuestionTerms) -> bool:
        self.digest = Configuration.of(terms).digest
        return self.covered

    @property
    def questions(self) -> list[object]:
        """One question, as it was asked."""
        found = Examined()
        found.configuration = type("C", (), {"question": "effect"})
        found.digest, found.epsilon = self.digest, 1.0
        found.own = type("A", (), {"epsilon_at_least": 0.7, "trials": 3000})
        return [found]


def head_of(name: str, head: bytes = b"h" * 32) -> LedgerHead:
    mark = Mark.sign(KEYS[name], 3, b"b" * 16, head)
    return LedgerHead(name, 3, mark.ledger_head.hex(), mark.body.hex())


@pytest.fixture
def whole() -> StudyResults:
    """Results that may be released; elm is in no sum."""
    study = Study.parse(STUDY.encode())
    spec = study.questions[0]
    noise = QuestionTerms.of(study, spec, build(spec, study).shape, 5).noise
    estimate = Estimate("d", "d", -1.0, -2.0, 0.0, 0.5, 0.2, "PHQ-9 points", count=211.4)
    hidden = Estimate("s", "s", None, suppressed="too few patients", count=3.0)
    spend = QuestionSpend("effect", 1.0, 1e-6, noise.rho, 1, noise.sigma, "shared")
    return StudyResults(
        study=study,
        answers=(Answer("effect", "effect", "Change", ("One.",), (estimate, hidden)),),
        spend=Spend((spend,), TotalSpend(1.0, 1e-6, noise.rho)),
        statement=("Words.",),
        participants=tuple(Participant(n, fingerprint(KEYS[n].public)) for n in NAMES),
        run=RunFacts("00" * 16, "2024-01-01T00:00:00+00:00", 1.0, 10, 1000, "embedded", "0.1"),
        synthetic=True,
        sums=(QuestionSums("effect", 1, 5, 4, 4, (Absence("elm", (1,)),)),),
        heads=tuple(head_of(n) for n in NAMES if n != "elm"),
    )


def with_estimate(results: StudyResults, **changes) -> StudyResults:
    answer = results.answers[0]
    first = replace(answer.estimates[0], **changes)
    answers = (replace(answer, estimates=(first, *answer.estimates[1:])),)
    return replace(results, answers=answers)


def drawn_only(results: StudyResults) -> StudyResults:
    alone = replace(results.answers[0].estimates[0], name="in the figure", count=9.0)
    figure = Funnel("From offer", ("offered",), {"waiting": (alone,)})
    return replace(results, answers=(replace(results.answers[0], figures=(figure,)),))


def spent(results: StudyResults, **changes) -> StudyResults:
    question = replace(results.spend.questions[0], **changes)
    return replace(results, spend=replace(results.spend, questions=(question,)))


def headed(results: StudyResults, *heads: LedgerHead) -> StudyResults:
    names = {head.clinic for head in heads}
    kept = tuple(h for h in results.heads if h.clinic not in names)
    return replace(results, heads=(*kept, *heads))


def without(results: StudyResults, name: str) -> StudyResults:
    return replace(results, heads=tuple(h for h in results.heads if h.clinic != name))


def sums(results: StudyResults, **changes) -> StudyResults:
    return replace(results, sums=(replace(results.sums[0], **changes),))


def test_whole_results_have_a_receipt(whole):
    receipt = receipt_of(whole, Examined())
    assert receipt.shown == 1  # the suppressed number is not shown
    assert receipt.tested[0].configuration
    assert [h.clinic for h in receipt.heads] == ["ash", "oak", "sloe", "yew"]


Change = Callable[[StudyResults], StudyResults]
FAULTS: dict[str, tuple[str, Change]] = {
    "nothing spent": ("release-budget", lambda r: spent(r, rho=0.0)),
    "too little spent": ("release-budget", lambda r: spent(r, rho=r.spend.total.rho / 2)),
    "no receipt": ("release-budget", lambda r: spent(r, rho=None)),
    "two sums, one paid": ("release-budget", lambda r: sums(r, rounds=2)),
    "a ledger missing": ("release-ledger", lambda r: without(r, "oak")),
    "a ledger by another": (
        "release-ledger",
        lambda r: headed(r, replace(head_of("ash"), clinic="oak")),
    ),
    "a head that was not signed": (
        "release-ledger",
        lambda r: headed(r, replace(head_of("oak"), head="00" * 32)),
    ),
    "a changed mark": (
        "release-ledger",
        lambda r: headed(r, replace(head_of("oak"), mark="00" + head_of("oak").mark[2:])),
    ),
    "no mark": ("release-ledger", lambda r: headed(r, replace(head_of("oak"), mark="zz"))),
    "a clinic that charges nothing": (
        "release-ledger",
        lambda r: headed(r, head_of("oak", NO_HEAD)),
    ),
    "a small cell that a figure alone shows": ("release-disclosure", drawn_only),
    "letters instead of arms": (
        "release-blinded",
        lambda r: replace(r, blinding=Blinding(("arm A", "arm B"), "00")),
    ),
    "a small cell": ("release-disclosure", lambda r: with_estimate(r, count=9.99)),
    "an uncounted cell": ("release-disclosure", lambda r: with_estimate(r, count=None)),
    "a count that is no number": ("release-disclosure", lambda r: with_estimate(r, count=np.nan)),
    "too few clinics": ("release-disclosure", lambda r: sums(r, fewest=2)),
    "unknown clinics": ("release-disclosure", lambda r: replace(r, sums=())),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_missing_part_closes_the_gate(whole, fault, tmp_path):
    code, change = FAULTS[fault]
    with pytest.raises(PolicyRefusal) as refused:
        receipt_of(change(whole), Examined())
    assert refused.value.code == f"policy.{code}"
    assert refused.value.hint or refused.value.why
    draft = tmp_path / "draft"
    write_results(change(whole), draft)
    with pytest.raises(PolicyRefusal):
        release(draft, tmp_path / "out", tested=Examined())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tested", [None, Examined(covered=False)])
def test_untested_code_closes_the_gate(whole, tested):
    with pytest.raises(PolicyRefusal) as refused:
        receipt_of(whole, tested)
    assert refused.value.code == "policy.release-untested"
    assert "cairn privacy test" in refused.value.hint


@pytest.fixture
def released(whole, tmp_path) -> tuple[Path, Identity]:
    """A signed release."""
    team = Identity.generate()
    write_results(whole, tmp_path / "draft")
    release(tmp_path / "draft", tmp_path / "out", tested=Examined(), team=team)
    return tmp_path / "out", team


def test_a_release_says_what_it_rests_on_and_a_draft_that_it_is_one(released):
    out, _ = released
    page, draft = (out / "report.html").read_text(), out.parent / "draft" / "report.html"
    assert "draft, not released" in draft.read_text()
    assert "draft, not released" not in page
    assert "What this release rests on" in page
    assert head_of("oak").head in page


def test_a_release_is_checked_by_anybody(released):
    out, team = released
    assert check_release(out) == fingerprint(team.public)
    assert check_release(out, fingerprint(team.public))
    with pytest.raises(InputError):
        check_release(out, fingerprint(Identity.generate().public))


@pytest.mark.parametrize("path", ["results.json", "report.html", "estimates.csv", "receipt.json"])
def test_every_changed_file_is_noticed(released, path):
    file = released[0] / path
    data = bytearray(file.read_bytes())
    for at in range(0, len(data), max(1, len(data) // 40)):
        changed = bytearray(data)
        changed[at] ^= 1
        file.write_bytes(changed)
        with pytest.raises(InputError) as refused:
            check_release(released[0])
        assert refused.value.code in ("input.release-damaged", "input.file-unreadable")
    file.write_bytes(data)
    check_release(released[0])


def test_an_added_and_a_missing_file_are_noticed(released):
    out, _ = released
    (out / "more.csv").write_text("x")
    with pytest.raises(InputError):
        check_release(out)
    (out / "more.csv").unlink()
    (out / "estimates.csv").unlink()
    with pytest.raises(InputError):
        check_release(out)


def test_a_signature_cannot_be_taken_off_unnoticed_by_who_knows_the_team(released):
    out, team = released
    document = json.loads((out / "receipt.json").read_text())
    del document["team"], document["signature"]
    (out / "receipt.json").write_text(json.dumps(document))
    assert check_release(out) == ""
    with pytest.raises(InputError):
        check_release(out, fingerprint(team.public))


def test_a_release_is_never_written_over(released, whole):
    with pytest.raises(InputError) as refused:
        release(released[0].parent / "draft", released[0], tested=Examined())
    assert refused.value.code == "input.file-exists"
