"""`Pooled`: a study's results as they came back, read with care before they are kept or shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from pydantic import ValidationError

from cairn_models.answers import Answer
from cairn_models.answers_json import answer_of, checked
from cairn_protocol.codec import refuse
from cairn_protocol.findings import RESULTS, Findings
from cairn_protocol.study import Study

SCHEMA: Final = "cairn-results/1"
MODEL_FILES: Final = frozenset(("model.safetensors", "preprocessing.json", "card.json", "card.md"))
TRAINED: Final = "trajectory"  # the kind of question that trains a model


@dataclass(frozen=True)
class Pooled:
    """The answers of `study`, one a question at most, in the study's order.

    Args:
        synthetic: the records were made up.
        stopped: why the run ended early; empty: it did not.
        models: of each question that trained one, its files by name.
        source: results.json, byte for byte.
    """

    study: Study
    answers: tuple[Answer, ...]
    synthetic: bool
    stopped: str
    models: Mapping[str, Mapping[str, bytes]]
    source: bytes

    @classmethod
    def of(cls, findings: Findings, study: Study) -> Pooled:
        """What is in `findings`, which must be of `study` and of its questions alone.

        Raises:
            PeerFault: `peer.findings-…`.
        """
        files = {file.name: file.data for file in findings.files}
        source = files.pop(RESULTS)
        try:
            document = json.loads(source)
            if document["schema"] != SCHEMA:
                _unreadable('its "schema" is of another version')
            told = document["study"]["source"].encode()
            answers = tuple(answer_of(answer) for answer in document["answers"])
            synthetic = checked(bool, document["synthetic"])
            stopped = checked(str, document["stopped"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
            _unreadable("a part is missing or wrong")  # the words of an error could be anything
        if told != study.source:
            refuse("findings-foreign", "the findings are of another study than they say")
        kinds = {spec.name: spec.kind for spec in study.questions}
        named = [answer.question for answer in answers]
        if len(set(named)) != len(named) or any(kinds.get(a.question) != a.kind for a in answers):
            refuse("findings-foreign", "the findings answer what the study does not ask")
        return cls(study, answers, synthetic, stopped, _models(files, kinds), source)


def _models(files: Mapping[str, bytes], kinds: Mapping[str, str]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        question, _, name = path.rpartition("/")
        if kinds.get(question) != TRAINED or name not in MODEL_FILES:
            refuse("findings-foreign", "the findings hold a file that no question of the study has")
        found.setdefault(question, {})[name] = data
    if any(set(names) != MODEL_FILES for names in found.values()):
        _unreadable("a model in them is not whole")
    return found


def _unreadable(why: str) -> NoReturn:
    refuse(
        "findings-unreadable",
        "the findings cannot be read",
        why=why,
        hint="the research team releases them with the version of Cairn that this clinic has",
    )
