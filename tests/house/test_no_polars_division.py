"""No code that prepares patients' rows divides a polars expression.

Polars divides a column of one row and a column of many rows by different instructions, so the last
bit of one patient's value depended on whether there were others (found by a property test). The
first test shows the cause; it fails when polars mends it, and then this file can go.
"""

from __future__ import annotations

import ast
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
PREPARING = sorted(
    file
    for folder in ("client/cairn_client", "models/cairn_models")
    for file in (ROOT / folder).rglob("*.py")
    if "synthetic" not in file.parts and "import polars" in file.read_text()
)


def test_the_cause_is_still_there() -> None:
    def quotient(rows: int) -> float:
        frame = pl.DataFrame({"days": [19.0] * rows})
        return float(frame.select(pl.col("days") / 7)["days"][0])

    assert quotient(1) != quotient(2)


def mentions_polars(node: ast.AST) -> bool:
    polars_calls = {"cast", "clip", "sum", "mean", "dt", "str"}
    return any(
        isinstance(n, ast.Attribute)
        and (n.attr in polars_calls or (isinstance(n.value, ast.Name) and n.value.id == "pl"))
        for n in ast.walk(node)
    )


@pytest.mark.parametrize("file", PREPARING, ids=lambda f: str(f.relative_to(ROOT)))
def test_no_division_of_a_polars_expression(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert not mentions_polars(node.left), f"{file.name}:{node.lineno}"
