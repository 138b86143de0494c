"""The page on how ready the data are: right numbers, nobody's name, nothing from elsewhere."""

from __future__ import annotations

import re
import stat
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.readers import Import
from cairn_client.readiness import Readiness, readiness, readiness_page, write_readiness
from cairn_client.readiness.faults import fault_rows
from cairn_client.readiness.people import groups, numbers, study_fits
from cairn_client.readiness.scores import instrument_facts
from cairn_models.records import PATIENT_COLUMNS, SCORES, Records
from cairn_models.synthetic.csv_files import write_clinic_csv
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from clinic_files import SCORES as FILE
from clinic_files import write_folder
from keeper_bench import STUDY

DAY = date(2024, 12, 31)


def records(*people: tuple[str, date | None, list[tuple[float, float]]]) -> Records:
    """Patients by name with their date of entry and their (week, PHQ-9)."""
    named = [(p, "waiting", entry) for p, entry, _ in people]
    rows = [(p, week, "PHQ-9", value) for p, _, scores in people for week, value in scores]
    return Records(
        pl.DataFrame(named, schema=PATIENT_COLUMNS, orient="row"),
        pl.DataFrame(rows, schema=SCORES, orient="row"),
    )


def read(of: Records) -> Import:
    return Import(of, (), {}, {}, pl.DataFrame())


def test_completeness_counts_those_who_were_followed_so_long() -> None:
    some = records(
        ("a", DAY - timedelta(weeks=20), [(0.0, 10), (3.5, 9), (4.4, 8), (8.0, 7)]),
        ("b", DAY - timedelta(weeks=5), [(0.0, 12), (4.5, 9)]),
        ("c", DAY - timedelta(weeks=1), [(0.0, 12)]),
        ("d", None, []),
    )
    (facts,) = instrument_facts(some, DAY)
    weeks = {w.week: (w.scored, w.followed) for w in facts.weeks}
    assert weeks[0] == (3, 4)
    assert weeks[4] == (1, 3), "two scores of one patient in a week are one patient"
    assert weeks[5] == (1, 3)
    assert weeks[8] == (1, 2)
    assert weeks[26] == (0, 1)


def test_ranges_gaps_and_bins() -> None:
    some = records(
        ("a", None, [(0.0, 0), (1.0, 27), (9.0, 10)]), ("b", None, [(5.0, 0)]), ("c", None, [])
    )
    (facts,) = instrument_facts(some, DAY)
    assert (facts.rows, facts.patients) == (4, 2)
    assert (facts.lowest, facts.highest) == (0, 27)
    assert (facts.at_floor, facts.at_ceiling) == (0.5, 0.25)
    assert facts.gaps == (1, 0, 0, 1, 0, 0, 0)
    assert facts.gap_median == 4.5
    assert (len(facts.bins), facts.bin_width, sum(facts.bins)) == (14, 2, 4)
    assert (facts.bins[0], facts.bins[5], facts.bins[13]) == (2, 1, 1)


@pytest.mark.parametrize(("later", "told"), [(12.0, False), (22.0, True)])
def test_drift_over_quarters_is_told(later: float, told: bool) -> None:
    old = [(f"a{i}", date(2024, 2, 1), [(0.0, 10.0 + i % 5), (8.0, 9.0)]) for i in range(20)]
    new = [(f"b{i}", date(2024, 8, 1), [(0.0, later + i % 3), (8.0, 9.0)]) for i in range(20)]
    (facts,) = instrument_facts(records(*old, *new), DAY)
    assert [(q.name, q.patients, q.later) for q in facts.quarters] == [
        ("2024 Q1", 20, 1.0),
        ("2024 Q3", 20, 1.0),
    ]
    assert bool(facts.drift) is told
    if told:
        assert "2024 Q3: first scores are" in facts.drift[0]
        assert "above" in facts.drift[0]


def test_a_loss_of_completeness_is_told_and_small_quarters_are_not() -> None:
    old = [(f"a{i}", date(2024, 2, 1), [(0.0, 10.0 + i % 5), (8.0, 9.0)]) for i in range(20)]
    new = [(f"b{i}", date(2024, 8, 1), [(0.0, 10.0 + i % 5)]) for i in range(20)]
    (facts,) = instrument_facts(records(*old, *new), DAY)
    assert facts.drift == ("2024 Q3: 0% were scored around week 8, 100% before",)
    (facts,) = instrument_facts(records(*old, *new[:9]), DAY)
    assert facts.drift == ()


def test_small_groups_are_named_and_rare_words_are_not() -> None:
    words = ["a"] * 12 + ["b"] * 9 + ["Erika Mustermann", "Max Mustermann"] + [None]
    people = pl.DataFrame(
        {"patient": [f"p{i:02}" for i in range(24)], "arm": ["waiting"] * 24, "sex": words}
    ).with_columns(entry=pl.lit(None, pl.Date()), age=pl.Series([30.0] * 23 + [341.0]))
    found = {(g.of, g.level): (g.patients, g.small) for g in groups(Records(people))}
    assert found == {
        ("arm", "waiting"): (24, False),
        ("sex", "a"): (12, False),
        ("sex", "b"): (9, True),
        ("sex", "words of fewer than 3 patients each (2)"): (2, True),
        ("sex", "not known"): (1, True),
    }
    (age,) = numbers(Records(people))
    assert (age.known, age.odd) == (24, 1)


WINDOW = "[cohort]\nentry_from = 2024-01-01\n"


def test_a_window_without_dates_of_entry_is_warned_of() -> None:
    study = Study.parse(STUDY.replace("[cohort]\n", WINDOW).encode())
    (fit,) = study_fits(read(records(("a", None, [(0.0, 9)]))), [study])
    assert fit.inside == 0
    assert "map patients.entry" in fit.faults[0]
    assert any("dmhi_guided" in fault for fault in fit.faults)
    some = records(("a", None, [(0.0, 9)]), ("b", date(2024, 5, 1), [(0.0, 9)]))
    (fit,) = study_fits(read(some), [study])
    assert (fit.inside, fit.with_outcome) == (1, 1)
    assert fit.faults[0].startswith("1 patients have no date")
    (fit,) = study_fits(read(some), [Study.parse(STUDY.encode())])
    assert not any("date of entry" in fault for fault in fit.faults)


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicFolder:
    (tmp_path / "clinic.toml").write_text('name = "oak"\ndata = "synthetic"\n')
    rows = "zq1,3,PHQ-9,28,,SECRET\nzq1,4,PHQ-9,x,,\nzq9,4,PHQ-9,3,,\nzq2,0,GAD-7,12,,\n"
    write_folder(tmp_path, scores=FILE + rows)
    return ClinicFolder.open(tmp_path)


def facts_of(clinic: ClinicFolder, studies: list[Study] | None = None) -> Readiness:
    return readiness(clinic.config.name, clinic.config.data, clinic.read(), studies, DAY)


def test_the_page_is_private_whole_and_names_nobody(clinic: ClinicFolder) -> None:
    path = clinic.path / "data.html"
    path.write_text("an older one")
    path.chmod(0o644)
    write_readiness(facts_of(clinic, [Study.parse(STUDY.encode())]), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "zq" not in text.lower()
    assert "SECRET" not in text
    assert not re.search(r"https?://(?!www\.w3\.org)|src=|@import|<script|url\(", text)
    assert "default-src 'none'" in text
    for words in ("For this clinic alone", "Synthetic data", "names no dates of consent"):
        assert words in text
    assert "A tiny study" in text
    assert "score-out-of-range" in text
    assert "duplicate-row" in text
    assert not list(clinic.path.glob(".data*"))


def test_every_fault_is_there_with_its_rows(clinic: ClinicFolder) -> None:
    found = {f.code: (f.count, f.rows, f.aside) for f in fault_rows(clinic.read())}
    assert found == {
        "score-out-of-range": (1, "6", True),
        "number-unreadable": (1, "7", True),
        "patient-unknown": (1, "8", True),
        "duplicate-row": (1, "9", False),
    }


def test_a_clinic_without_anybody_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "clinic.toml").write_text('name = "oak"\n')
    write_clinic_csv(Records(), tmp_path, name="oak")
    clinic = ClinicFolder.open(tmp_path)
    page = readiness_page(facts_of(clinic))
    assert "No patient can be used" in page
    assert "The keeper was not asked" in page


def test_a_page_that_cannot_be_written_is_named(clinic: ClinicFolder) -> None:
    with pytest.raises(InputError, match="report-unwritable"):
        write_readiness(facts_of(clinic), clinic.path / "none" / "data.html")


def test_words_of_the_clinic_are_text_not_html(clinic: ClinicFolder) -> None:
    mapping = clinic.path / "mapping.toml"
    mapping.write_text(mapping.read_text().replace('sex = "sex"', 'sex = "<b>sex</b>"'))
    people = clinic.path / "patients.csv"
    people.write_text(people.read_text().replace(",sex,", ",<b>sex</b>,").replace(",f,", ",<i>f,"))
    text = readiness_page(facts_of(clinic))
    assert "<i>f" not in text
