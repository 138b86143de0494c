"""Expected courses of a clinic's patients: what is locked, what is listed, what is never shown.

Everybody here is made up (`returned_bench`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_client.record_pack import Kept
from cairn_client.returned.courses_admin import CoursesAdmin
from cairn_client.returned.locks import Locks
from cairn_client.returned.persons import Person, by_day, not_seen, patients, worse
from cairn_client.returned.shelf import Shelf
from cairn_client.returned.words import CAPTION, NINE
from cairn_client.turn import Turn
from cairn_models.export.bundle import contents
from cairn_models.export.heads import Head
from cairn_models.export.model import Model
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.proto import results_pb2 as pb
from export_models import all_usable, model
from returned_bench import STUDY, TODAY, ReturnedBench

METHODS: dict[str, Callable[[CoursesAdmin, str], object]] = {
    "Patients": lambda a, s: a.patients(pb.PersonsRequest(session=s)),
    "NotSeen": lambda a, s: a.not_seen(pb.NotSeenRequest(session=s)),
    "Worse": lambda a, s: a.worse(pb.PersonsRequest(session=s)),
    "Flags": lambda a, s: a.flags(pb.PersonsRequest(session=s)),
    "Course": lambda a, s: a.course(pb.CourseRequest(session=s, patient="k-zara")),
    "Acknowledge": lambda a, s: a.acknowledge(pb.AcknowledgeRequest(session=s, flag="00")),
}


def person_of(session: str) -> str:
    if session != "token-of-ada":
        raise PolicyRefusal("this session has ended", code="session-ended")
    return "Ada"


class Courses:
    """A clinic to which a model came back, and whose three locks are open."""

    def __init__(self, folder: Path, study: str = STUDY, heads: tuple[Head, ...] = ()) -> None:
        self.bench = ReturnedBench(folder, study)
        released = model(heads=heads or all_usable())
        card = replace(released.card, digest=self.bench.study.digest.hex())
        files = contents(Model(released.parameters, card), onnx=False)
        self.bench.keep(self.bench.findings({f"course/{name}": d for name, d in files.items()}))
        self.allowed = True
        self.admin = CoursesAdmin(
            self.bench.clinic,
            Shelf(self.bench.store, self.bench.kept),
            Locks(lambda: self.allowed, person_of),
            Turn(),
            lambda: TODAY,
        )

    def ask(self, method: str, session: str = "token-of-ada") -> object:
        return METHODS[method](self.admin, session)

    def persons(self) -> pb.PersonsReply:
        return self.admin.patients(pb.PersonsRequest(session="token-of-ada"))

    def course(self, patient: str) -> pb.CourseReply:
        return self.admin.course(pb.CourseRequest(session="token-of-ada", patient=patient))

    def flags(self) -> list[pb.Flag]:
        return list(self.admin.flags(pb.PersonsRequest(session="token-of-ada")).flags)


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Courses]:
    one = Courses(tmp_path_factory.mktemp("courses") / "ash")
    yield one
    one.bench.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Courses]:
    """One that a test may change."""
    one = Courses(tmp_path / "ash")
    yield one
    one.bench.close()


def refused(courses: Courses, session: str = "token-of-ada") -> set[str]:
    """Codes and reasons with which every method refuses, none of which has read a record."""

    def forbidden(*_: object) -> None:
        raise AssertionError("records were read behind a closed lock")

    found = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cairn_client.returned.courses_admin.records_here", forbidden)
        for method in METHODS:
            with pytest.raises(PolicyRefusal) as error:
                courses.ask(method, session)
            found.add(f"{error.value.code} {error.value.why}".strip())
    return found


def test_the_clinics_policy_must_allow_it(own: Courses) -> None:
    own.allowed = False
    why = "this clinic's policy.toml does not say courses = true"
    assert refused(own) == {f"policy.courses-off {why}"}


def test_the_study_must_be_approved_here(own: Courses) -> None:
    own.bench.decide("paused")
    why = "the study 'waits' is not approved here: it is paused"
    assert refused(own) == {f"policy.courses-off {why}"}


def test_somebody_must_have_signed_in(courses: Courses) -> None:
    assert refused(courses, "") == {"policy.session-needed"}
    assert refused(courses, "token-of-nobody") == {"policy.session-ended"}


def test_the_study_must_say_so(tmp_path: Path) -> None:
    silent = Courses(tmp_path / "ash", STUDY.replace("[release]\ncourses = true\n", ""))
    why = "the study 'waits' does not say courses = true under [release]"
    assert refused(silent) == {f"policy.courses-off {why}"}
    silent.bench.close()


def test_a_model_must_have_come_back(own: Courses) -> None:
    own.bench.keep(own.bench.findings())  # a newer version, without one
    why = "no study that trained a model has come back"
    assert refused(own) == {f"policy.courses-off {why}"}


def test_policy_and_study_are_off_unless_they_say_otherwise() -> None:
    from cairn_client.clinic_policy import ClinicPolicy
    from cairn_protocol.study import Release

    assert ClinicPolicy().courses is False
    assert Release().courses is False


def days(reply: pb.PersonsReply) -> list[str]:
    return [person.last_seen or person.entered for person in reply.persons]


def test_lists_are_by_date_and_never_by_risk(courses: Courses) -> None:
    reply = courses.persons()
    entered = [person.entered for person in reply.persons]
    assert entered == sorted(entered, reverse=True)
    unseen = courses.admin.not_seen(pb.NotSeenRequest(session="token-of-ada", days=1))
    assert days(unseen) == sorted(days(unseen))
    worsened = courses.admin.worse(pb.PersonsRequest(session="token-of-ada"))
    assert [p.patient for p in worsened.persons] == ["k-zara", "k-ben"]  # k-ben rose by more
    flagged = courses.flags()
    assert [flag.patient for flag in flagged] == ["k-zara", "k-ben"]  # and lies further above
    excess = [flag.value - flag.high80 for flag in flagged]
    assert excess == sorted(excess), "risk would order them the other way"
    for text in (reply.order, unseen.order, worsened.order):
        assert text.startswith(("by day", "by the day"))


dates = st.none() | st.dates(date(2020, 1, 1), date(2026, 1, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text("abc", max_size=2), dates, st.floats(0, 27))), st.booleans())
def test_the_order_is_a_function_of_days_and_identifiers(
    rows: list[tuple[str, date | None, float]], newest_first: bool
) -> None:
    found = [Person(p, "", day, None, day, why=f"{risk}") for p, day, risk in rows]
    ordered = by_day(found, newest_first=newest_first)
    known = [p.day for p in ordered if p.day]
    assert known == sorted(known, reverse=newest_first)
    assert [p.day for p in ordered[len(known) :]] == [None] * (len(ordered) - len(known))
    shuffled = by_day(reversed(found), newest_first=newest_first)
    assert [(p.day, p.patient) for p in shuffled] == [(p.day, p.patient) for p in ordered]


def nines(reply: pb.PersonsReply) -> dict[str, pb.ItemNine]:
    return {p.patient: p.item_nine for p in reply.persons if p.HasField("item_nine")}


def test_item_nine_is_shown_whenever_above_zero_and_a_zero_never(courses: Courses) -> None:
    found = nines(courses.persons())
    assert {patient: nine.answer for patient, nine in found.items()} == {"k-zara": 3, "k-adam": 2}
    assert found["k-adam"].day == (TODAY - timedelta(days=90 - 14)).isoformat()  # a 0 came later
    assert all(nine.advice == NINE for nine in found.values())
    for patient in ("k-mona", "k-ben"):  # answered 0, and never asked: alike
        course = courses.course(patient)
        assert not course.person.HasField("item_nine")
        assert "item 9" not in str(course)
    assert courses.course("k-zara").person.item_nine.answer == 3
    assert [flag.HasField("item_nine") for flag in courses.flags()] == [True, False]


def test_no_zero_of_item_nine_is_even_kept(courses: Courses) -> None:
    kept = Kept.of(courses.bench.clinic.read(day=TODAY))
    assert kept.item_nine["value"].to_list() == [2, 3]
    zero = kept.item_nine.with_columns(value=pl.lit(0, pl.Int64))
    assert all(p.nine is None for p in patients(Kept(kept.records, kept.consent, zero)))


def test_no_question_and_no_model_is_given_item_nine(courses: Courses) -> None:
    records = courses.bench.clinic.read(day=TODAY).records
    for table in (records.patients, records.scores, records.engagement, records.wearables):
        assert not [name for name in table.columns if "nine" in name or "item" in name]
    assert set(records.scores["instrument"].unique()) == {"PHQ-9"}
    assert records.scores["value"].min() > 3  # totals alone


def test_a_course_has_its_bands_its_scores_and_what_it_rests_on(courses: Courses) -> None:
    reply = courses.course("k-adam")
    assert [(s.week, s.value) for s in reply.scores] == [(0, 20), (2, 18), (4, 15)]
    assert [e.weeks_ahead for e in reply.expected] == [1, 2, 4, 8, 12]
    assert [e.week for e in reply.expected] == [5, 6, 8, 12, 16]
    for e in reply.expected:
        assert 0 <= e.low95 <= e.low80 <= e.median <= e.high80 <= e.high95 <= 27
    assert reply.expected[0].day == (TODAY - timedelta(days=90 - 35)).isoformat()
    assert "3 weeks, the last in week 4" in reply.basis
    assert reply.caption.startswith(CAPTION)
    assert "made up" in reply.caption
    (drawn,) = reply.drawings  # there are no GAD-7 scores
    assert [row.cells[0] for row in drawn.table.rows] == ["0", "2", "4", "5", "6", "8", "12", "16"]
    assert "Research use only" in drawn.svg


def test_nothing_is_expected_where_too_little_is_known(courses: Courses) -> None:
    reply = courses.course("k-liv")
    assert not reply.expected
    assert "scores in 2 weeks" in reply.missing
    assert len(reply.scores) == 1
    assert not reply.flags


def test_a_patients_course_is_of_that_patient_alone(courses: Courses) -> None:
    from cairn_client.returned.expected import Expectations

    records = courses.bench.clinic.read(day=TODAY).records
    alone = records.only(pl.Series(["k-adam"]))
    told = model(heads=all_usable())
    scale = Expectations(told, alone).scales[0]
    a = [*Expectations(told, alone).ahead("k-adam", scale)]
    b = [*Expectations(told, records).ahead("k-adam", scale)]
    assert [e.ahead for e in a] == [e.ahead for e in b]
    assert [e.median for e in a] == pytest.approx([e.median for e in b])
    assert [e.bands for e in a] == [pytest.approx(e.bands) for e in b]


def test_bands_that_were_not_shown_to_hold_are_not_drawn_and_flag_nobody(tmp_path: Path) -> None:
    heads = tuple(
        head if "bands" not in head.output else replace(head, usable=False, why="no")
        for head in all_usable()
    )
    bare = Courses(tmp_path / "ash", heads=heads)
    reply = bare.course("k-adam")
    assert [e.weeks_ahead for e in reply.expected] == [1, 2, 4, 8, 12]
    assert not any(e.HasField("low80") or e.HasField("high95") for e in reply.expected)
    assert not bare.flags()
    assert not bare.course("k-zara").flags
    bare.bench.close()


def test_a_model_that_may_say_nothing_says_nothing(tmp_path: Path) -> None:
    heads = tuple(replace(head, usable=False, why="no") for head in all_usable())
    mute = Courses(tmp_path / "ash", heads=heads)
    reply = mute.course("k-adam")
    assert not reply.expected
    assert "better than the last score" in reply.missing
    mute.bench.close()


def test_a_flag_states_its_basis_and_asks_for_a_named_reviewer(courses: Courses) -> None:
    zara, ben = courses.flags()
    assert zara.basis.startswith("PHQ-9 26 in week 8; from the scores until week 4")
    assert "'waiting'" in zara.basis
    assert zara.value > zara.high80
    assert ben.day == (TODAY - timedelta(days=100 - 77)).isoformat()
    assert "named reviewer" in zara.ask
    assert not zara.reviewer


def test_an_acknowledgement_has_a_name_and_a_time_and_stays(own: Courses) -> None:
    zara, ben = own.flags()
    asked = pb.AcknowledgeRequest(session="token-of-ada", flag=zara.id)
    said = own.admin.acknowledge(asked)
    assert said.reviewer == "Ada"
    assert said.acknowledged_at > 0
    assert not said.ask
    again = {flag.id: flag.reviewer for flag in own.flags()}
    assert again == {zara.id: "Ada", ben.id: ""}
    (path,) = own.bench.clinic.state.glob("acknowledged.sealed")
    assert b"Ada" not in path.read_bytes()
    with pytest.raises(PolicyRefusal, match="no such flag"):
        own.admin.acknowledge(pb.AcknowledgeRequest(session="token-of-ada", flag="00"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CairnError) as error:
        own.flags()
    assert error.value.code == "input.acknowledgements-damaged"


def test_not_seen_counts_from_the_last_score_or_use(courses: Courses) -> None:
    request = pb.NotSeenRequest(session="token-of-ada", days=24)
    found = {p.patient: p.days_since for p in courses.admin.not_seen(request).persons}
    assert "k-mona" not in found  # a log-in, 6 days ago
    assert "k-ben" not in found  # 23 days ago
    assert found["k-adam"] == 62
    assert found["k-liv"] == 40  # being offered something is not being seen


def kept_of(rows: list[tuple[str, float, str, float]], entered: date | None) -> Kept:
    from cairn_client.readers.consent import Consent
    from cairn_models.records import PATIENT_COLUMNS, SCORES, Records

    names = sorted({row[0] for row in rows})
    people = [{"patient": n, "arm": None, "entry": entered} for n in names]
    return Kept(
        Records(
            pl.DataFrame(people, schema=dict(PATIENT_COLUMNS)),
            pl.DataFrame(rows, schema=dict(SCORES), orient="row"),
        ),
        Consent(),
    )


def test_without_a_date_of_entry_nobody_is_dated_or_missed() -> None:
    kept = kept_of([("a", 0, "PHQ-9", 5), ("a", 8, "PHQ-9", 20)], None)
    assert not_seen(kept, 1, TODAY) == []
    (person,) = worse(kept)
    assert (person.day, person.entered) == (None, None)


@pytest.mark.parametrize(
    ("scores", "listed"),
    [
        ([("PHQ-9", 10, 16)], True),
        ([("PHQ-9", 10, 15)], False),
        ([("PHQ-9", 10, 15.5)], True),  # rounded as on a form
        ([("GAD-7", 5, 9)], True),
        ([("PHQ-9", 10, 16), ("GAD-7", 9, 5)], False),  # one worse, one better
        ([("PHQ-9", 20, 9)], False),
        ([("WSAS", 0, 40)], False),
    ],
)
def test_worse_is_reliable_deterioration(
    scores: list[tuple[str, float, float]], listed: bool
) -> None:
    rows = [("a", week, n, v) for n, *pair in scores for week, v in zip((0, 8), pair, strict=True)]
    assert bool(worse(kept_of(rows, TODAY - timedelta(days=70)))) == listed


def test_a_withdrawn_patient_is_not_shown(own: Courses) -> None:
    folder = own.bench.clinic.path
    names = [p.patient for p in own.persons().persons]
    mapping = (folder / "mapping.toml").read_text()
    (folder / "mapping.toml").write_text(
        mapping + '[consent]\nfile = "consent.csv"\npatient = "patient"\nends = "ends"\n'
    )
    rows = "".join(f"{n},{'2026-05-01' if n == 'k-zara' else ''}\n" for n in names)
    (folder / "consent.csv").write_text("patient,ends\n" + rows)
    assert [p.patient for p in own.persons().persons] == [n for n in names if n != "k-zara"]
    with pytest.raises(PolicyRefusal) as error:
        own.course("k-zara")
    assert "k-zara" not in f"{error.value} {error.value.why} {error.value.hint}"


def test_no_identifier_is_logged(courses: Courses, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        courses.persons()
        courses.course("k-zara")
        courses.flags()
    assert "k-" not in caplog.text


def test_no_view_speaks_to_a_patient_or_ranks_anybody(courses: Courses) -> None:
    said = " ".join(map(str, (courses.persons(), courses.course("k-zara"), *courses.flags())))
    for word in ("you should", "your score", "priority", "high risk", "urgent", "rank"):
        assert word not in said.lower()
