"""Wearables' Observations become weekly means, in known units only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cairn_client.readers import Import, read_clinic
from fhir_export import observation, patient, plan, write_fhir


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "code": unit, "system": "urn:ucum"}}


def day(number: int, code: str = "41950-7", **more: Any) -> dict[str, Any]:
    return observation(code, effectiveDateTime=f"2024-01-{number:02d}T23:00:00Z", **more)


def read(folder: Path, *resources: Any) -> Import:
    return read_clinic(write_fhir(folder, patient(), plan(), *resources))


def test_days_become_weeks(tmp_path: Path) -> None:
    days = [day(i, **quantity(1000 * i, "/d")) for i in range(1, 10)]
    imported = read(tmp_path, *days)
    assert imported.records.wearables.rows() == [
        ("zq1", 0, "steps", 4000.0, 1.0),
        ("zq1", 1, "steps", 8500.0, pytest.approx(2 / 7)),
    ]


def test_several_values_of_a_day_count_as_one_day(tmp_path: Path) -> None:
    days = [day(1, **quantity(v, "/d")) for v in (1000, 3000)] + [day(2, **quantity(8000, "/d"))]
    assert read(tmp_path, *days).records.wearables.rows() == [
        ("zq1", 0, "steps", 5000.0, pytest.approx(2 / 7))
    ]


def test_a_week_with_its_coverage_is_taken_as_it_is(tmp_path: Path) -> None:
    share = {"code": {"text": "coverage"}, "valueQuantity": {"value": 71.4, "code": "%"}}
    week = day(9, component=[share], **quantity(5400, "/d"))
    assert read(tmp_path, week).records.wearables.rows() == [
        ("zq1", 1, "steps", 5400.0, pytest.approx(0.714))
    ]


@pytest.mark.parametrize(
    ("code", "value", "unit", "expected"),
    [
        ("93832-4", 450, "min", 7.5),
        ("93832-4", 7.5, "h", 7.5),
        ("40443-4", 61, "/min", 61.0),
        ("40443-4", 61, "{beats}/min", 61.0),
        ("41950-7", 9000, "{steps}", 9000.0),
        ("41950-7", 9000, "{steps}/d", 9000.0),
    ],
)
def test_units(code: str, value: float, unit: str, expected: float, tmp_path: Path) -> None:
    (row,) = read(tmp_path, day(1, code, **quantity(value, unit))).records.wearables.rows()
    assert row[3] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("code", "unit"), [("93832-4", "d"), ("40443-4", "Hz"), ("41950-7", "km"), ("55423-8", "1")]
)
def test_an_unknown_unit_is_refused(code: str, unit: str, tmp_path: Path) -> None:
    imported = read(tmp_path, day(1, code, **quantity(7, unit)))
    assert imported.records.wearables.height == 0
    assert imported.counts == {"unit-unknown": 1}


def over(start: str, end: str, steps: int = 7000) -> dict[str, Any]:
    period = {"start": start, "end": end}
    made = observation("55423-8", effectivePeriod=period, **quantity(steps, "{steps}"))
    del made["effectiveDateTime"]
    return made


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"),
        ("2024-01-01T00:00:00.000+01:00", "2024-01-01T23:59:59.999+01:00"),
        ("2024-01-01T00:00", "2024-01-01T23:59"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01", "2024-01-02T00:00:00Z"),
        ("2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"),
    ],
)
def test_steps_of_some_time_count_where_that_is_one_day(
    start: str, end: str, tmp_path: Path
) -> None:
    imported = read(tmp_path, over(start, end))
    assert imported.records.wearables["value"].to_list() == [7000.0]
    assert imported.findings == ()


def test_steps_of_less_or_more_than_a_day_are_no_days_steps(tmp_path: Path) -> None:
    hours = [over(f"2024-01-03T{h:02d}:00:00Z", f"2024-01-03T{h + 1:02d}:00:00Z", 500) for h in
             range(23)]  # fmt: skip
    others = [
        over("2024-01-03T23:00:00Z", "2024-01-04T00:00:00Z"),
        over("2024-01-03T00:00:00Z", "2024-01-05T12:00:00Z"),
        over("2024-01-03T08:00:00Z", "2024-01-03T23:59:59Z"),
        over("2024-01-03T00:00:00Z", "2024-01-03T00:00:00Z"),
        over("2024-01-03T00:00:00+00:00", "2024-01-04T00:00:00+12:00"),
        over("2024-01-03", "2024-01-04"),
        over("2024-01", "2024-01"),
    ]
    imported = read(tmp_path, *hours, *others)
    assert imported.records.wearables.height == 0
    assert imported.counts == {"unit-unknown": 30}


def test_one_impossible_day_does_not_cost_the_week(tmp_path: Path) -> None:
    days = [day(1, **quantity(5000, "/d")), day(2, **quantity(1e12, "/d"))]
    imported = read(tmp_path, *days)
    assert imported.records.wearables["value"].to_list() == [5000.0]
    assert imported.counts == {"value-out-of-range": 1}


def test_a_heart_rate_taken_at_a_visit_is_no_wearable(tmp_path: Path) -> None:
    imported = read(tmp_path, day(1, "8867-4", **quantity(80, "/min")))
    assert imported.records.wearables.height == 0
    assert imported.tallies["observations of other kinds"] == 1
