"""The sealed store: the same files give the same, half an export is asked about, people leave."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.importing import Imported, import_records
from cairn_client.keeper import Keeper
from cairn_client.record_pack import digest, pack, unpack
from cairn_client.record_store import FILE, RecordStore
from cairn_client.reimport import Schedule
from cairn_client.study_records import StudyRecords
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal
from cairn_protocol.messages import Upload
from cairn_protocol.server_run import ServerRun
from cairn_protocol.study import Study
from keeper_bench import STUDY, Bench

MAPPING = """
cairn = 1
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
[patients]
file = "patients.csv"
patient = "patient"
arm = "arm"
entry = "entry"
consent_ends = "until"
"""
PEOPLE = 20
TODAY = date(2024, 6, 30)
Files = Callable[..., ClinicFolder]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes the clinic's export: patients `first` to `last`, some withdrawn, some moved."""

    def write(
        first: int = 0,
        last: int = PEOPLE,
        *,
        until: dict[int, str] | None = None,
        entries: dict[int, str] | None = None,
        rows: int = 2,
        name: str = "SECRET",
    ) -> ClinicFolder:
        folder = tmp_path / "oak"
        folder.mkdir(exist_ok=True)
        (folder / "clinic.toml").write_text('name = "oak"\n')
        (folder / "mapping.toml").write_text(MAPPING)
        arms = ("waiting", "dmhi_guided")
        entries, until = entries or {}, until or {}
        people = [
            f"{name}-{i},{arms[i % 2]},{entries.get(i, '2024-01-08')},{until.get(i, '')}"
            for i in range(first, last)
        ]
        text = "patient,arm,entry,until\n" + "\n".join(people)
        (folder / "patients.csv").write_text(text + "\n")
        scores = [
            f"{name}-{i},{8 * week},PHQ-9,{(i + week) % 27}"
            for i in range(first, last)
            for week in range(rows)
        ]
        (folder / "scores.csv").write_text(
            "patient,week,instrument,value\n" + "\n".join(scores) + "\n"
        )
        return ClinicFolder.open(folder)

    return write


def store_of(clinic: ClinicFolder) -> RecordStore:
    return RecordStore(clinic.state, clinic.identity())


def kept(clinic: ClinicFolder) -> Records:
    found = store_of(clinic).kept()
    assert found is not None
    return found.records


def again(clinic: ClinicFolder, **more: bool) -> Imported:
    return import_records(clinic, day=TODAY, **more)  # type: ignore[arg-type]


# The store


def test_what_is_imported_is_what_was_read(files: Files) -> None:
    clinic = files()
    imported = again(clinic)
    assert (imported.change, imported.manifest.number) == ("first", 1)
    for table in ("patients", "scores", "engagement", "wearables"):
        assert getattr(kept(clinic), table).equals(getattr(imported.read.records, table))
    assert imported.manifest.counts["patients"] == PEOPLE
    assert store_of(clinic).manifest() == imported.manifest


def test_the_store_is_private_and_shows_nobody(files: Files) -> None:
    clinic = files()
    again(clinic)
    file = clinic.state / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for path in clinic.state.iterdir():
        data = path.read_bytes().lower()
        assert b"secret" not in data
        assert b"phq-9" not in data
        assert b"waiting" not in data


def test_the_same_files_give_the_same_and_nothing_is_written(files: Files) -> None:
    first = again(files())
    clinic = files()
    before = (clinic.state / FILE).read_bytes()
    second = again(clinic)
    assert (second.change, second.manifest) == ("nothing", first.manifest)
    assert (clinic.state / FILE).read_bytes() == before


def test_the_order_of_rows_is_no_change_and_a_score_is_one(files: Files) -> None:
    clinic = files()
    again(clinic)
    scores = clinic.path / "scores.csv"
    head, *rows = scores.read_text().splitlines()
    scores.write_text("\n".join([head, *reversed(rows)]))
    assert again(clinic).change == "nothing"
    scores.write_text("\n".join([head, *rows[:-1], rows[-1].rsplit(",", 1)[0] + ",26"]))
    changed = again(clinic)
    assert (changed.change, changed.manifest.number) == ("changed", 2)
    assert store_of(clinic).manifest() == changed.manifest


@pytest.mark.parametrize("at", [0, 20, 60, -1])
def test_a_byte_that_was_changed_is_noticed(files: Files, at: int) -> None:
    clinic = files()
    again(clinic)
    data = bytearray((clinic.state / FILE).read_bytes())
    data[at] ^= 1
    (clinic.state / FILE).write_bytes(data)
    with pytest.raises(InputError, match="records-damaged") as told:
        store_of(clinic).kept()
    assert "import again" in told.value.hint


@pytest.mark.parametrize("size", [0, 5, 30, -7])
def test_a_store_that_was_cut_off_is_noticed(files: Files, size: int) -> None:
    clinic = files()
    again(clinic)
    data = (clinic.state / FILE).read_bytes()
    (clinic.state / FILE).write_bytes(data[:size])
    with pytest.raises(InputError, match="records-damaged"):
        store_of(clinic).kept()


def test_records_of_an_older_import_do_not_open_under_a_newer_manifest(files: Files) -> None:
    clinic = files()
    again(clinic)
    old = store_of(clinic)._parts()
    again(files(until={1: "2024-06-30"}))
    new = store_of(clinic)._parts()
    mixed = [new[0], old[1]]
    body = b"".join(len(part).to_bytes(8, "big") + part for part in mixed)
    (clinic.state / FILE).write_bytes(b"cairn records 1\n" + body)
    with pytest.raises(InputError, match="records-damaged"):
        store_of(clinic).kept()


def test_a_crash_while_writing_leaves_the_old_store(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = files()
    first = again(clinic)
    files(until={1: "2024-06-30"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((InputError, OSError)):
        again(clinic)
    monkeypatch.undo()
    assert store_of(clinic).manifest() == first.manifest
    assert kept(clinic).patients.height == PEOPLE
    assert not list(clinic.state.glob(".records*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can import for another user")
def test_what_root_imports_is_the_keepers(files: Files) -> None:
    clinic = files()
    os.chown(clinic.state, 1, 1)
    again(clinic)
    for name in (FILE, "import.lock"):
        assert (clinic.state / name).stat().st_uid == 1


def test_one_import_at_a_time(files: Files) -> None:
    clinic = files()
    with store_of(clinic).importing(), pytest.raises(InputError, match="import-running"):
        again(clinic)
    again(clinic)


def test_packing_gives_back_what_was_packed(files: Files) -> None:
    clinic = files()
    read = clinic.read(day=TODAY)
    again(clinic)
    found = store_of(clinic).kept()
    assert found is not None
    assert digest(unpack(pack(found))) == digest(found)
    assert found.consent.periods is not None
    assert read.consent.periods is not None
    assert found.consent.periods.equals(read.consent.periods)


# What an import may lose


def test_half_an_export_is_refused_until_somebody_accepts_it(files: Files) -> None:
    first = again(files())
    clinic = files(0, PEOPLE // 2)
    with pytest.raises(PolicyRefusal, match="import-loss") as told:
        again(clinic)
    assert "10 of 20 patients" in told.value.what
    assert "--accept-loss" in told.value.hint
    assert store_of(clinic).manifest() == first.manifest
    accepted = again(clinic, accept_loss=True)
    assert kept(clinic).patients.height == PEOPLE // 2
    assert {loss.table: loss.gone for loss in accepted.lost} == {"patients": 10, "scores": 20}


def test_half_the_scores_of_everybody_is_refused_too(files: Files) -> None:
    again(files())
    with pytest.raises(PolicyRefusal, match="20 of 40 rows of scores"):
        again(files(rows=1))


def test_new_identifiers_are_a_loss_although_the_number_is_the_same(files: Files) -> None:
    """Otherwise everybody would be somebody new to the pins, with a fresh budget."""
    again(files())
    with pytest.raises(PolicyRefusal, match="identifiers may have changed"):
        again(files(name="OTHER"))


def test_a_few_may_go_and_any_number_may_withdraw(files: Files) -> None:
    again(files())
    assert again(files(0, PEOPLE - 2)).change == "changed"
    clinic = files(0, PEOPLE - 2, until=dict.fromkeys(range(15), "2024-06-01"))
    again(clinic)
    assert kept(clinic).patients.height == 3


def test_a_refused_import_takes_out_who_withdrew_all_the_same(files: Files) -> None:
    again(files())
    clinic = files(0, 10, until={3: "2024-06-01"})
    with pytest.raises(PolicyRefusal, match="import-loss"):
        again(clinic)
    left = set(kept(clinic).patients["patient"])
    assert len(left) == PEOPLE - 1
    assert "secret-3" not in left
    with pytest.raises(PolicyRefusal, match="import-loss"):
        again(clinic)
    manifest = store_of(clinic).manifest()
    assert manifest is not None
    assert manifest.number == 2, "the second refusal had nothing to take out"


# Studies' own instruments


def test_records_are_kept_with_a_studys_own_instruments(files: Files) -> None:
    clinic = files()
    scores = clinic.path / "scores.csv"
    scores.write_text(scores.read_text() + "SECRET-1,3,SCL-90,88\n")
    again(clinic)
    own = (Instrument("SCL-90", 0, 90, whole_numbers=False),)
    assert store_of(clinic).kept(own) is None
    import_records(clinic, own=own, day=TODAY)
    found = store_of(clinic).kept(own)
    assert found is not None
    assert "SCL-90" in set(found.records.scores["instrument"])
    assert "SCL-90" not in set(kept(clinic).scores["instrument"])
    scores.write_text(scores.read_text() + "SECRET-2,3,SCL-90,80\n")
    again(clinic)
    found = store_of(clinic).kept(own)
    assert found is not None
    assert (found.records.scores["instrument"] == "SCL-90").sum() == 2, "kept from then on"


# During a study

A_STUDY = Study.parse(STUDY.encode())
RUN = bytes(16)


class Calendar:
    day = TODAY

    def __call__(self) -> date:
        return self.day


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


def who(records: StudyRecords) -> set[int]:
    found = records.of(RUN)
    assert set(found.scores["patient"]) == set(found.patients["patient"])
    return {int(p.rsplit("-", 1)[1]) for p in found.patients["patient"]}


def test_a_run_adds_nobody_and_loses_who_withdrew(files: Files, calendar: Calendar) -> None:
    clinic = files(0, 18)
    again(clinic)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(18))
    again(files(0, 20, until={5: "2024-06-30"}))
    assert who(records) == set(range(18)) - {5}, "18 and 19 wait for the next run"
    again(files(0, 20))
    assert who(records) == set(range(18)) - {5}, "who has left a run does not come back into it"
    records.forget(A_STUDY.digest)
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(20))


def test_a_date_that_comes_takes_them_out_without_an_import(
    files: Files, calendar: Calendar
) -> None:
    clinic = files(until={2: "2024-07-02"})
    again(clinic)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    calendar.day = TODAY + timedelta(days=1)
    assert who(records) == set(range(20))
    calendar.day = date(2024, 7, 2)
    assert who(records) == set(range(20)) - {2}


def test_the_records_of_a_run_are_those_of_its_opening(files: Files, calendar: Calendar) -> None:
    clinic = files()
    again(clinic)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    before = records.of(RUN)
    assert records.of(RUN) is before, "nothing happened: nothing is prepared anew"
    again(files(rows=3, entries={1: "2026-01-01"}))
    after = records.of(RUN)
    assert after is not before, "an import is prepared anew, whoever it concerns"
    assert after.scores.equals(before.scores)
    assert after.patients.equals(before.patients)


def test_a_store_that_was_taken_away_in_the_middle_is_a_fault(
    files: Files, calendar: Calendar
) -> None:
    clinic = files()
    again(clinic)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    (clinic.state / FILE).write_bytes(b"cairn records 1\n")
    with pytest.raises(OurFault, match="records-unreadable") as told:
        records.of(RUN)
    assert str(clinic.path) not in f"{told.value} {told.value.hint}", "it goes to the server"


def test_before_the_first_import_the_files_are_read(files: Files, calendar: Calendar) -> None:
    clinic = files(until={2: "2024-07-02"})
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    calendar.day = date(2024, 7, 2)
    assert who(records) == set(range(20)) - {2}
    assert store_of(clinic).stamp is None


TWO_QUESTIONS = STUDY.replace(
    'name = "course"\nkind = "trajectory"\nepsilon = 1.0\nrounds = 2',
    'name = "retention"\nkind = "retention"\nepsilon = 1.0',
)


@pytest.fixture
def course(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Three keepers, their clinics imported, at a study of two questions, without noise."""
    monkeypatch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
    b = bench(text=TWO_QUESTIONS)
    for keeper in b.keepers:
        folder = keeper.clinic.path
        mapping = (folder / "mapping.toml").read_text() + 'consent_ends = "until"\n'
        (folder / "mapping.toml").write_text(mapping)
        _patients(keeper, "")
        import_records(keeper.clinic)
        keeper._read.forget(b.study.digest)
    b.set_up()
    yield b
    for keeper in b.keepers:
        keeper.close()


def _patients(keeper: Keeper, until: str, who: int = 0) -> None:
    name = keeper.clinic.config.name
    arms = ("waiting", "dmhi_guided") * 2
    rows = [f"SECRET-{name}-{i},{arm},{until if i == who else ''}" for i, arm in enumerate(arms)]
    (keeper.clinic.path / "patients.csv").write_text("patient,arm,until\n" + "\n".join(rows))


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many patients' rows went into each sum that a door made."""
    from cairn_client import door

    seen: list[int] = []
    real = door.bounded_sum

    def counted(rows: Iterator[object], *more: object) -> object:
        blocks = list(rows)
        seen.append(sum(len(block) for block in blocks))  # type: ignore[arg-type]
        return real(iter(blocks), *more)  # type: ignore[arg-type]

    monkeypatch.setattr(door, "bounded_sum", counted)
    return seen


def ask(bench: Bench, question: str, attempt: int = 0) -> None:
    replies = bench.everyone(bench.requests(question, attempt=attempt))
    assert all(isinstance(reply, Upload) for reply in replies), replies


def test_who_withdraws_is_out_of_the_next_question(course: Bench, summed: list[int]) -> None:
    """The real keeper, door and import; only the noise is off, to see whose rows are summed."""
    keeper = course.keepers[0]
    ask(course, "effect")
    first, charged = list(summed), keeper.ledger.spent()
    _patients(keeper, date.today().isoformat())
    assert import_records(keeper.clinic).change == "changed"
    ask(course, "retention")
    assert summed[len(first) :] == [first[0] - 1, *first[1:]]
    assert keeper.ledger.spent() > charged, "the question is charged to everybody as before"


def test_who_withdraws_is_out_of_the_same_round_asked_again(
    course: Bench, summed: list[int]
) -> None:
    ask(course, "effect")
    first = list(summed)
    _patients(course.keepers[0], date.today().isoformat())
    import_records(course.keepers[0].clinic)
    course.reopen(1)
    course.set_up()
    ask(course, "effect", attempt=1)
    assert summed[len(first) :] == [first[0] - 1, *first[1:]]


def test_who_is_taken_out_of_the_files_leaves_a_run_too(files: Files, calendar: Calendar) -> None:
    """Erased on request, in a clinic that holds no dates of consent."""
    clinic = files()
    mapping = clinic.path / "mapping.toml"
    mapping.write_text(mapping.read_text().replace('consent_ends = "until"\n', ""))
    again(clinic)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    for name in ("patients", "scores"):
        lines = (clinic.path / f"{name}.csv").read_text().splitlines()
        kept_lines = [line for line in lines if not line.startswith("SECRET-7,")]
        (clinic.path / f"{name}.csv").write_text("\n".join(kept_lines) + "\n")
    again(clinic)
    assert who(records) == set(range(PEOPLE)) - {7}


def test_a_date_that_a_later_import_moves_gives_no_fresh_budget(files: Files) -> None:
    """The pins hold over imports: the first quarter under which somebody was charged stays."""
    from cairn_client.admitted import admitted
    from cairn_client.entry_pins import EntryPins

    window = STUDY.replace("[cohort]", "[cohort]\nentry_from = {0}-01-01\nentry_until = {0}-12-31")
    of_2024, of_2026 = (Study.parse(window.format(year).encode()) for year in (2024, 2026))
    clinic = files()
    again(clinic)
    EntryPins.make(clinic.pins_file)
    pins = EntryPins(clinic.pins_file)
    assert len(admitted(kept(clinic), of_2024, pins)) == PEOPLE
    again(files(entries={1: "2026-02-01"}))
    assert len(admitted(kept(clinic), of_2026, pins)) == 0
    again(files(0, PEOPLE + 1, entries={1: "2026-02-01", PEOPLE: "2026-02-01"}))
    new = admitted(kept(clinic), of_2026, pins)
    assert list(new.patients["patient"]) == [f"secret-{PEOPLE}"]


def test_the_first_import_takes_people_out_of_a_run_that_began_from_the_files(
    files: Files, calendar: Calendar
) -> None:
    clinic = files()
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(PEOPLE))
    again(files(0, PEOPLE + 1, until={3: "2024-06-30"}))
    assert who(records) == set(range(PEOPLE)) - {3}
    (clinic.state / FILE).unlink()
    with pytest.raises(OurFault, match="records-unreadable"):
        records.of(RUN)


def test_such_a_run_of_a_study_with_instruments_of_its_own_loses_them_too(
    files: Files, calendar: Calendar
) -> None:
    """The import was made without those instruments: the files tell who is still in."""
    own = '\n[[instruments]]\nname = "SCL-90"\nlowest = 0\nhighest = 90\n'
    study = Study.parse((STUDY + own).encode())
    clinic = files()
    records = StudyRecords(clinic, calendar)
    records.have(study, RUN)
    again(files(0, PEOPLE, until={3: "2024-06-30"}))
    assert who(records) == set(range(PEOPLE)) - {3}


def test_every_run_begins_with_the_newest_import(files: Files, calendar: Calendar) -> None:
    again(files(0, 18))
    clinic = files(0, 18)
    records = StudyRecords(clinic, calendar)
    records.have(A_STUDY, RUN)
    again(files(0, 20, until={5: "2024-06-30"}))
    second = bytes([2] * 16)
    records.have(A_STUDY, second)
    assert len(records.of(second)) == 19, "although nobody closed the first run"
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(18)) - {5}, "a new setup of a run keeps its cohort"
    records.only([second])
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(20)) - {5}


def test_what_was_read_ahead_serves_one_run(files: Files, calendar: Calendar) -> None:
    clinic = files()
    records = StudyRecords(clinic, calendar)
    records.read(A_STUDY)
    files(until={5: "2024-06-30"})
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(PEOPLE))
    second = bytes([2] * 16)
    records.have(A_STUDY, second)
    assert len(records.of(second)) == PEOPLE - 1


def test_an_import_while_a_run_takes_its_records_is_not_overlooked(
    files: Files, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = files()
    again(clinic)
    records = StudyRecords(clinic, calendar)
    real, waiting = RecordStore.kept, [True]

    def kept_before(self: RecordStore, own: tuple[Instrument, ...] = ()) -> object:
        found = real(self, own)
        if self is records._store and waiting:
            waiting.clear()
            again(files(until={5: "2024-06-30"}))
        return found

    monkeypatch.setattr(RecordStore, "kept", kept_before)
    records.have(A_STUDY, RUN)
    assert who(records) == set(range(PEOPLE)) - {5}


def test_who_withdraws_is_out_of_a_run_that_is_opened_beside_another(
    course: Bench, summed: list[int]
) -> None:
    """A server that never closes its runs."""
    ask(course, "effect")
    first = list(summed)
    _patients(course.keepers[0], date.today().isoformat())
    import_records(course.keepers[0].clinic)
    course.server, course.opening = ServerRun.open(
        bytes([2] * 16), course.signed, course.roster, records=course.server.records
    )
    course.set_up()
    ask(course, "retention")
    assert summed[len(first) :] == [first[0] - 1, *first[1:]]
    assert {*course.keepers[0]._read._cohorts} == {bytes(16), bytes([2] * 16)}


# When


@pytest.mark.parametrize("text", ["daily", "daily 24:00", "daily 2:00", "weekly", "02:00"])
def test_a_schedule_that_cannot_be_read_is_refused(text: str, files: Files) -> None:
    with pytest.raises(ValueError, match="daily HH:MM"):
        Schedule.parse(text)
    clinic = files()
    (clinic.path / "clinic.toml").write_text(f'name = "oak"\nreimport = "{text}"\n')
    with pytest.raises(InputError, match="daily HH:MM"):
        ClinicFolder.open(clinic.path)


def test_an_import_is_due_once_a_day_and_a_missed_one_is_made_up() -> None:
    schedule = Schedule.parse("daily 02:00")
    assert schedule is not None
    night = datetime(2024, 6, 30, 2, 0, tzinfo=UTC)
    assert schedule.due(None, night)
    assert not schedule.due(night, night + timedelta(hours=23, minutes=59))
    assert schedule.due(night, night + timedelta(days=1))
    assert schedule.due(night - timedelta(minutes=1), night)
    assert schedule.due(night - timedelta(days=5), night + timedelta(hours=9))
    hourly = Schedule.parse("hourly")
    assert hourly is not None
    assert hourly.due(night, night + timedelta(hours=1))
    assert not hourly.due(night, night + timedelta(minutes=59))
