"""`cairn clinic mapping new`, as a clinic's IT person would use it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A synthetic clinic's files, without a mapping."""
    folder = tmp_path_factory.mktemp("exports")
    (written,) = generate(World(), [12], seed=7, weeks=12)
    write_clinic_csv(written, folder, name="oak")
    return {file.name: file.read_bytes() for file in folder.glob("*.csv")}


@pytest.fixture
def clinic(exports: dict[str, bytes], tmp_path: Path) -> Path:
    for name, data in exports.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["clinic", "mapping", "new", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_it_says_what_it_found_tries_it_and_what_comes_next(clinic: Path) -> None:
    said = run(str(clinic))
    assert "scores.csv as [scores]" in said
    assert "12 synthetic patients" in said
    assert "findings: none" in said
    assert "cairn clinic import --dry-run --folder" in said
    assert (clinic / "mapping.toml").stat().st_mode & 0o777 == 0o600, "or the link does not start"


def test_it_never_overwrites(clinic: Path) -> None:
    (clinic / "mapping.toml").write_text("mine")
    with pytest.raises(InputError) as caught:
        run(str(clinic))
    assert caught.value.code == "input.mapping-exists"
    assert (clinic / "mapping.toml").read_text() == "mine"
    run(str(clinic), "--out", str(clinic / "other.toml"))
    assert (clinic / "mapping.toml").read_text() == "mine"
    assert "cairn = 1" in (clinic / "other.toml").read_text()


def test_a_single_file_and_json(clinic: Path) -> None:
    said = json.loads(run(str(clinic / "scores.csv"), "--json"))
    assert said["found"] == ["scores.csv as [scores]"]
    assert "12 synthetic patients" in said["import"]


def test_nothing_is_left_behind_where_nothing_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError):
        run(str(tmp_path))
    assert not (tmp_path / "mapping.toml").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_which_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cairn_app.mapping_command import mapping_new

    days = [f"0{1 + i % 9}/02/2024" for i in range(12)]
    for name, header, end in (("s", "patient,date,instrument,value", ",PHQ-9,7"),
                              ("p", "patient,entry", "")):  # fmt: skip
        rows = [header, *(f"p{i},{d}{end}" for i, d in enumerate(days))]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match="two ways"):
        run(str(tmp_path))  # nobody can answer
    monkeypatch.setattr(sys, "stdin", Terminal("perhaps\nd\n"))
    mapping_new(tmp_path)
    assert 'date_format = "%d/%m/%Y"' in (tmp_path / "mapping.toml").read_text()
    assert capsys.readouterr().out.count("3rd of April") == 2
