"""`release`: the one way in which results leave the folder that a run wrote.

A run's folder is a draft. A release is a copy behind the gate (`receipt`): the same files, a report
that shows what it rests on, and `receipt.json`, which names every file by its SHA-256 and is signed
by the team where its key is at hand. `check_release` needs the folder alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from cairn_privacy.audit.result import Result
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity, fingerprint, verify
from cairn_protocol.study import read_bounded
from cairn_server.receipt import Receipt, receipt_of
from cairn_server.report import load_results, write_results
from cairn_server.report.atomic import replace_atomically

SCHEMA: Final = "cairn-release/1"
RECEIPT: Final = "receipt.json"
LARGEST_RECEIPT: Final = 16 * 1024 * 1024
LARGEST_FILE: Final = 1 << 30


def release(
    folder: Path, to: Path, *, tested: Result | None, team: Identity | None = None
) -> Receipt:
    """Release the results in `folder` as the new folder `to`.

    Raises:
        InputError: no results there, or `to` exists already.
        PolicyRefusal: something that a release must rest on is missing.
    """
    if to.exists():
        raise InputError(f"{to} exists already", code="file-exists", hint="choose another name")
    results = load_results(folder)
    receipt = receipt_of(results, tested)
    write_results(results, to, receipt=receipt)
    for path in sorted((folder / "released").glob("*.safetensors")):
        data = read_bounded(path, LARGEST_FILE)
        replace_atomically(to / "released" / path.name, data)
    seal(receipt, to, team)
    return receipt


def seal(receipt: Receipt, folder: Path, team: Identity | None = None) -> None:
    """Write `receipt.json` into `folder`, over every file in it; `check_release` then holds."""
    document = {
        "schema": SCHEMA,
        "released": datetime.now(UTC).isoformat(timespec="seconds"),
        "receipt": asdict(receipt),
        "files": _digests(folder),
    }
    if team is not None:
        document |= {"team": team.public.hex()}
        document |= {"signature": team.sign("release", _canonical(document)).hex()}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    replace_atomically(folder / RECEIPT, text.encode() + b"\n")


def released_receipt(folder: Path) -> Receipt | None:
    """The receipt of the release in `folder`, all files checked; None: a run's draft.

    Raises:
        InputError: it is not as it was made.
    """
    if not (folder / RECEIPT).exists():
        return None
    check_release(folder)
    try:
        return TypeAdapter(Receipt).validate_python(_read(folder / RECEIPT).get("receipt"))
    except ValidationError:
        raise _damaged(folder, "its receipt is of another version") from None


def check_release(folder: Path, team_fingerprint: str | None = None) -> str:
    """Who signed the release in `folder`, as a fingerprint; empty: nobody. Every file is checked.

    Raises:
        InputError: a file is missing, was added or changed, or the signature does not hold.
    """
    document = _read(folder / RECEIPT)
    files = document.get("files")
    if not isinstance(files, dict) or files != _digests(folder):
        raise _damaged(folder, "its files are not those that were released")
    signer = document.pop("team", ""), document.pop("signature", "")
    if not signer[0]:
        if team_fingerprint is not None:
            raise _damaged(folder, "nobody signed it")
        return ""
    try:
        public, signature = (bytes.fromhex(part) for part in signer)
    except (TypeError, ValueError):
        raise _damaged(folder, "its signature cannot be read") from None
    signed = _canonical(document | {"team": signer[0]})
    name = fingerprint(public)
    if not verify(public, "release", signed, signature):
        raise _damaged(folder, "its signature does not hold")
    if team_fingerprint is not None and name != team_fingerprint:
        raise _damaged(folder, f"it was signed by {name}")
    return name


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the receipt, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            read_bounded(path, LARGEST_FILE)
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / RECEIPT
    }


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_bounded(path, LARGEST_RECEIPT))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise _damaged(path.parent, "its receipt is not JSON") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _damaged(path.parent, "its receipt is of another version")
    return document


def _damaged(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder} is not a release as it was made",
        code="release-damaged",
        why=why,
        hint="get it anew from the research team",
    )
