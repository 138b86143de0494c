"""`write`, `read`: a model's folder, whole or refused.

model.safetensors    the parameters by name; metadata: network version, instrument, study, question
model.onnx           the same network for programs without Cairn (where the extra `export` is there)
preprocessing.json   how records become the network's columns, and its outputs numbers
card.json, card.md   what it is, what it rests on, what it may be used for
CHECKSUMS            the SHA-256 of each, in the format of `sha256sum`
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cairn_protocol.errors import InputError
from cairn_protocol.study import read_bounded

PARAMETERS: Final = "model.safetensors"
ONNX: Final = "model.onnx"
PREPROCESSING: Final = "preprocessing.json"
CARD: Final = "card.json"
CARD_TEXT: Final = "card.md"
CHECKSUMS: Final = "CHECKSUMS"
NEEDED: Final = (PARAMETERS, PREPROCESSING, CARD, CARD_TEXT)
LARGEST: Final = 8 * 1024 * 1024  # bytes a file
AGAIN: Final = "get the folder anew from those who released it"


def write(files: Mapping[str, bytes], folder: Path, *, private: bool = False) -> None:
    """Puts `files` and their checksums into the new folder `folder`; the checksums come last.

    Args:
        private: nobody else on this machine may read them.

    Raises:
        InputError: the folder exists.
    """
    try:
        folder.mkdir(parents=True, mode=0o700 if private else 0o777)
    except FileExistsError:
        raise InputError(
            f"{folder} exists already", code="file-exists", hint="choose another name"
        ) from None
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    for name, data in (*files.items(), (CHECKSUMS, sums.encode())):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(folder / name, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def read(folder: Path) -> dict[str, bytes]:
    """Every file that CHECKSUMS names, after its checksum held.

    Raises:
        InputError: no model there, a file is missing, or its bytes are others.
    """
    if not (folder / CHECKSUMS).is_file():
        raise InputError(
            f"{folder} holds no model",
            code="model-missing",
            why=f"it has no {CHECKSUMS}",
            hint="give the folder that `cairn model export` wrote",
        )
    lines = read_bounded(folder / CHECKSUMS, LARGEST).decode("utf-8", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}
    for name in (*NEEDED, *sums):
        if name not in sums or name != Path(name).name or not (folder / name).is_file():
            raise InputError(
                f"the model in {folder} is not whole",
                code="model-incomplete",
                why=f"{name} is missing, or {CHECKSUMS} does not name it",
                hint=AGAIN,
            )
    found = {name: read_bounded(folder / name, LARGEST) for name in sums}
    for name, data in found.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise InputError(
                f"{folder / name} is not the file that was released",
                code="model-changed",
                why=f"its SHA-256 differs from the one in {CHECKSUMS}",
                hint=AGAIN,
            )
    return found
