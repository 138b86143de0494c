"""A model's folder is whole and says the same again, or is refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from cairn_models.export import Model, arrays, files
from cairn_models.export.bundle import contents
from cairn_models.export.bundle import save as save_model
from cairn_models.trajectory.network import VERSION
from cairn_protocol.errors import InputError
from export_models import card, model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(model(), tmp_path / "model", onnx=False)
    return tmp_path / "model"


def sealed_anew(folder: Path) -> None:
    """CHECKSUMS as a careless hand would write them after a change."""
    names = sorted(p.name for p in folder.iterdir() if p.name != files.CHECKSUMS)
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / files.CHECKSUMS).write_text("".join(lines))


def test_reads_back_what_was_written(folder: Path) -> None:
    written, found = model(), Model.read(folder)
    assert found.card == written.card
    assert found.parameters.tobytes() == written.parameters.tobytes()


def test_same_model_same_bytes() -> None:
    assert contents(model(), onnx=False) == contents(model(), onnx=False)


def test_safetensors_names_what_it_is_of(folder: Path) -> None:
    data = (folder / files.PARAMETERS).read_bytes()
    _, named = arrays.parse(data, "here")
    assert (named.network, named.instrument, named.study, named.question) == (
        str(VERSION),
        "PHQ-9",
        "ab" * 32,
        "course",
    )


def rewrite(folder: Path, change: Callable[[dict, dict], None]) -> None:  # type: ignore[type-arg]
    path = folder / files.PARAMETERS
    data = path.read_bytes()
    tensors = {k: v.copy() for k, v in load(data).items()}
    named = dict(vars(arrays.parse(data, "here")[1]))
    change(tensors, named)
    path.write_bytes(save(tensors, named))
    sealed_anew(folder)


def with_nan(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    tensors["recurrent.head_bias"][3] = np.nan


def with_version(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    named["network"] = "1"


def with_shape(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    tensors["recurrent.head_bias"] = tensors["recurrent.head_bias"][:-1]


def without_name(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    del tensors["recurrent.head_bias"]


def of_doubles(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    tensors["recurrent.head_bias"] = tensors["recurrent.head_bias"].astype(np.float64)


def unnamed(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    del named["study"]


def of_another_study(tensors: dict, named: dict) -> None:  # type: ignore[type-arg]
    named["study"] = "cd" * 32


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (with_nan, "input.model-not-finite"),
        (with_version, "input.model-version"),
        (with_shape, "input.model-shape"),
        (without_name, "input.model-shape"),
        (of_doubles, "input.model-shape"),
        (unnamed, "input.model-unreadable"),
        (of_another_study, "input.model-mixed"),
    ],
)
def test_refuses_parameters(folder: Path, change: Callable[..., None], code: str) -> None:
    rewrite(folder, change)
    with pytest.raises(InputError) as caught:
        Model.read(folder)
    assert caught.value.code == code
    assert caught.value.hint


def test_refuses_one_changed_byte_in_any_file(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        kept = path.read_bytes()
        path.write_bytes(kept[:40] + bytes([kept[40] ^ 1]) + kept[41:])
        with pytest.raises(InputError) as caught:
            Model.read(folder)
        assert caught.value.code in {"input.model-changed", "input.model-incomplete"}
        path.write_bytes(kept)
    Model.read(folder)


@pytest.mark.parametrize("name", [*files.NEEDED, files.CHECKSUMS])
def test_refuses_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError) as caught:
        Model.read(folder)
    assert caught.value.code in {"input.model-incomplete", "input.model-missing"}


def test_refuses_a_file_outside_the_folder(folder: Path) -> None:
    with (folder / files.CHECKSUMS).open("a") as file:
        file.write(f"{'0' * 64}  ../other\n")
    with pytest.raises(InputError, match="not whole"):
        Model.read(folder)


def test_refuses_an_instrument_that_nobody_knows(tmp_path: Path) -> None:
    strange = replace(card(), main=replace(card().main, highest=30.0))
    save_model(Model(model().parameters, strange), tmp_path / "m", onnx=False)
    with pytest.raises(InputError) as caught:
        Model.read(tmp_path / "m")
    assert caught.value.code == "input.model-instrument"


def test_refuses_other_columns(folder: Path) -> None:
    path = folder / files.PREPROCESSING
    document = json.loads(path.read_bytes())
    columns = document["input"]["columns"]
    columns[0], columns[1] = columns[1], columns[0]
    path.write_text(json.dumps(document))
    sealed_anew(folder)
    with pytest.raises(InputError) as caught:
        Model.read(folder)
    assert caught.value.code == "input.model-version"


def test_nothing_that_is_not_finite_is_written() -> None:
    broken = model().parameters.copy()
    broken[7] = np.inf
    with pytest.raises(InputError) as caught:
        contents(Model(broken, card()), onnx=False)
    assert caught.value.code == "input.model-not-finite"


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        save_model(model(), folder, onnx=False)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_refuses_a_card_that_is_none(folder: Path, data: bytes) -> None:
    (folder / files.CARD).write_bytes(data)
    sealed_anew(folder)
    with pytest.raises(InputError) as caught:
        Model.read(folder)
    assert caught.value.code == "input.model-card"
