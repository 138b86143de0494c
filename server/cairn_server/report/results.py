"""`results.json`: every number in full precision, one schema, the same bytes for the same results.

schema        "cairn-results/1"
study         name · title · digest (hex) · source (the signed file's text)
synthetic     true when the records were made up
stopped       why the run ended before its last question; empty where it did not
answers[]     cairn_models.answers.Answer; `released` arrays by shape only
oracle        null, or an answer with a label that says why it could be computed
spend         questions[] · total      statement[]      participants[]      run
sums[]        who is in each question's sums: rounds · clinics · fewest · last · absent[]
incidents[]   clinics that left the run or gave wrong shares: kind · clinic · text
heads[]       the clinics' ledgers at their last upload: clinic · epoch · head · mark (hex)
blinding      null, or letters[] · commitment (hex) · unblinded: null, or by · reason · at · arms{}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from cairn_models.answers_json import answer_of, checked
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study, read_bounded
from cairn_server.journal import Incident
from cairn_server.results import (
    Blinding,
    LedgerHead,
    Participant,
    QuestionSums,
    RunFacts,
    Spend,
    StudyResults,
)

SCHEMA: Final = "cairn-results/1"
ORACLE_LABEL: Final = "synthetic: only possible because the data are synthetic"
LARGEST_RESULTS: Final = 256 * 1024 * 1024  # bytes


def to_json(results: StudyResults) -> dict[str, Any]:
    """Plain JSON values; a number that is not finite becomes null."""
    study = results.study
    oracle = results.oracle
    document = {
        "schema": SCHEMA,
        "study": {
            "name": study.name,
            "title": study.title,
            "digest": study.digest.hex(),
            "source": study.source.decode("utf-8"),
        },
        "synthetic": results.is_synthetic,
        "stopped": results.stopped,
        "answers": [answer.to_json() for answer in results.answers],
        "oracle": None if oracle is None else {**oracle.to_json(), "label": ORACLE_LABEL},
        "spend": asdict(results.spend),
        "statement": results.statement,
        "participants": [asdict(p) for p in results.participants],
        "sums": [asdict(s) for s in results.sums],
        "incidents": [asdict(i) for i in results.incidents],
        "heads": [asdict(h) for h in results.heads],
        "blinding": None if results.blinding is None else asdict(results.blinding),
        "run": asdict(results.run),
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def dump(results: StudyResults) -> bytes:
    """The file's bytes: sorted keys, two spaces, UTF-8, one newline at the end."""
    text = json.dumps(
        to_json(results), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False
    )
    return text.encode() + b"\n"


def load_results(path: Path) -> StudyResults:
    """The results in the file at `path` (a `results.json`, or the folder that holds one).

    Arrays that questions released are not in the file: `Answer.released` comes back empty.

    Raises:
        InputError: unreadable, not JSON, another schema, or a field is missing or wrong.
    """
    if path.is_dir():
        path = path / "results.json"
    return parse_results(read_bounded(path, LARGEST_RESULTS), path)


def parse_results(data: bytes, path: Path) -> StudyResults:
    """The results in `data`, the bytes of the file at `path`; refused as by `load_results`."""
    try:
        document = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise InputError(
            f"{path} is not JSON",
            code="results-not-json",
            hint="give the results.json that `cairn study run` or `cairn study report` wrote",
        ) from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError(
            f"{path} does not hold results that this version reads",
            code="results-schema",
            why=f'its "schema" is not "{SCHEMA}"',
            hint="read it with the version of Cairn that wrote it",
        )
    try:
        return _results(document)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else "a field is wrong"
        raise InputError(f"{path} is damaged", code="results-damaged", why=why) from None


def _results(document: dict[str, Any]) -> StudyResults:
    oracle = document["oracle"]
    return StudyResults(
        study=Study.parse(document["study"]["source"].encode(), where="the study in the results"),
        answers=tuple(answer_of(a) for a in document["answers"]),
        spend=checked(Spend, document["spend"]),
        statement=checked(tuple[str, ...], document["statement"]),
        participants=checked(tuple[Participant, ...], document["participants"]),
        run=checked(RunFacts, document["run"]),
        oracle=None if oracle is None else answer_of(oracle),
        synthetic=checked(bool, document["synthetic"]),
        stopped=checked(str, document["stopped"]),
        sums=checked(tuple[QuestionSums, ...], document.get("sums", [])),
        incidents=checked(tuple[Incident, ...], document.get("incidents", [])),
        heads=checked(tuple[LedgerHead, ...], document.get("heads", [])),
        blinding=checked(Blinding, blinding) if (blinding := document.get("blinding")) else None,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
