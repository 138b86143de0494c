"""Whom a study's window admits, to whom it is charged, and that nobody starts a budget anew."""

from __future__ import annotations

import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cairn_client.admitted import admitted
from cairn_client.charged import charged_blocks
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door
from cairn_client.entry_pins import EntryPins
from cairn_models.questions import build
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_privacy.blocks import EVERYONE, Blocks
from cairn_privacy.ledger import Ledger
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.messages import Upload
from cairn_protocol.study import Study
from keeper_bench import STUDY, Bench, write_clinic

Make = Callable[..., Bench]
BORN = date(2023, 5, 2)  # not of birth: of the first entry in most tests


def study(window: str = "", name: str = "tiny", data: str = "patients") -> Study:
    text = STUDY.replace("[cohort]", f"[cohort]\n{window}").replace("tiny", name)
    if data == "public":
        text = text.replace("epsilon = 1.0\n", "") + '[privacy]\ndata = "public"\n'
    return Study.parse(text.encode())


OF_2023 = "entry_from = 2023-01-01\nentry_until = 2023-12-31"
OF_2025 = "entry_from = 2025-01-01\nentry_until = 2025-12-31"


def records(**entries: date | None) -> Records:
    """Patients by name with their date of entry, each with two scores."""
    people = pl.DataFrame(
        {"patient": list(entries), "arm": ["waiting"] * len(entries), "entry": [*entries.values()]},
        schema=PATIENT_COLUMNS,
    )
    scores = pl.DataFrame(
        [(p, t, "PHQ-9", 12.0) for p in entries for t in (0.0, 8.0)], schema=SCORES, orient="row"
    )
    return Records(people, scores)


@pytest.fixture
def pins(tmp_path: Path) -> EntryPins:
    EntryPins.make(tmp_path / "pins")
    return EntryPins(tmp_path / "pins")


def who(found: Records) -> list[str]:
    assert set(found.scores["patient"]) == set(found.patients["patient"])
    return sorted(found.patients["patient"])


def test_a_window_admits_its_days_ends_included_and_nobody_without_a_date(pins: EntryPins) -> None:
    some = records(
        before=date(2022, 12, 31),
        first=date(2023, 1, 1),
        last=date(2023, 12, 31),
        after=date(2024, 1, 1),
        undated=None,
    )
    assert who(admitted(some, study(OF_2023), pins)) == ["first", "last"]
    assert who(admitted(some, study("entry_from = 2023-01-02"), pins)) == ["after", "last"]
    assert who(admitted(some, study("entry_until = 2022-12-31"), pins)) == ["before"]
    assert admitted(some, study(), pins) is some, "without a window everybody"


@pytest.mark.parametrize("window", ["", OF_2023, "entry_from = 2023-01-01"])
def test_nobody_is_admitted_to_a_block_that_is_not_charged(window: str, pins: EntryPins) -> None:
    some = records(a=date(2022, 1, 1), b=BORN, c=date(2026, 1, 1), d=None)
    asked = study(window)
    outside = [p for p in who(some) if p not in who(admitted(some, asked, pins))]
    charged = charged_blocks(asked)
    assert bool(outside) == (charged != EVERYONE)


def test_a_date_that_changes_gives_no_fresh_budget(pins: EntryPins) -> None:
    """Somebody comes back two years later, or a typing error is mended."""
    assert who(admitted(records(anna=BORN, ben=BORN), study(OF_2023), pins)) == ["anna", "ben"]
    back = records(anna=date(2025, 2, 1), ben=BORN, new=date(2025, 2, 1))
    assert who(admitted(back, study(OF_2025, "other"), pins)) == ["new"]
    assert who(admitted(back, study("", "all"), pins)) == ["anna", "ben", "new"]
    both = study("entry_from = 2023-01-01\nentry_until = 2025-12-31", "both")
    assert who(admitted(back, both, pins)) == ["anna", "ben", "new"], "her first quarter is charged"


def test_without_pins_she_would_begin_anew(tmp_path: Path, pins: EntryPins) -> None:
    """What the test above is worth: another file of pins knows nobody."""
    admitted(records(anna=BORN), study(OF_2023), pins)
    EntryPins.make(tmp_path / "others")
    back = records(anna=date(2025, 2, 1))
    assert who(admitted(back, study(OF_2025), EntryPins(tmp_path / "others"))) == ["anna"]


def test_who_is_left_out_depends_on_nobody_else(tmp_path: Path, pins: EntryPins) -> None:
    entries = {f"p{i}": date(2022 + i % 4, 1 + i % 12, 1 + i) for i in range(12)}
    first = records(**entries)
    moved = records(**{p: date(2025, 3, 1) for p in entries})
    admitted(first, study(OF_2023), pins)
    everyone = set(who(admitted(moved, study(OF_2025), pins)))
    for gone in entries:
        EntryPins.make(tmp_path / gone)
        own = EntryPins(tmp_path / gone)
        admitted(first.without(gone), study(OF_2023), own)
        rest = set(who(admitted(moved.without(gone), study(OF_2025), own)))
        assert rest == everyone - {gone}


def test_pins_name_nobody_and_are_private(tmp_path: Path, pins: EntryPins) -> None:
    admitted(records(anna_schmidt=BORN), study(OF_2023), pins)
    content = (tmp_path / "pins").read_bytes()
    assert b"anna" not in content
    assert stat.S_IMODE((tmp_path / "pins").stat().st_mode) == 0o600
    EntryPins.make(tmp_path / "pins")
    assert (tmp_path / "pins").read_bytes() == content, "never made anew over what is there"
    assert [file.name for file in tmp_path.iterdir()] == ["pins"]


def test_every_turn_waits_for_the_disk_whether_or_not_somebody_is_new(
    tmp_path: Path, pins: EntryPins
) -> None:
    """A turn without a write would be the faster one, and say that nobody had come."""
    content = set()
    for some in (records(), records(a=BORN), records(a=BORN), records(a=BORN, b=BORN)):
        content.add((tmp_path / "pins").read_bytes())
        admitted(some, study(OF_2023), pins)
    content.add((tmp_path / "pins").read_bytes())
    assert len(content) == 5


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with no_file_grows(), pytest.raises(InputError, match="entry-pins") as told:
        EntryPins.make(tmp_path / "pins")
    assert "check the disk" in told.value.hint
    assert list(tmp_path.iterdir()) == []


@contextmanager
def no_file_grows() -> Iterator[None]:
    """Every write beyond a file's first bytes fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_public_data_need_no_pins() -> None:
    some = records(a=date(2022, 1, 1), b=BORN)
    assert who(admitted(some, study(OF_2023, data="public"), None)) == ["b"]


def test_a_window_over_patients_without_pins_is_a_fault() -> None:
    with pytest.raises(OurFault, match="no-entry-pins"):
        admitted(records(a=BORN), study(OF_2023), None)


def test_lost_or_damaged_pins_stop_the_clinic(tmp_path: Path) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    asked = ask(study(OF_2023))
    with folder.ledger() as ledger:
        Door(lambda: records(a=BORN), ledger, EntryPins(folder.pins_file)).answer(asked)
    kept = folder.pins_file.read_bytes()
    folder.pins_file.unlink()
    with pytest.raises(InputError, match="entry-pins"):
        folder.ledger()
    folder.pins_file.write_bytes(b"\x01" + kept[1:])
    with pytest.raises(InputError, match="entry-pins"):
        EntryPins(folder.pins_file).hold({"a": 1})
    folder.pins_file.write_bytes(kept)
    folder.ledger().close()


def test_a_clinic_from_before_there_were_windows_gets_its_pins(tmp_path: Path) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    with folder.ledger() as ledger:
        ledger.reserve(bytes(32), "effect", 0, 0, 0.01)
    folder.pins_file.unlink()
    folder.ledger().close()
    assert folder.pins_file.is_file()


def ask(of: Study) -> Asked:
    question = build(of.questions[0], of)
    terms = QuestionTerms.of(of, question.spec, question.shape, 3)
    empty = np.zeros(0, dtype=np.float32)
    return Asked(bytes(16), question, terms, 0, 0, empty, 1.0, b"t" * 32)


@pytest.mark.parametrize("window", ["", OF_2023, "entry_until = 2023-06-30"])
def test_the_charge_is_the_windows_whoever_entered_when(
    tmp_path: Path, pins: EntryPins, window: str
) -> None:
    """Nothing private in the ledger: an empty clinic, a full one, one outside: the same links."""
    told = []
    cohorts = (records(), records(a=BORN, b=BORN), records(c=date(2031, 1, 1), d=None))
    for number, cohort in enumerate(cohorts):
        path = tmp_path / f"{number}.db"
        with Ledger.create(path, clinic="x", cap_epsilon=8.0, delta=1e-6) as ledger:
            Door(lambda cohort=cohort: cohort, ledger, pins).answer(ask(study(window)))  # type: ignore[misc]
            (entry,) = ledger.entries()
            told.append((entry.blocks, entry.units, ledger.spent(blocks=Blocks(1, 2))))
    assert told[0] == told[1] == told[2]
    assert told[0][0] == charged_blocks(study(window))


def test_only_the_admitted_reach_the_question(
    tmp_path: Path, pins: EntryPins, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(study(OF_2023))
    seen: list[list[str]] = []
    real = type(asked.question).prepare

    def prepare(self: object, some: Records) -> object:
        seen.append(who(some))
        return real(self, some)  # type: ignore[arg-type]

    monkeypatch.setattr(type(asked.question), "prepare", prepare)
    some = records(a=BORN, b=date(2024, 1, 1), c=None)
    with Ledger.create(tmp_path / "l.db", clinic="x", cap_epsilon=8.0, delta=1e-6) as ledger:
        Door(lambda: some, ledger, pins).answer(asked)
    assert seen == [["a"]]


def test_a_keeper_charges_the_window_and_writes_down_who_asked(bench: Make) -> None:
    b = bench(text=STUDY.replace("[cohort]", f"[cohort]\n{OF_2023}"))
    b.set_up()
    assert all(isinstance(reply, Upload) for reply in b.everyone(b.requests()))
    ledger = b.keepers[0].ledger
    assert ledger.spent(blocks=charged_blocks(b.study)) > 0
    assert ledger.spent(blocks=Blocks.of_window(date(2024, 1, 1), None)) == 0.0
    (account,) = ledger._account.studies.values()
    assert account.team == b.signed.team.hex()
    assert account.name == "tiny"
