"""`safe_policy` gives the rows of the docs' table, and what it gives between them is as safe."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from cairn_protocol.attempts import MOST_ATTEMPTS, expected_attempts
from cairn_protocol.errors import InputError
from cairn_server.safe_policy import safe_policy

TABLE = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text()
ROWS = re.findall(
    r"^\| (\d+) \| (\d+) (\d+) (\d+) \| (forbidden|recovered) \|", TABLE, re.MULTILINE
)
FIRST = {int(n): row for n, *row in reversed(ROWS)}  # 5 stands twice: recovered first


def test_every_size_in_the_docs_table_gets_its_row() -> None:
    assert sorted(FIRST) == [3, 4, 5, 6, 7, 8, 10, 20, 50]
    for clinics, row in FIRST.items():
        policy = safe_policy(clinics)
        found = (policy.survivors, policy.threshold, policy.colluding)
        assert [*map(str, found), policy.dropout] == row, clinics


@pytest.mark.parametrize("clinics", range(3, 87))
def test_every_size_between_is_safe_and_can_be_kept_to(clinics: int) -> None:
    policy = safe_policy(clinics)
    assert policy.clinics == clinics
    assert policy.faults() == []
    assert policy.recovers == (clinics >= 5)
    assert expected_attempts(policy) <= MOST_ATTEMPTS
    assert math.sqrt(clinics / policy.honest) <= 1.35
    assert policy.survivors >= 3  # the least that disclosure.clinics asks for


def test_the_collusion_that_is_withstood_never_falls_as_clinics_join() -> None:
    withstood = [safe_policy(n).colluding for n in range(3, 87)]
    assert withstood == sorted(withstood)


@pytest.mark.parametrize(
    ("clinics", "code"),
    [
        (-1, "input.clinics-too-few"),
        (2, "input.clinics-too-few"),
        (87, "input.clinics-too-many"),
        (1000, "input.clinics-too-many"),
        (10**9, "input.clinics-too-many"),
    ],
)
def test_too_few_and_too_many_are_refused_with_a_remedy(clinics: int, code: str) -> None:
    with pytest.raises(InputError) as refused:
        safe_policy(clinics)
    assert refused.value.code == code
    assert refused.value.hint
