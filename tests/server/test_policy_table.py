"""The table of safe policies in docs/study-file.md, against the code that prices them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from cairn_protocol.attempts import expected_attempts
from cairn_protocol.policy import Policy

DOCS = Path(__file__).parents[2] / "docs" / "study-file.md"
ROW = re.compile(
    r"^\| (\d+) \| (\d+) (\d+) (\d+) \| (forbidden|recovered) \|.*"
    r"\| ([\d.]+), ([\d.]+) \| ([\d.]+) \|$",
    re.MULTILINE,
)
ROWS = ROW.findall(DOCS.read_text())


def test_the_table_is_there() -> None:
    assert len(ROWS) == 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[4]}")
def test_each_row_is_safe_and_says_what_it_costs(row: tuple[str, ...]) -> None:
    n, m, t, f = map(int, row[:4])
    said = dict(zip((0.01, 0.05), map(float, row[5:7]), strict=True))
    for loss, attempts in said.items():
        policy = Policy(
            clinics=n,
            survivors=m,
            threshold=t,
            colluding=f,
            dropout=row[4],  # type: ignore[arg-type]
            loss=loss,
        )
        assert policy.faults() == []
        assert expected_attempts(policy) == pytest.approx(attempts, abs=0.005)
    assert math.sqrt(n / (m - f)) == pytest.approx(float(row[7]), abs=0.005)
