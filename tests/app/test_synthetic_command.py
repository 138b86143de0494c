"""`cairn synthetic`: three exports that `cairn clinic mapping new` can begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_protocol.errors import InputError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["synthetic", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_each_clinic_gets_its_own_form_and_nothing_is_overwritten(tmp_path: Path) -> None:
    said = run(tmp_path, "--sizes", "3,4,5", "--weeks", "4")
    assert "do not exist" in said
    files = {p.name: {f.name for f in p.iterdir()} for p in tmp_path.iterdir()}
    assert files == {
        "oak": {"scores.csv", "patients.csv", "engagement.csv", "wearables.csv"},
        "elm": {"fhir"},
        "ash": {"cdm.sqlite", "omop-url"},
    }
    before = (tmp_path / "oak" / "scores.csv").read_bytes()
    with pytest.raises(InputError, match="not overwritten"):
        run(tmp_path, "--sizes", "1,1,1", "--seed", "2")
    assert (tmp_path / "oak" / "scores.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--sizes", "3,4", "input.synthetic-sizes"),
        ("--sizes", "3,x,5", "input.synthetic-sizes"),
        ("--sizes", "3,-4,5", "input.synthetic-sizes"),
        ("--sizes", "3,99999999999,5", "input.synthetic-sizes"),
        ("--as", "csv,fhir,hl7", "input.synthetic-form"),
    ],
)
def test_what_cannot_be_made_is_refused(option: str, value: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "new", option, value)
    assert caught.value.code == code
    assert caught.value.hint
    assert not (tmp_path / "new").exists()
