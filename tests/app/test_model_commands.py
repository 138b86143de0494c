"""`cairn model` and `cairn clinic model`, as their users type them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_models.export import Model
from cairn_models.export.bundle import save
from cairn_models.synthetic import World, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from export_models import model


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ash")
    write_clinic_csv(generate(World.far(), [70], seed=4)[0], folder, name="ash")
    (folder / "clinic.toml").write_text('name = "ash"\ndata = "synthetic"\n')
    return folder


@pytest.fixture
def released(tmp_path: Path) -> Path:
    save(model(), tmp_path / "model", onnx=False)
    return tmp_path / "model"


def ran(*words: object) -> str:
    """What the command prints; its own refusals come through as they are."""
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def refused(*words: object) -> InputError:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(found.exception, InputError), found.output
    return found.exception


def test_predict(clinic: Path, released: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    said = ran("model", "predict", released, "--records", clinic, "--out", out, "--as-of", 6)
    assert said.startswith("Research use only")
    assert "synthetic patients have a prediction" in said
    assert "missing: PHQ-9 1, 2, 12 weeks ahead; PHQ-9 bands 1, 2, 12 weeks ahead; GAD-7 1," in said
    text = out.read_text()
    assert text.startswith("# Research use only")
    assert "SYNTHETIC patients" in text
    assert "# missing, since not shown to be good enough: " in text
    assert "measurement lost; programme left" in text
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    frame = pl.read_csv(out, comment_prefix="#")
    told = frame.filter(pl.col("missing").is_null())
    assert told.height > 20
    assert told["q50"].is_between(0, 27).all()
    assert set(told["weeks_ahead"]) == {4, 8}
    assert told["basis"].str.starts_with("PHQ-9 scores seen: ").all()
    assert refused("model", "predict", released, "--records", clinic, "--out", out).code == (
        "input.file-exists"
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--horizon", "16"), "input.horizon-unknown"), (("--as-of", "40"), "input.week-unknown")],
)
def test_predict_refuses_what_was_not_trained(
    clinic: Path, released: Path, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    out = tmp_path / "p.csv"
    error = refused("model", "predict", released, "--records", clinic, "--out", out, *words)
    assert error.code == code
    assert not out.exists()


def test_predict_in_json_counts_and_names_nobody(
    clinic: Path, released: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    said = ran("model", "predict", released, "--records", clinic, "--out", out, "--json")
    told = json.loads(said)
    assert told["foretold"] + sum(told["missing"].values()) == told["patients"] == 70
    assert "synthetic-" not in said.replace(str(tmp_path), "")


def test_card(released: Path) -> None:
    text = ran("model", "card", released)
    assert "Research use only" in text
    assert "SYNTHETIC" in text
    assert "| PHQ-9 | 4, 8 | may be used | its error minus that of the last value is" in text
    assert "| GAD-7 | 1, 2, 4, 8, 12 | missing | not measured in this study |" in text
    assert "| measurement lost | — | missing | not measured in this study |" in text
    assert "ε = 2.55" in text
    assert text.encode() == (released / "card.md").read_bytes()
    assert json.loads(ran("model", "card", released, "--json"))["card"]["study"]


def test_clinic_error(clinic: Path, released: Path) -> None:
    said = ran("clinic", "model", "error", released, "--folder", clinic)
    assert "last value" in said
    assert "nothing was charged" in said
    told = json.loads(ran("clinic", "model", "error", released, "--folder", clinic, "--json"))
    assert told["model"]["overall"] < told["last value"]["overall"]


def test_clinic_tune(clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = model()
    spoilt.parameters[-40:] += 2.0
    save(spoilt, tmp_path / "spoilt", onnx=False)
    monkeypatch.setattr("cairn_models.trajectory.personal.STEPS", 8)
    words = ("clinic", "model", "tune", tmp_path / "spoilt", "--folder", clinic)
    for _ in range(2):  # a second time takes the place of the first
        said = ran(*words)
        assert "must not leave" in said
    [kept] = (clinic / ".cairn" / "models").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in kept.iterdir()} == {0o600}
    tuned = Model.read(kept)
    assert tuned.card.personal is not None
    assert not np.array_equal(tuned.parameters, spoilt.parameters)
    out = tmp_path / "p.csv"
    ran("model", "predict", kept, "--records", clinic, "--out", out)
    assert "must not leave the clinic" in out.read_text()
    assert refused("clinic", "model", "tune", kept, "--folder", clinic).code == "input.model-tuned"


def test_tune_keeps_the_released_one_where_it_is_better(
    clinic: Path, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cairn_models.trajectory.personal.fit", lambda released, *rest: released + np.float32(0.2)
    )
    to = tmp_path / "own"
    said = ran("clinic", "model", "tune", released, "--folder", clinic, "--to", to)
    assert "Nothing was kept" in said
    assert not to.exists()
