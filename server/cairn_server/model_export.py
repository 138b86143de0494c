"""`export_model`: a trained model as a folder of its own, behind the gate of a release.

A model leaves only with a receipt: that of the release in which its parameters lie, or the one that
a run's draft can show now (`receipt`, G1 to G5). The receipt goes with it, over every file, so that
`cairn study check-release` checks a model's folder as it does a release.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from cairn_models.export.bundle import contents
from cairn_models.export.files import write
from cairn_models.export.heads import Told
from cairn_models.export.model import Model
from cairn_models.trajectory.network import parameter_count
from cairn_privacy.audit.result import Result
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.study import Study, read_bounded
from cairn_server.model_card import card_of
from cairn_server.receipt import Receipt, receipt_of
from cairn_server.release import released_receipt, seal
from cairn_server.report import load_results
from cairn_server.results import StudyResults

LARGEST: Final = 64 * 1024 * 1024  # bytes
KIND: Final = "trajectory"


def export_model(
    folder: Path,
    question: str | None,
    to: Path,
    *,
    tested: Callable[[Study], Result | None],
    team: Identity | None = None,
    onnx: bool = True,
) -> Model:
    """The model that `question` trained in the results at `folder`, written to the new folder `to`.

    Args:
        folder: a release, or the draft that a run wrote.
        question: None: the only one that trained a model.
        tested: the empirical test's result; asked for a draft alone, for a release has its own.
        team: whose key signs.

    Raises:
        InputError: no such model there, damaged, or `to` exists.
        PolicyRefusal: something that a release must rest on is missing.
    """
    if to.exists():
        raise InputError(f"{to} exists already", code="file-exists", hint="choose another name")
    results = load_results(folder)
    name = _question(results, question)
    receipt = released_receipt(folder) or receipt_of(results, tested(results.study))
    _require_same(results, receipt, folder)
    parameters = _parameters(folder / "released" / f"{name}.safetensors", results.study)
    model = Model(parameters, card_of(results, receipt, name))
    for told in model.card.told:
        _require_flag(folder / "released" / f"{told.question}.safetensors", told)
    files = contents(model, onnx=onnx)
    draft = to.with_name(f".{to.name}.{secrets.token_hex(8)}")
    try:
        write(files, draft)
        seal(receipt, draft, team)
        draft.rename(to)  # with its receipt, or not there
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return model


def _question(results: StudyResults, wanted: str | None) -> str:
    trained = [answer.question for answer in results.answers if answer.kind == KIND]
    if wanted in trained or (wanted is None and len(trained) == 1):
        return wanted or trained[0]
    raise InputError(
        f"these results hold no model of a question {wanted!r}"
        if wanted
        else "these results do not say by themselves which model is meant",
        code="model-question",
        why=f"questions that trained one: {', '.join(trained) or 'none'}"
        + (f"; the run stopped early: {results.stopped}" if results.stopped else ""),
        hint="name one of these with --question"
        if trained
        else 'a study trains a model with a question of kind "trajectory" (docs/questions.md)',
    )


def _require_same(results: StudyResults, receipt: Receipt, folder: Path) -> None:
    if (receipt.digest, receipt.run) != (results.study.digest.hex(), results.run.run_id):
        raise InputError(
            f"the receipt in {folder} is of another study or run",
            code="release-damaged",
            hint="get the release anew from the research team",
        )


def _require_flag(path: Path, told: Told) -> None:
    """Passes where the run released that a head opens, or not, as its answer says."""
    try:
        flag = load(read_bounded(path, LARGEST))["may_be_released"]
        if flag.tolist() == [float(told.opens)]:
            return
    except (SafetensorError, KeyError):
        pass
    raise InputError(
        f"{path} does not say what the answer to {told.question!r} says",
        code="model-mixed",
        why=f"whether {told.output.replace('_', ' ')} may be released follows from that answer",
        hint="export from the folder that the run wrote, as it wrote it",
    )


def _parameters(path: Path, study: Study) -> NDArray[np.float32]:
    """(d,) as the run wrote them.

    Raises:
        InputError: they are not there, of another study or another version of the network.
    """
    data = read_bounded(path, LARGEST)
    try:
        with safe_open(path, "numpy") as file:
            told: Any = (file.metadata() or {}).get("study")
        found = load(data)["parameters"]
    except (SafetensorError, KeyError, OSError):
        raise InputError(
            f"{path} holds no model's parameters",
            code="model-unreadable",
            hint="the results are damaged, or of another version: run the study anew",
        ) from None
    if told != study.digest.hex():
        raise InputError(
            f"{path} is of another study than the results beside it",
            code="model-mixed",
            hint="export from the folder that the run wrote, as it wrote it",
        )
    if found.shape != (parameter_count(),) or found.dtype != np.float32:
        raise InputError(
            f"{path} is for another version of the network",
            code="model-version",
            hint="export it with the version of Cairn that ran the study",
        )
    return np.asarray(found, dtype=np.float32)
