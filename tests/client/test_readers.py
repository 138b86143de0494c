"""What a clinic's folder may hold, and what is refused as a whole with a remedy."""

from __future__ import annotations

import os
import stat
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cairn_client.readers import QUARANTINE_FILE, read_clinic
from cairn_models.measures import Instrument
from cairn_models.records import WEEKS_PER_MONTH, Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import CustomInstrument
from clinic_files import FILES, MAPPING, PATIENTS, SCORES, frames, said, write_folder

SCORES_ONLY = """\
cairn = 1
[scores]
file = "scores.csv"
patient = "id"
{time} = "t"
instrument_is = "PHQ-9"
value = "v"
"""


def refusal(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_clinic(folder)
    error = caught.value
    assert error.hint
    assert "SECRET" not in str(error) + error.hint
    return error


# Whole files


def test_a_missing_column_is_named_with_those_found_and_the_line_to_mend(tmp_path: Path) -> None:
    error = refusal(write_folder(tmp_path, scores=SCORES.replace("value,item", "Valeu,Item")))
    assert error.code == "input.column-missing"
    assert "'value', 'item'" in error.what
    assert "'Valeu'" in error.why
    assert '[scores] value = "Valeu"' in error.hint
    assert '[scores] item = "Item"' in error.hint


@pytest.mark.parametrize("first", ["SECRET1,0,PHQ-9,15,,", "SECRET JONES,SECRET,SECRET", "SECRET"])
def test_a_file_without_a_header_shows_no_patient(first: str, tmp_path: Path) -> None:
    error = refusal(write_folder(tmp_path, scores=f"{first}\nSECRET2,0,PHQ-9,15,,\n"))
    assert error.code == "input.column-missing"
    assert "not shown" in error.why
    assert "header" in error.hint


def test_a_header_with_an_unnamed_column_is_a_header(tmp_path: Path) -> None:
    text = SCORES.replace("patient,", ",patient,").replace("zq", "1,zq")
    assert read_clinic(write_folder(tmp_path, scores=text)).findings == ()


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_other_separator_is_recognised(sign: str, tmp_path: Path) -> None:
    error = refusal(write_folder(tmp_path, scores=SCORES.replace(",", sign)))
    shown = "\\t" if sign == "\t" else sign
    assert f'separator = "{shown}"' in error.hint


def test_mapped_columns_must_differ_and_others_need_not(tmp_path: Path) -> None:
    twice = SCORES.replace("item,note", "value,note")
    mapping = MAPPING.replace('item = "item"\n', "")
    assert refusal(write_folder(tmp_path, mapping, scores=twice)).code == "input.column-twice"
    harmless = SCORES.replace("item,note", "note,note")
    assert read_clinic(write_folder(tmp_path, mapping, scores=harmless)).findings == ()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b'"never closed\n1,2\n'])
def test_an_empty_file_is_refused(content: bytes, tmp_path: Path) -> None:
    assert refusal(write_folder(tmp_path, scores=content)).code == "input.file-empty"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "scores.csv").unlink()
    assert refusal(tmp_path).code == "input.file-missing"


def test_a_missing_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mapping\.toml"):
        read_clinic(tmp_path)


@pytest.mark.parametrize("file", ["../outside.csv", "/etc/passwd", "link.csv", "sub/../../x.csv"])
def test_a_file_outside_the_folder_is_refused(file: str, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text(SCORES)
    (tmp_path / "x.csv").write_text(SCORES)
    folder = tmp_path / "clinic"
    folder.mkdir()
    write_folder(folder, MAPPING.replace("scores.csv", file))
    (folder / "link.csv").symlink_to(tmp_path / "outside.csv")
    assert refusal(folder).code == "input.file-outside"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "scores.csv").unlink()
    os.mkfifo(tmp_path / "scores.csv")
    assert refusal(tmp_path).code == "input.file-missing"
    (tmp_path / "scores.csv").unlink()
    (tmp_path / "scores.csv").symlink_to("scores.csv")
    assert refusal(tmp_path).code in {"input.file-missing", "input.file-unreadable"}


def test_one_line_of_ten_megabytes(tmp_path: Path) -> None:
    began = time.monotonic()
    imported = read_clinic(write_folder(tmp_path, scores=SCORES + "SECRET" * 1_700_000))
    assert imported.counts == {"row-too-long": 1}
    assert imported.records.scores.height == 4
    assert refusal(write_folder(tmp_path, scores="x" * 10_000_000)).code == "input.file-empty"
    assert time.monotonic() - began < 5


# Encodings


def test_utf16_is_recognised_with_and_without_its_mark(tmp_path: Path) -> None:
    for name in ("utf-16", "utf-16-le", "utf-16-be"):
        error = refusal(write_folder(tmp_path, scores=SCORES.encode(name)))
        assert error.code == "input.encoding-wrong"
        assert 'encoding = "utf-16"' in error.hint


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252", "iso-8859-15"])
def test_a_named_encoding_is_read(encoding: str, tmp_path: Path) -> None:
    mapping = MAPPING.replace("cairn = 1", f'cairn = 1\nencoding = "{encoding}"')
    files = {
        name.removesuffix(".csv"): text.replace("zq3,APP,,,f", "zq3,APP,,,männlich").encode(
            encoding
        )
        for name, text in FILES.items()
    }
    imported = read_clinic(write_folder(tmp_path, mapping, **files))
    assert imported.findings == ()
    assert imported.records.patients["sex"].to_list() == ["f", "m", "männlich"]


def test_a_mark_of_utf8_and_old_line_ends_are_no_fault(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + SCORES.replace("\n", "\r").encode()
    assert read_clinic(write_folder(tmp_path, scores=text)).findings == ()


# Numbers, times, dates


def test_decimal_commas_are_read_where_the_mapping_says_so(tmp_path: Path) -> None:
    head = 'cairn = 1\ndecimal = ","\nseparator = ";"'
    mapping = SCORES_ONLY.format(time="week").replace("cairn = 1", head)
    rows = "id;t;v\na;1,5;12,5\na;2;12.5\na;3;1.012\na;4;,5\n"
    imported = read_clinic(write_folder(tmp_path, mapping, scores=rows))
    assert imported.records.scores.select("time", "value").rows() == [(1.5, 12.5), (4.0, 0.5)]
    assert imported.counts == {"decimal-point": 1, "thousand-separator": 1}


def test_months_give_records_in_months(tmp_path: Path) -> None:
    mapping = SCORES_ONLY.format(time="month") + (
        '[engagement]\nfile = "engagement.csv"\npatient = "id"\nweek = "w"\nmeasure = "m"\n'
        'value = "v"\n'
    )
    write_folder(tmp_path, mapping, scores="id,t,v\na,3,9\n", engagement="id,w,m,v\na,8,logins,2\n")
    records = read_clinic(tmp_path).records
    assert records.time_unit == "month"
    assert records.scores["time"].to_list() == [3.0]
    assert records.times_in("week").engagement["time"].to_list() == pytest.approx([8.0])
    assert records.times_in("week").scores["time"].to_list() == [3 * WEEKS_PER_MONTH]


def test_dates_count_weeks_from_entry(tmp_path: Path) -> None:
    mapping = MAPPING.replace('week = "week"\ninstrument', 'date = "week"\ninstrument')
    mapping = mapping.replace("cairn = 1", 'cairn = 1\ndate_format = "%d/%m/%Y"')
    mapping = mapping.replace('date = "day"', 'date = "day"\ndate_format = "%Y-%m-%d"')
    patients = PATIENTS.replace("2024-01-01", "01/01/2024").replace("2024-06-01", "1/6/2024")
    scores = "patient,week,instrument,value,item,note\nzq1,15/01/2024,PHQ-9,9,,\n"
    patients = patients.replace("2024-01-08", "08/01/2024")
    imported = read_clinic(write_folder(tmp_path, mapping, patients=patients, scores=scores))
    assert imported.findings == ()
    assert imported.records.scores["time"].to_list() == [2.0]
    assert imported.records.patients["entry"][0] == date(2024, 1, 1)


def test_a_date_with_a_time_counts_for_its_day(tmp_path: Path) -> None:
    later = FILES["engagement.csv"].replace("2024-01-10,", "2024-01-10T23:59:01+02:00,")
    imported = read_clinic(write_folder(tmp_path, engagement=later))
    assert imported.findings == ()
    assert 2 / 7 in imported.records.engagement["time"].to_list()


# Patients


def test_one_patient_spelt_in_many_ways_is_one_patient(tmp_path: Path) -> None:
    spelt = ["Zq 1", " zq1 ", "ZQ1", "ｚｑ１", "zq\u200b1", "zq\u00a01"]
    rows = "".join(f"{name},{10 + i},PHQ-9,9,,\n" for i, name in enumerate(spelt))
    imported = read_clinic(write_folder(tmp_path, scores=SCORES + rows))
    assert imported.findings == ()
    mine = imported.records.scores.filter(pl.col("patient") == "zq1")
    assert mine.height == 2 + len(spelt)


def test_without_a_patients_file_patients_come_from_their_rows(tmp_path: Path) -> None:
    mapping = SCORES_ONLY.format(time="week")
    imported = read_clinic(write_folder(tmp_path, mapping, scores="id,t,v\nB,0,9\na,0,9\nb,1,9\n"))
    assert imported.records.patients.rows() == [("a", None, None), ("b", None, None)]
    assert imported.records.patients.schema == Records().patients.schema


def test_words_stay_words_unless_the_mapping_says_number(tmp_path: Path) -> None:
    patients = PATIENTS.replace(",f,31,", ",0,31,")
    schema = read_clinic(write_folder(tmp_path, patients=patients)).records.patients.schema
    assert (schema["sex"], schema["age"]) == (pl.String, pl.Float64)


def test_arms_stay_as_written_without_a_list_of_arms(tmp_path: Path) -> None:
    mapping = MAPPING.replace(
        '[patients.arms]\nTAU = "treatment_as_usual"\nAPP = "dmhi_guided"\n', ""
    )
    arms = read_clinic(write_folder(tmp_path, mapping)).records.patients["arm"]
    assert arms.to_list() == ["TAU", "APP", "APP"]


# Instruments


@pytest.mark.parametrize("custom", [CustomInstrument(name="K10", lowest=10, highest=50), None])
def test_a_study_brings_its_own_instrument(custom: CustomInstrument | None, tmp_path: Path) -> None:
    own = custom or Instrument("K10", 10, 50)
    write_folder(tmp_path, scores=SCORES + "zq1,1,k10,31,,\nzq1,2,K10,9,,\n")
    imported = read_clinic(tmp_path, instruments=[own])
    assert imported.counts == {"score-out-of-range": 1}
    assert ("zq1", 1.0, "K10", 31.0) in imported.records.scores.rows()
    assert read_clinic(tmp_path).counts == {"instrument-unknown": 2}


def test_a_study_cannot_widen_an_instrument_that_cairn_knows(tmp_path: Path) -> None:
    write_folder(tmp_path, scores=SCORES + "zq1,1,PHQ-9,99,,\n")
    wider = CustomInstrument(name="PHQ-9", lowest=0, highest=100)
    assert "score-out-of-range" in read_clinic(tmp_path, instruments=[wider]).counts


def test_ignored_instruments_are_counted_and_not_found_fault_with(tmp_path: Path) -> None:
    mapping = MAPPING.replace('item = "item"', 'item = "item"\nignore = ["OQ-45"]')
    imported = read_clinic(write_folder(tmp_path, mapping, scores=SCORES + "zq1,1,oq-45,99,,\n"))
    assert imported.findings == ()
    assert imported.tallies["scores ignored"] == 1


def test_a_wrong_column_of_many_words_is_not_printed(tmp_path: Path) -> None:
    rows = "".join(f"zq1,{i},SECRET{i},9,,\n" for i in range(25))
    imported = read_clinic(write_folder(tmp_path, scores=SCORES + rows))
    assert imported.counts == {"instrument-unknown": 25}
    assert "SECRET" not in said(imported)


# The mapping


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("cairn = 1", "cairn = 2", "cairn"),
        ("cairn = 1", "cairn = 1\ntypo = 3", "typo is not a setting"),
        ('week = "week"\ninst', 'week = "week"\nmonth = "m"\ninst', "exactly one of week"),
        ('instrument = "instrument"', "", "exactly one of instrument"),
        ('entry = "entry"\n', "", "engagement.date needs patients.entry"),
        ('arm = "arm"\n', "", "arms needs arm"),
        ('sex = "sex"', 'patient = "sex"', "variables may not be called patient"),
        ("scores.csv", QUARANTINE_FILE, "set aside"),
        ("cairn = 1", 'cairn = 1\ndate_format = "%d.%m.%y"', "date_format"),
        ("cairn = 1", 'cairn = 1\nencoding = "rot13"', "encoding"),
        ("cairn = 1", "cairn = 1\nx = " + "[" * 50_000, "nested"),
        ('measure = "measure"\nvalue = "value"\n[w', 'measure = "m"\n[w', "value is missing"),
        ('day"', 'day"\nmeasures = { uses = "used" }', "used is no measure"),
    ],
)
def test_a_faulty_mapping_names_its_fault(
    before: str, after: str, says: str, tmp_path: Path
) -> None:
    assert before in MAPPING
    error = refusal(write_folder(tmp_path, MAPPING.replace(before, after, 1)))
    assert error.code == "input.mapping-invalid"
    assert says in error.why
    assert "docs/clinic-data.md" in error.hint


# What is kept of what was set aside


def test_the_quarantine_file_is_private_and_says_what_to_do(tmp_path: Path) -> None:
    write_folder(tmp_path, scores=SCORES + "zq1,3,PHQ-9,28,,SECRET\nzq1,4,PHQ-9,x,,\n")
    imported = read_clinic(tmp_path)
    (tmp_path / QUARANTINE_FILE).write_text("an older one")
    (tmp_path / QUARANTINE_FILE).chmod(0o644)
    path = imported.write_quarantine(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text().splitlines()
    assert lines == [
        "file,row,column,code,reason,remedy",
        "scores.csv,6,value,score-out-of-range,the score is outside PHQ-9's range 0 to 27,"
        '"mend the score, or the instrument\'s code if it is another questionnaire"',
        "scores.csv,7,value,number-unreadable,the column value is not a number,"
        '"write a plain number, such as 12 or 12.5"',
    ]
    assert not list(tmp_path.glob(".quarantine*"))


def test_many_faults_are_counted_in_full_and_listed_in_part(tmp_path: Path) -> None:
    rows = "".join(f"zq1,{i % 500},PHQ-9,x,,\n" for i in range(3000))
    imported = read_clinic(write_folder(tmp_path, scores=SCORES + rows))
    assert imported.counts == {"number-unreadable": 3000}
    assert len(imported.findings) == 1000
    assert imported.quarantine.height == 3000
    assert "6, 7, 8, 9, 10 and at least 995 more" in imported.summary()


def test_the_order_of_rows_and_columns_does_not_matter(tmp_path: Path) -> None:
    first = frames(read_clinic(write_folder(tmp_path)))
    table = pl.read_csv(SCORES.encode(), infer_schema=False)
    turned = table.reverse().select(reversed(table.columns)).write_csv()
    assert frames(read_clinic(write_folder(tmp_path, scores=turned))) == first
