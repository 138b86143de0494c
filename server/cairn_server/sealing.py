"""A blinded run's sealed file, which holds its results under the arms' names, and its opening.

    <results>                   the run's folder: letters only
    <results>.sealed.json       beside it, mode 0600: names, letters, a nonce, the results
    <results>.unblinded.jsonl   who opened it, when and why, a line each time

The run's results.json holds the sealed file's SHA-256. The nonce keeps the names from being guessed
by trying all of them against that digest; the digest keeps the file from being changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from cairn_protocol.errors import InputError
from cairn_server.files import read_private, sync
from cairn_server.report import Paths, load_results, sealed_path, write_results
from cairn_server.report.results import LARGEST_RESULTS, parse_results, to_json
from cairn_server.results import Blinding, StudyResults, Unblinding

SCHEMA: Final = "cairn-sealed/1"
NONCE_BYTES: Final = 32
LONGEST_WORD: Final = 500  # characters of a name or a reason


def seal(shown: StudyResults, named: StudyResults, letters: Mapping[str, str]) -> StudyResults:
    """`shown`, which bears letters, with `named` sealed into it.

    Args:
        letters: of the arms, by their names.
    """
    document = {
        "schema": SCHEMA,
        "arms": {letter: arm for arm, letter in letters.items()},
        "nonce": token_hex(NONCE_BYTES),
        "results": to_json(named),
    }
    sealed = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    blinding = Blinding(tuple(sorted(letters.values())), hashlib.sha256(sealed).hexdigest())
    return replace(shown, blinding=blinding, sealed=sealed)


def unblind(folder: Path, to: Path, *, by: str, reason: str) -> tuple[StudyResults, Paths]:
    """The results in `folder` under the arms' names, written to the new folder `to`.

    It is noted first, and then done: what is noted may not have come about, never the other way.

    Raises:
        InputError: not blinded, no sealed file or not the run's, nobody named, no reason.
    """
    by, reason = _said("by", by), _said("reason", reason)
    if to.exists():
        raise InputError(f"{to} exists already", code="file-exists", hint="choose another name")
    shown = load_results(folder)
    if shown.blinding is None or not shown.is_blinded:
        raise InputError(
            f"the arms in {folder} bear their names already",
            code="not-blinded",
            hint="nothing is to be unblinded",
        )
    arms, named = _open(sealed_path(folder), shown.blinding.commitment)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    opened = Unblinding(by, reason, at, arms)
    _note(note_path(folder), {"at": at, "by": by, "reason": reason, "run": shown.run.run_id})
    results = replace(named, blinding=replace(shown.blinding, unblinded=opened))
    return results, write_results(results, to)


def note_path(folder: Path) -> Path:
    """The list of those who opened it."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.unblinded.jsonl")


def _open(path: Path, commitment: str) -> tuple[dict[str, str], StudyResults]:
    if not path.is_file():
        raise InputError(
            "there is no sealed file that tells which arm is which",
            code="sealed-missing",
            why=f"{path} is not there, or not readable by this user",
            hint="it stays where the study was run; ask whoever ran it",
        )
    data = read_private(path, LARGEST_RESULTS)
    if hashlib.sha256(data).hexdigest() != commitment:
        raise InputError(
            f"{path} is not the sealed file of this run",
            code="sealed-damaged",
            why="its digest is not the one in the blinded results",
            hint="restore it from a backup",
        )
    document: dict[str, Any] = json.loads(data)
    named = json.dumps(document["results"]).encode()
    return document["arms"], parse_results(named, path)


def _note(path: Path, line: dict[str, str]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


def _said(what: str, text: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > LONGEST_WORD:
        raise InputError(
            f"{what} is empty" if not said else f"{what} is longer than {LONGEST_WORD} characters",
            code="unblind-unsaid",
            hint="say who unblinds the study, and why: it is kept with the results",
        )
    return said
