"""Parquet beside CSV: the same records, the same findings; nested columns refused."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn_client.readers import read_clinic
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from clinic_files import FILES, MAPPING, SCORES, frames, write_folder

SCORES_ONLY = """\
cairn = 1
{head}
[scores]
file = "s.parquet"
patient = "id"
week = "week"
instrument = "instrument"
value = "value"
"""


def as_parquet(folder: Path, *, typed: bool) -> Path:
    """The folder's CSV files as Parquet, its mapping pointing at them."""
    for file in folder.glob("*.csv"):
        frame = pl.read_csv(file, infer_schema=typed, try_parse_dates=typed)
        frame.write_parquet(file.with_suffix(".parquet"))
        file.unlink()
    mapping = folder / "mapping.toml"
    mapping.write_text(mapping.read_text().replace(".csv", ".parquet"))
    return folder


def scores(folder: Path, head: str = "", **columns: object) -> Path:
    good = {"id": ["a"], "week": [1], "instrument": ["PHQ-9"], "value": [7]}
    pl.DataFrame(good | columns).write_parquet(folder / "s.parquet")
    (folder / "mapping.toml").write_text(SCORES_ONLY.format(head=head))
    return folder


@pytest.mark.parametrize("typed", [False, True], ids=["text", "typed"])
def test_the_same_clinic_gives_the_same_records(typed: bool, tmp_path: Path) -> None:
    as_csv, other = tmp_path / "csv", tmp_path / "parquet"
    for folder in (as_csv, other):
        folder.mkdir()
        write_folder(folder)
    assert frames(read_clinic(as_parquet(other, typed=typed))) == frames(read_clinic(as_csv))


def test_synthetic_clinics_are_read_back_exactly(tmp_path: Path) -> None:
    (written,) = generate(World(), [40], seed=7, weeks=26)
    write_clinic_csv(written, tmp_path, name="oak")
    imported = read_clinic(as_parquet(tmp_path, typed=True))
    assert imported.findings == ()
    assert imported.records.scores.equals(written.scores.sort("patient", "instrument", "time"))


def test_a_file_of_each_kind(tmp_path: Path) -> None:
    write_folder(tmp_path, MAPPING.replace("scores.csv", "scores.PARQUET"))
    pl.read_csv(io.StringIO(SCORES)).write_parquet(tmp_path / "scores.PARQUET")
    (tmp_path / "scores.csv").unlink()
    assert read_clinic(tmp_path).records.scores.height == 4


def test_rows_are_counted_from_one(tmp_path: Path) -> None:
    columns = {"id": ["a", "b", "c"], "week": [1, 2, 3], "value": [1, 99, 3]}
    imported = read_clinic(scores(tmp_path, instrument=["PHQ-9"] * 3, **columns))
    assert [(f.file, f.row, f.code) for f in imported.findings] == [
        ("s.parquet", 2, "score-out-of-range")
    ]


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(ids=st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=5, unique=True))
def test_an_identifier_is_written_alike_whatever_the_others_are(
    ids: list[int], tmp_path: Path
) -> None:
    """Empty cells make pandas write identifiers as floats; 7.0 and 7 are one patient."""
    rest = {"week": [1] * len(ids), "instrument": ["PHQ-9"] * len(ids), "value": [3] * len(ids)}
    whole = read_clinic(scores(tmp_path, id=ids, **rest)).records.patients
    floats = read_clinic(scores(tmp_path, id=[float(i) for i in ids], **rest)).records.patients
    assert whole.equals(floats)


def test_what_is_not_a_number_is_nobody_and_no_score(tmp_path: Path) -> None:
    """pandas writes it into empty cells; as text it would be one patient of many people's rows."""
    nan = float("nan")
    columns = {"id": [7.0, nan, nan, 8.0], "week": [1.0] * 4, "value": [3.0, 4.0, 5.0, nan]}
    imported = read_clinic(scores(tmp_path, instrument=["PHQ-9"] * 4, **columns))
    assert imported.records.patients["patient"].to_list() == ["7"]
    assert {(f.row, f.code) for f in imported.findings} >= {
        (2, "patient-missing"),
        (3, "patient-missing"),
    }


@pytest.mark.parametrize(
    "moment",
    [date(2024, 1, 15), datetime(2024, 1, 15, 23, 59), datetime(2024, 1, 15, 23, 59, tzinfo=UTC)],
)
@pytest.mark.parametrize("head", ["", 'date_format = "%d.%m.%Y"', 'date_format = "%m/%d/%Y %H:%M"'])
def test_dates_need_no_form(moment: date, head: str, tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "in": [date(2024, 1, 1)]}).write_parquet(tmp_path / "p.parquet")
    scores(tmp_path, head, week=[moment])
    text = (tmp_path / "mapping.toml").read_text().replace('week = "week"', 'date = "week"')
    (tmp_path / "mapping.toml").write_text(
        text + '[patients]\nfile = "p.parquet"\npatient = "id"\nentry = "in"\n'
    )
    assert read_clinic(tmp_path).records.scores["time"].to_list() == [2.0]


@pytest.mark.parametrize("head", ["", 'decimal = ","'])
@pytest.mark.parametrize("kind", [pl.Float32, pl.Float64, pl.Decimal(6, 2), pl.Int8, pl.UInt64])
def test_numbers_need_no_mark(head: str, kind: pl.DataType, tmp_path: Path) -> None:
    value = 7 if kind in (pl.Int8, pl.UInt64) else 7.5
    folder = scores(tmp_path, head, value=pl.Series([value]).cast(kind))
    assert read_clinic(folder).records.scores["value"].to_list() == [value]


@pytest.mark.parametrize(
    "column",
    [[[7]], [{"total": 7}], [b"7"], pl.Series([[7]], dtype=pl.Array(pl.Int64, 1))],
    ids=["list", "struct", "bytes", "array"],
)
def test_a_nested_column_is_refused_with_what_to_do(column: object, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_clinic(scores(tmp_path, value=column))
    assert caught.value.code == "input.column-nested"
    assert "explode" in caught.value.hint
    other = scores(tmp_path, note=column)  # where it is not mapped it is never read
    assert read_clinic(other).findings == ()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    scores(tmp_path)
    (tmp_path / "mapping.toml").write_text(
        SCORES_ONLY.format(head="").replace('"value"', '"Value"')
    )
    with pytest.raises(InputError) as caught:
        read_clinic(tmp_path)
    assert caught.value.code == "input.column-missing"
    assert 'value = "value"' in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"PAR1SECRETPAR1", FILES["scores.csv"].encode()])
def test_what_is_no_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    scores(tmp_path)
    (tmp_path / "s.parquet").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_clinic(tmp_path)
    assert caught.value.code == "input.file-unreadable"
    assert "SECRET" not in str(caught.value)


def test_damaged_text_is_set_aside_alone(tmp_path: Path) -> None:
    folder = scores(
        tmp_path,
        id=["a", "b\0c", "d" * 2_000_000, None],
        week=[1] * 4,
        instrument=["PHQ-9"] * 4,
        value=[1] * 4,
    )
    imported = read_clinic(folder)
    assert imported.counts == {"nul-byte": 1, "patient-missing": 1, "row-too-long": 1}
    assert imported.records.patients["patient"].to_list() == ["a"]


def test_an_absurd_number_of_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn_client.readers.parquet_folder.MOST_ROWS", 0)
    with pytest.raises(InputError) as caught:
        read_clinic(scores(tmp_path))
    assert caught.value.code == "input.file-too-large"


def test_a_star_in_a_name_is_a_star(tmp_path: Path) -> None:
    scores(tmp_path)
    (tmp_path / "mapping.toml").write_text(SCORES_ONLY.format(head="").replace("s.parq", "*.parq"))
    with pytest.raises(InputError) as caught:
        read_clinic(tmp_path)
    assert caught.value.code == "input.file-missing"
