"""`contents`, `save`: a model as the files of its folder."""

from __future__ import annotations

from pathlib import Path

from cairn_models.export import arrays, card_text, files, preprocessing, tripod
from cairn_models.export import card as cards
from cairn_models.export.model import Model
from cairn_models.export.onnx_graph import onnx_bytes


def contents(model: Model, *, onnx: bool = True) -> dict[str, bytes]:
    """Each file's bytes by its name; the same for the same model.

    Raises:
        InputError: a parameter is not finite, or `onnx` without that package.
    """
    card = model.card
    named = arrays.Named.of(card.main.name, card.digest, card.trained.question)
    found = {
        files.PARAMETERS: arrays.dump(model.parameters, named),
        files.PREPROCESSING: preprocessing.document(card.main, card.companion),
        files.CARD: cards.dump(card, tripod.items(card)),
        files.CARD_TEXT: card_text.text(card).encode(),
    }
    if onnx:
        found[files.ONNX] = onnx_bytes(model.parameters, card, named)
    return found


def save(model: Model, folder: Path, *, onnx: bool = True, private: bool = False) -> None:
    """Writes `model` into the new folder `folder`.

    Raises:
        InputError: as `contents`, or the folder exists.
    """
    files.write(contents(model, onnx=onnx), folder, private=private)
