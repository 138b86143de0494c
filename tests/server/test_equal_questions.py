"""An equal question is answered from the sum that there is, and charges nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete

from cairn_models.questions import build
from cairn_privacy.audit.configuration import code_version
from cairn_protocol.identity import Identity
from cairn_protocol.mark import NO_HEAD, Mark
from cairn_protocol.messages import Header, RoundRecord, SignedDigest
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server import equal_questions
from cairn_server.assemble import results_of
from cairn_server.equal_questions import EqualQuestions, question_key
from cairn_server.report.attendance import note
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import StoredRun, StoredStudy, codes
from cairn_server.study_run import StudyRun

TEAM = Identity.generate()
CLINICS = {name: Identity.generate() for name in ("ash", "elm", "oak")}
STARTED = datetime(2026, 3, 4, tzinfo=UTC)
STUDY = """
cairn = 1
name = "first"
title = "A synthetic study"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 900
largest_clinic = 300
entry_from = 2024-01-01
entry_until = 2025-12-31
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
"""
SECOND = STUDY.replace('"first"', '"second"').replace('name = "effect"', 'name = "again"')


def signed(text: str) -> SignedStudy:
    return SignedStudy.sign(Study.parse(text.encode()), TEAM)


def roster_of(study: SignedStudy, clinics: dict[str, Identity] = CLINICS) -> SignedRoster:
    keys = {name: key.public for name, key in clinics.items()}
    return SignedRoster.sign(Roster.first(study, keys), TEAM)


def record_of(run: bytes, question: str) -> RoundRecord:
    """Of a sum over clinics 0 and 2."""
    here = bytes(32)
    header = Header(run, here, question, 0, 0, (0, 1, 2), here, here)
    mark = Mark.sign(TEAM, 1, bytes(16), NO_HEAD)
    return RoundRecord(header, tuple(SignedDigest(c, here, mark, bytes(64)) for c in (0, 2)))


@pytest.fixture
def store(tmp_path: Path):
    """A store that holds one finished run of the first study."""
    with Store.open_file(tmp_path / "store.sqlite") as opened:
        first = signed(STUDY)
        roster = roster_of(first)
        opened.add_study(
            StoredStudy(first.digest, "first", first.body, roster.body, "finished", STARTED)
        )
        run = b"1" * 16
        opened.start_run(
            StoredRun(run, first.digest, "finished", STARTED, STARTED, ""), code=code_version()
        )
        totals = np.array([90 * 32768, 0, 90 * 32768] * 2 + [0] * 3, dtype=np.int64)
        StoreJournal(opened, run).opened("effect", 0, totals, record_of(run, "effect"))
        yield opened


def look(store: Store, text: str, clinics: dict[str, Identity] = CLINICS):
    asked = signed(text)
    study = asked.study()
    equal = EqualQuestions(store, b"2" * 16, asked, roster_of(asked, clinics).roster)
    return equal(build(study.questions[0], study))


def test_the_same_question_under_other_names_is_known(store):
    known = look(store, SECOND)
    assert known.run == (b"1" * 16).hex()
    assert known.clinics == (0, 2)
    assert known.opened == "2026-03-04"


OTHERWISE: dict[str, Callable[[str], str]] = {
    "another ε": lambda s: s.replace("epsilon = 1.0", "epsilon = 0.9"),
    "another week": lambda s: s + "week = 12\n",
    "another outcome": lambda s: s.replace("PHQ-9", "GAD-7"),
    "another window": lambda s: s.replace("2025-12-31", "2025-12-30"),
    "another start": lambda s: s.replace("2024-01-01", "2024-01-02"),
    "other arms": lambda s: s.replace('"dmhi_guided"]', '"dmhi_unguided"]'),
    "another plan": lambda s: s.replace("900", "901"),
    "an open window": lambda s: s.replace("entry_until = 2025-12-31\n", ""),
    "a window that was open": lambda s: s.replace("2025-12-31", "2026-03-04"),
    "another δ": lambda s: s.replace("[cohort]", "[privacy]\ndelta = 1e-7\n[cohort]"),
    "another policy": lambda s: s.replace("[cohort]", "[policy]\nloss = 0.02\n[cohort]"),
    "a target trial": lambda s: s.replace(
        "[cohort]", '[target_trial]\ndesign = "landmark"\nstarts = ["dmhi_guided"]\n[cohort]'
    ),
    "as recorded": lambda s: s + "target_trial = false\n",
    "another variable": lambda s: s + '[variables.sex]\nlevels = ["f", "m"]\n',
}


@pytest.mark.parametrize("change", OTHERWISE)
def test_whatever_decides_a_sum_makes_another_question(store, change):
    assert look(store, OTHERWISE[change](SECOND)) is None


def test_a_sum_that_other_code_made_is_asked_anew(store, monkeypatch):
    """Its integers would be read through another matrix, with intervals that look right."""
    monkeypatch.setattr(equal_questions, "code_version", lambda: "0.2.0+another")
    assert look(store, SECOND) is None


def test_a_sum_of_code_that_nobody_wrote_down_is_asked_anew(store):
    with store.transaction() as c:
        c.execute(delete(codes))
    assert look(store, SECOND) is None


def test_other_clinics_make_another_question(store):
    others = CLINICS | {"oak": Identity.generate()}
    assert look(store, SECOND, others) is None


def test_a_window_that_was_still_open_then_is_not_closed_by_time(tmp_path):
    """The first run may have missed patients of its last days."""
    text = STUDY.replace("2025-12-31", "2026-03-04")
    with Store.open_file(tmp_path / "store.sqlite") as opened:
        first = signed(text)
        body = roster_of(first).body
        opened.add_study(StoredStudy(first.digest, "first", first.body, body, "finished", STARTED))
        opened.start_run(
            StoredRun(b"1" * 16, first.digest, "finished", STARTED, STARTED, ""),
            code=code_version(),
        )
        journal = StoreJournal(opened, b"1" * 16)
        journal.opened("effect", 0, np.zeros(9, dtype=np.int64), record_of(b"1" * 16, "effect"))
        assert look(opened, text.replace('"first"', '"second"')) is None


def test_every_setting_of_a_study_is_thought_of():
    """A new table of the study file must be put on one side or the other."""
    decides = {"outcome", "cohort", "instruments", "variables", "policy", "privacy", "questions"}
    decides |= {"target_trial", "groups"}
    does_not = {"cairn", "name", "title", "purpose", "team", "synthetic", "disclosure", "source"}
    does_not |= {"release", "code"}  # how an answer is shown, and by which versions it may be
    assert set(Study.model_fields) == decides | does_not


def test_kinds_that_know_their_study_are_never_equal():
    demo = Path(__file__).parents[2] / "app" / "cairn_app" / "demo_study.toml"
    study = Study.read(demo)
    repeatable = {spec.name: build(spec, study).repeatable for spec in study.questions}
    assert repeatable == {"effect": True, "trajectory": False, "error": False}


def test_a_known_question_is_not_asked_and_costs_nothing(store):
    asked = signed(SECOND)
    roster = roster_of(asked)
    watched = []
    run = StudyRun(
        asked,
        roster,
        (11, 12, 13),
        look=EqualQuestions(store, b"2" * 16, asked, roster.roster),
        watch=watched.append,
    )

    def nobody(*args, **kwargs):
        raise AssertionError("a clinic was asked")

    run.execute(nobody)
    assert [event.stage for event in watched] == ["known", "answered"]
    results = results_of(run, started=STARTED, seconds=1.0, engine="test")
    assert results.spend.questions[0].rho == 0.0
    assert results.sums[0].known_since == "2026-03-04"
    assert results.sums[0].last == 2
    assert "nothing was charged for it" in note(results, "again")
    numbers = [e.count for e in results.answers[0].estimates if e.value is not None]
    assert numbers, "the sum was read"


def test_the_key_is_the_same_on_every_day():
    study = Study.parse(STUDY.encode())
    keys = {question_key(study, study.questions[0], roster_of(signed(STUDY)).roster) for _ in "ab"}
    assert len(keys) == 1
