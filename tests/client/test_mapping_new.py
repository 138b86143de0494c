"""A mapping proposed from a clinic's own files: right where they tell, asked where they do not."""

from __future__ import annotations

import csv
import io
import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.proposing.of_omop import propose_omop
from cairn_client.readers.proposing.proposal import Proposal, propose
from cairn_client.readers.proposing.words import arm_of, instrument_of, plain
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from omop_database import PEOPLE, sqlite_database, write_clinic

PATIENTS = 24
LANGUAGES = {
    "german": {
        "scores": ("Pat-Nr", "Datum", "Bogen", "Summe", "Bemerkung"),
        "patients": ("Pat.-Nr.", "Nachname", "Geburtsdatum", "Aufnahmedatum", "Gruppe",
                     "Geschlecht", "Alter", "Körpergröße"),
        "codes": ("PHQ9 Summenwert", "GAD7"),
        "arms": {"Warteliste": "waiting", "App mit Begleitung": "dmhi_guided",
                 "übliche Behandlung": "treatment_as_usual"},
        "day": "%d.%m.%Y", "mark": ";", "decimal": ",", "encoding": "cp1252",
    },
    "dutch": {
        "scores": ("Patiëntnummer", "Afnamedatum", "Vragenlijst", "Totaalscore", "Opmerking"),
        "patients": ("Patiëntnummer", "Achternaam", "Geboortedatum", "Aanmelddatum", "Behandeling",
                     "Geslacht", "Leeftijd", "Lengte"),
        "codes": ("PHQ-9 totaal", "GAD-7"),
        "arms": {"Wachtlijst": "waiting", "Online programma onbegeleid": "dmhi_unguided",
                 "gebruikelijke zorg": "treatment_as_usual"},
        "day": "%d-%m-%Y", "mark": ";", "decimal": ",", "encoding": "utf-8-sig",
    },
    "french": {
        "scores": ("Numéro patient", "Date de passation", "Questionnaire", "Score total",
                   "Remarque"),
        "patients": ("Numéro patient", "Nom", "Date de naissance", "Date d'inclusion", "Groupe",
                     "Sexe", "Âge", "Taille"),
        "codes": ("PHQ_9", "gad7"),
        "arms": {"Liste d'attente": "waiting", "Application accompagnée": "dmhi_guided",
                 "Livre": "self_help_book"},
        "day": "%d/%m/%Y", "mark": ",", "decimal": ".", "encoding": "utf-16",
    },
}  # fmt: skip


def write_language(folder: Path, spec: dict[str, object]) -> None:
    """A made-up clinic's exports as its system would write them."""
    rng = random.Random(3)
    day, codes, arms = str(spec["day"]), list(spec["codes"]), list(spec["arms"])  # type: ignore[call-overload]
    scores, patients = [], []
    for i in range(PATIENTS):
        name, entry = f"K{i:04}", date(2024, 1, 1) + timedelta(days=3 * i)
        born = f"{date(1980, 1, 1) + timedelta(days=40 * i):{day}}"
        height = str(round(rng.uniform(1.5, 1.9), 2)).replace(".", str(spec["decimal"]))
        patients.append((name, f"SECRET-Müller{i}", born, f"{entry:{day}}", arms[i % len(arms)],
                         "wm"[i % 2], 20 + i, height))  # fmt: skip
        for week in (0, 4):
            when = f"{entry + timedelta(weeks=week):{day}}"
            for code in codes:
                value = str(rng.randrange(0, 20) + 0.5).replace(".", str(spec["decimal"]))
                scores.append((name, when, code, value, "SECRET text, with a comma; and so on"))
    for file, rows in (("scores", scores), ("patients", patients)):
        out = io.StringIO()
        writer = csv.writer(out, delimiter=str(spec["mark"]), lineterminator="\r\n")
        writer.writerow(spec[file])  # type: ignore[arg-type]
        writer.writerows(rows)
        (folder / f"Export {file}.csv").write_bytes(out.getvalue().encode(str(spec["encoding"])))


def accept(folder: Path, **how: object) -> tuple[Proposal, Import]:
    """The proposal, and what importing with it, unedited, gives."""
    proposal = propose(folder, **how)  # type: ignore[arg-type]
    (folder / "mapping.toml").write_text(proposal.text, encoding="utf-8")
    return proposal, read_clinic(folder)


def long(folder: Path, header: str, rows: list[str], name: str = "scores.csv") -> Path:
    (folder / name).write_text("\n".join([header, *rows]) + "\n")
    return folder


def scores_of(days: list[str], header: str = "patient,date,instrument,value") -> list[str]:
    return [f"p{i},{day},PHQ-9,{i % 20}" for i, day in enumerate(days)]


def entries(folder: Path, days: list[str]) -> Path:
    return long(folder, "patient,entry", [f"p{i},{d}" for i, d in enumerate(days)], "patients.csv")


def refusal(folder: Path, **how: object) -> InputError:
    with pytest.raises(InputError) as caught:
        propose(folder, **how)  # type: ignore[arg-type]
    assert caught.value.hint
    assert "SECRET" not in str(caught.value) + caught.value.hint
    return caught.value


# What must import without an edit


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_synthetic_clinics_import_unedited(kind: str, tmp_path: Path) -> None:
    (written,) = generate(World(), [60], seed=7, weeks=26)
    write_clinic_csv(written, tmp_path, name="oak")
    (tmp_path / "mapping.toml").unlink()
    if kind == "parquet":
        for file in tmp_path.glob("*.csv"):
            pl.read_csv(file, try_parse_dates=True).write_parquet(file.with_suffix(".parquet"))
            file.unlink()
    proposal, imported = accept(tmp_path)
    assert imported.findings == ()
    assert imported.synthetic
    assert proposal.checks == ()
    read = imported.records
    for table in ("scores", "engagement", "wearables"):
        order = ["patient", "instrument" if table == "scores" else "measure"]
        original = getattr(written, table)
        order.append("week" if table == "wearables" else "time")
        assert getattr(read, table).equals(original.sort(order)), table
    both = ["patient", "arm", "entry"]
    assert read.patients.select(both).equals(written.patients.sort("patient").select(both))
    assert {"sex", "age_band", "prior_therapy"} <= set(read.patients.columns)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clinics_own_language_imports_unedited(language: str, tmp_path: Path) -> None:
    spec = LANGUAGES[language]
    write_language(tmp_path, spec)
    proposal, imported = accept(tmp_path)
    assert imported.findings == ()
    patients = imported.records.patients
    assert patients.height == PATIENTS
    assert set(patients["arm"]) == set(spec["arms"].values())  # type: ignore[attr-defined]
    assert {"sex", "age"} <= set(patients.columns)
    assert patients["entry"].to_list() == [
        date(2024, 1, 1) + timedelta(days=3 * i) for i in range(PATIENTS)
    ]
    scores = imported.records.scores
    assert set(scores["instrument"]) == {"PHQ-9", "GAD-7"}
    assert set(scores["time"]) == {0.0, 4.0}
    assert (scores["value"] % 1 == 0.5).all()
    private = str(spec["patients"][1])  # type: ignore[index]
    assert f"never read: {private}" in proposal.text


def test_an_omop_database_imports_unedited(tmp_path: Path) -> None:
    write_clinic(tmp_path, f"sqlite:///{sqlite_database(tmp_path / 'cdm.sqlite')}")
    (tmp_path / "mapping.toml").unlink()
    proposal = propose_omop("omop-url", tmp_path)
    (tmp_path / "mapping.toml").write_text(proposal.text)
    imported = read_clinic(tmp_path)
    assert imported.findings == ()
    assert imported.records.patients.height == PEOPLE
    assert set(imported.records.patients["arm"]) == {"dmhi_guided", "treatment_as_usual"}
    assert len(proposal.checks) == 1
    assert "entry" in proposal.checks[0]
    assert "SECRET" not in proposal.text
    assert "2024" not in proposal.text


def test_a_table_of_consent_beside_a_database(tmp_path: Path) -> None:
    write_clinic(tmp_path, f"sqlite:///{sqlite_database(tmp_path / 'cdm.sqlite')}")
    (tmp_path / "mapping.toml").unlink()
    rows = [f"{i};01.01.2024;{'02.01.2024' if i < 4 else ''}" for i in range(1, PEOPLE)]
    (tmp_path / "Einwilligungen.csv").write_text("\n".join(["Patient;von;bis", *rows]))
    proposal = propose_omop("omop-url", tmp_path)
    (tmp_path / "mapping.toml").write_text(proposal.text)
    imported = read_clinic(tmp_path)
    assert imported.findings == ()
    assert imported.tallies["patients left out: consent ended"] == 3
    assert imported.tallies["patients left out: no consent"] == 1
    assert any("person_source_value" in check for check in proposal.checks)


def test_consent_is_read_from_patients_or_asked_about(tmp_path: Path) -> None:
    days = [f"2024-01-{13 + i}" for i in range(12)]
    long(tmp_path, "patient,date,instrument,value", scores_of(days))
    entries(tmp_path, days)
    proposal, _ = accept(tmp_path)
    assert any("everybody in the files counts as consenting" in c for c in proposal.checks)
    (tmp_path / "mapping.toml").unlink()
    rows = [f"p{i},{d},{d},{d if i == 3 else ''}" for i, d in enumerate(days)]
    long(tmp_path, "patient,entry,consent date,withdrawn", rows, "patients.csv")
    proposal, read = accept(tmp_path)
    assert proposal.checks == ()
    assert read.tallies["patients left out: consent ended"] == 1


def test_a_sensitive_programme_is_left_out_or_asked_about(tmp_path: Path) -> None:
    rows = [f"p{i},{i % 3},PHQ-9,{i % 20},{'1' if i < 4 else '0'}" for i in range(30)]
    long(tmp_path, "patient,week,instrument,value,Part 2", rows)
    proposal, read = accept(tmp_path)
    assert 'sensitive = "Part 2"' in proposal.text
    assert read.counts == {"row-sensitive": 4}
    words = [f"p{i},{i % 3},PHQ-9,{i % 20},{'Suchthilfe' if i < 6 else 'Tagesklinik'}"
             for i in range(30)]  # fmt: skip
    (tmp_path / "mapping.toml").unlink()
    proposal = propose(long(tmp_path, "patient,week,instrument,value,Abteilung", words))
    assert any("'Suchthilfe' in 'Abteilung'" in check for check in proposal.checks)


# What is asked, and what is refused


AMBIGUOUS = [f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(12)]


def test_day_or_month_first_is_asked(tmp_path: Path) -> None:
    entries(long(tmp_path, "patient,date,instrument,value", scores_of(AMBIGUOUS)), AMBIGUOUS)
    error = refusal(tmp_path)
    assert error.code == "input.date-order"
    assert "--dates" in error.hint
    for order, form in (("day-first", "%d/%m/%Y"), ("month-first", "%m/%d/%Y")):
        assert f'date_format = "{form}"' in propose(tmp_path, order=order).text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "form"),
    [
        ([*AMBIGUOUS[1:], "13/01/2024"], "%d/%m/%Y"),
        ([*AMBIGUOUS[1:], "01/13/2024"], "%m/%d/%Y"),
        ([d.replace("/", ".") for d in AMBIGUOUS], "%d.%m.%Y"),
        ([f"2024/0{1 + i % 9}/03" for i in range(12)], "%Y/%m/%d"),
        ([f"20240{1 + i % 9}03" for i in range(12)], "%Y%m%d"),
        ([f"{13 + i}/01/2024 09:30" for i in range(12)], "%d/%m/%Y %H:%M"),
        ([f"{13 + i}-Jan-2024" for i in range(12)], "%d-%b-%Y"),
        ([f"2024-01-{13 + i}" for i in range(12)], None),
    ],
)
def test_dates_that_tell_are_read_as_they_are(
    days: list[str], form: str | None, tmp_path: Path
) -> None:
    entries(long(tmp_path, "patient,date,instrument,value", scores_of(days)), days)
    proposal, imported = accept(tmp_path)
    assert (f'date_format = "{form}"' in proposal.text) if form else "date_f" not in proposal.text
    assert imported.records.scores["time"].to_list() == [0.0] * 12


@pytest.mark.parametrize(
    ("days", "code"),
    [
        ([f"{13 + i}/01/24" for i in range(12)], "date-short-year"),
        ([f"{13 + i}/01/2024" for i in range(6)] + [f"01/{13 + i}/2024" for i in range(6)],
         "date-mixed"),
    ],
)  # fmt: skip
def test_dates_that_no_form_reads_are_refused(days: list[str], code: str, tmp_path: Path) -> None:
    entries(long(tmp_path, "patient,date,instrument,value", scores_of(days)), days)
    assert refusal(tmp_path).code == f"input.{code}"


def test_one_column_named_after_its_questionnaire_is_that_instrument(tmp_path: Path) -> None:
    long(tmp_path, "client,week,PHQ-9 score", [f"p{i},{i},{i % 20}" for i in range(12)])
    proposal, imported = accept(tmp_path)
    assert 'instrument_is = "PHQ-9"' in proposal.text
    assert imported.records.scores.height == 12


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("SECRET1,2024-01-01,PHQ-9,7", [f"SECRET{i},2024-01-02,PHQ-9,7" for i in range(9)]),
        ("a,b,c,d", ["1,2,3,4"]),
    ],
)
def test_no_table_of_scores_is_said_without_showing_rows(
    first: str, rows: list[str], tmp_path: Path
) -> None:
    assert refusal(long(tmp_path, first, rows)).code == "input.scores-missing"


def test_dated_scores_without_entries_are_refused(tmp_path: Path) -> None:
    days = [f"2024-01-{13 + i}" for i in range(12)]
    long(tmp_path, "patient,date,instrument,value", scores_of(days))
    assert refusal(tmp_path).code == "input.entry-missing"


def test_files_saved_in_different_ways_are_refused(tmp_path: Path) -> None:
    days = [f"2024-01-{13 + i}" for i in range(12)]
    entries(tmp_path, days)
    long(tmp_path, "patient;date;instrument;value", [r.replace(",", ";") for r in scores_of(days)])
    assert refusal(tmp_path).code == "input.files-differ"


def test_a_file_with_dates_of_two_forms_is_refused(tmp_path: Path) -> None:
    rows = [f"p{i},{13 + i}.01.2024,2024-02-{10 + i}" for i in range(12)]
    long(tmp_path, "patient,entry,discharge", rows, "patients.csv")
    long(tmp_path, "patient,week,instrument,value", [f"p{i},0,PHQ-9,3" for i in range(12)])
    assert refusal(tmp_path).code == "input.date-mixed"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "input.file-missing"


# What is never shown


def test_only_words_that_five_patients_share_are_shown(tmp_path: Path) -> None:
    rows = [f"p{i},{i % 3},PHQ9 alt,{i % 20}" for i in range(30)]
    rows += [f"p{i},4,SECRETCODE,{i}" for i in range(4)]  # four patients
    rows += [f"p1,{i},SECRETOFTEN,3" for i in range(5, 20)]  # one patient, often
    rows += [f"p{i},5,ZAN-BDI,3" for i in range(6)]
    proposal, imported = accept(long(tmp_path, "patient,week,instrument,value", rows))
    assert "SECRET" not in proposal.text
    assert "2 more words" in " ".join(proposal.checks)
    assert 'ignore = ["ZAN-BDI"]' in proposal.text
    assert '"PHQ9 alt" = "PHQ-9"' in proposal.text
    assert imported.records.scores.height == 30


def test_identifiers_and_dates_are_never_shown(tmp_path: Path) -> None:
    rows = [
        f"SECRET{i},{w},PHQ-9,5,SECRET{i % 3},1{i % 9}.03.1970" for i in range(30) for w in range(6)
    ]
    proposal = propose(long(tmp_path, "patient,week,instrument,value,arm,dob", rows))
    assert "SECRET" not in proposal.text
    assert "1970" not in proposal.text


def test_scores_out_of_range_are_said_without_values(tmp_path: Path) -> None:
    rows = [f"p{i},{i % 3},PHQ-9,{5 if i else 9977}" for i in range(30)]
    proposal = propose(long(tmp_path, "patient,week,instrument,value", rows))
    assert any("outside the range of PHQ-9" in check for check in proposal.checks)
    assert "9977" not in proposal.text


def test_a_header_cannot_write_settings(tmp_path: Path) -> None:
    evil = 'na"me\\ = 1 #'
    rows = [f"p{i},{i % 3},PHQ-9,5,x" for i in range(9)]
    header = 'patient,week,instrument,value,"' + evil.replace('"', '""') + '"'
    _, imported = accept(long(tmp_path, header, rows))
    assert imported.records.scores.height == 9


# Words


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("PHQ9", "PHQ-9"), ("phq-9 total score", "PHQ-9"), ("PHQ_9_SUM", "PHQ-9"),
        ("44261-6", "PHQ-9"), ("GAD 7", "GAD-7"), ("BDI II", "BDI-II"), ("BDI-2", "BDI-II"),
        ("Audit C", "AUDIT-C"), ("ISI", "ISI"), ("PHQ", None), ("visit", None), ("K10", None),
    ],
)  # fmt: skip
def test_instruments_by_name(word: str, name: str | None) -> None:
    assert instrument_of(word)[0] == name


@pytest.mark.parametrize(
    ("word", "arm"),
    [
        ("Warteliste", "waiting"), ("WL", "waiting"), ("TAU", "treatment_as_usual"),
        ("unguided app", "dmhi_unguided"), ("guided iCBT", "dmhi_guided"),
        ("App ohne Begleitung", "dmhi_unguided"), ("Selbsthilfebuch", "self_help_book"),
        ("Blended care", "blended"), ("XY", None),
    ],
)  # fmt: skip
def test_arms_by_name(word: str, arm: str | None) -> None:
    assert arm_of(word)[0] == arm


def test_headers_are_compared_without_accents_and_signs() -> None:
    assert plain("Pat.-Nr.") == "patnr"
    assert plain("Patiëntnummer") == "patientnummer"
    assert plain("Straße") == "strasse"
