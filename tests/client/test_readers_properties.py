"""Whatever is in the files: only `InputError`, no patient in a message, and each patient alone."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn_client.readers import read_clinic
from cairn_client.readers.values import folded
from cairn_protocol.errors import InputError
from clinic_files import FILES, MAPPING, frames, said, write_folder

QUICK = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
STEMS = [name.removesuffix(".csv") for name in FILES]


@QUICK
@given(stem=st.sampled_from(STEMS), data=st.binary(max_size=300), whole=st.booleans())
def test_no_bytes_raise_anything_but_an_input_error(
    stem: str, data: bytes, whole: bool, tmp_path: Path
) -> None:
    text = data if whole else FILES[f"{stem}.csv"].encode() + data
    write_folder(tmp_path, **{stem: text})
    try:
        imported = read_clinic(tmp_path)
    except InputError:
        return
    assert imported.summary()
    assert imported.to_json()


@QUICK
@given(
    stem=st.sampled_from(STEMS),
    seed=st.integers(0, 2**32),
    damage=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["drop", "put", "flip"]), st.binary(max_size=3)),
        max_size=6,
    ),
)
def test_random_damage_to_a_valid_file_raises_only_input_errors(
    stem: str, seed: int, damage: list[tuple[float, str, bytes]], tmp_path: Path
) -> None:
    data = bytearray(FILES[f"{stem}.csv"].encode())
    for where, how, what in damage:
        at = int(where * (len(data) - 1)) if data else 0
        if how == "drop":
            del data[at : at + 1 + len(what)]
        elif how == "put":
            data[at:at] = what
        elif data:
            data[at] ^= 1 + seed % 255
    write_folder(tmp_path, **{stem: bytes(data)})
    try:
        imported = read_clinic(tmp_path)
    except InputError:
        return
    assert imported.records.patients["patient"].n_unique() == len(imported.records)
    assert set(imported.records.scores["patient"]) <= set(imported.records.patients["patient"])


@QUICK
@given(data=st.binary(max_size=200))
def test_no_mapping_raises_anything_but_an_input_error(data: bytes, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "mapping.toml").write_bytes(data)
    with pytest.raises(InputError):
        read_clinic(tmp_path)


TIME = st.sampled_from(["0", "1", "2", "-3", "999", "x", ""])
NOTE = st.sampled_from(["", '"quoted, note"', '"two\nlines"', '"open', 'st"ray', "extra,field"])
SCORE = st.tuples(
    TIME,
    st.sampled_from(["PHQ-9", "phq9", "GAD-7", "WSAS", "OTHER", ""]),
    st.sampled_from(["5", "5.0", "28", "nan", "x", '"1,5"', ""]),
    st.sampled_from(["", "", "1", "7", "99"]),
    NOTE,
)
PERSON = st.tuples(
    st.sampled_from(["TAU", "APP", "??", ""]),
    st.sampled_from(["2024-01-01", "2024-02-01", "", "31/1/2024"]),
    st.sampled_from(["", "2024-01-15"]),
    st.sampled_from(["f", "m", "long " * 20]),
    st.sampled_from(["30", "x", ""]),
    st.sampled_from(["", '"a ""note"""']),
)
USE = st.tuples(
    st.sampled_from(["2024-01-20", "2024-02-20", "2030-99-01", "1999-01-01"]),
    st.sampled_from(["logins", "alliance", "other"]),
    st.sampled_from(["1", "3", "700"]),
)


@settings(max_examples=60, deadline=None)
@given(
    people=st.lists(st.tuples(st.integers(0, 4), PERSON), max_size=8),
    scores=st.lists(st.tuples(st.integers(0, 5), SCORE), max_size=25),
    uses=st.lists(st.tuples(st.integers(0, 4), USE), max_size=8),
    leaver=st.integers(0, 4),
    listed=st.booleans(),
)
def test_removing_a_patient_changes_nobody_else_s_records(
    people: list[tuple[int, tuple[str, ...]]],
    scores: list[tuple[int, tuple[str, ...]]],
    uses: list[tuple[int, tuple[str, ...]]],
    leaver: int,
    listed: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    mapping = MAPPING
    if not listed:
        cut = MAPPING.index("[patients]"), MAPPING.index("[engagement]")
        mapping = MAPPING[: cut[0]] + MAPPING[cut[1] :]
        mapping = mapping.replace('date = "day"', 'week = "day"')

    def read(without: int | None) -> dict[str, list[tuple[object, ...]]]:
        files = {}
        for stem, rows in (("patients", people), ("scores", scores), ("engagement", uses)):
            head = FILES[f"{stem}.csv"].split("\n", 1)[0]
            lines = [f"zq{i},{','.join(rest)}" for i, rest in rows if i != without]
            files[stem] = "\n".join([head, *lines]) + "\n"
        folder = tmp_path_factory.mktemp("clinic")
        imported = read_clinic(
            write_folder(
                folder, mapping, wearables="patient,week,measure,value,coverage\n", **files
            )
        )
        assert "zq" not in said(imported)
        return frames(imported)

    everybody, rest = read(None), read(leaver)
    gone = f"zq{leaver}"
    for table, rows in everybody.items():
        assert rest[table] == [row for row in rows if row[0] != gone]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12))
def test_folding_twice_is_folding_once(name: str) -> None:
    once = pl.select(folded(pl.lit(name))).item()
    assert pl.select(folded(pl.lit(once))).item() == once
    spaced = " " + "  ".join(name) + "\u200b"
    if name.isascii():
        assert pl.select(folded(pl.lit(spaced.upper()))).item() == once


def test_ten_thousand_patients_shuffled_read_the_same(tmp_path: Path) -> None:
    rows = [f"zq{i},{w},PHQ-9,{(i + w) % 28},," for i in range(2500) for w in range(4)]
    people = "".join(f"zq{i},TAU,2024-01-01,,f,30,\n" for i in range(2500))
    head = FILES["patients.csv"].split("\n", 1)[0]
    both = []
    for turn in range(2):
        random.Random(turn).shuffle(rows)
        scores = "patient,week,instrument,value,item,note\n" + "\n".join(rows)
        write_folder(tmp_path, patients=f"{head}\n{people}", scores=scores)
        both.append(read_clinic(tmp_path).records.scores)
    assert both[0].equals(both[1])
    assert both[0].height == 10_000


@pytest.mark.parametrize("unit", ["day", "month"])
def test_a_lone_patients_time_has_the_same_last_bit_as_in_company(unit: str) -> None:
    """A division by polars rounds differently for one row and for many."""
    from cairn_client.readers.long_tables import MONTHS_PER_WEEK, _weeks

    for days in range(-40, 400):
        many = pl.DataFrame({"d": [days] * 5}).select(_weeks(pl.col("d")))["d"]
        one = pl.DataFrame({"d": [days]}).select(_weeks(pl.col("d")))["d"]
        if unit == "month":
            one, many = one * MONTHS_PER_WEEK, many * MONTHS_PER_WEEK
        assert set(many.to_list()) == set(one.to_list())
        if unit == "day" and days % 7 == 0:
            assert one[0] == days // 7
