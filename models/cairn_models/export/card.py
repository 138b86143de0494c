"""`Card`: what a model is, what it rests on and what it may be used for; as JSON and as text.

Nothing in it is about one clinic or one person: counts are noised, or are the study's public plan.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from cairn_models.export.files import AGAIN
from cairn_models.export.heads import Head, Held, Judged, Measured, Told
from cairn_models.measures import Instrument
from cairn_protocol.errors import InputError

SCHEMA: Final = "cairn-model-card/1"
KEPT_HERE: Final = (
    "It learnt from this clinic's patients without privacy noise: it must not leave the clinic."
)


@dataclass(frozen=True)
class Scale:
    """A questionnaire's total: its name and range in points."""

    name: str
    lowest: float
    highest: float

    @classmethod
    def of(cls, instrument: Instrument) -> Scale:
        """The range of `instrument`."""
        return cls(instrument.name, float(instrument.lowest), float(instrument.highest))

    @property
    def span(self) -> float:
        """Points from lowest to highest."""
        return self.highest - self.lowest


@dataclass(frozen=True)
class Spent:
    """What one question of the study cost; ε None for public data."""

    question: str
    epsilon: float | None
    rounds: int
    noise: str


@dataclass(frozen=True)
class Tested:
    """What the empirical test of the code showed of one question."""

    question: str
    claimed: float
    at_least: float
    trials: int


@dataclass(frozen=True)
class Trained:
    """How: question, prior, space of training, and the study's public plan.

    `held_out` is the planned share of patients who never trained: a keyed share everywhere, or all
    patients of the public group `held_out_group` of clinics.
    """

    question: str
    rounds: int
    bound: float
    held_out: float
    prior: str
    space: str
    directions: int
    arms: tuple[str, ...]
    clinics: int
    planned_patients: int
    held_out_group: str = ""
    held_out_clinics: tuple[str, ...] = ()

    @property
    def never_trained(self) -> str:
        """Who, e.g. '30 % of patients, by a keyed hash of their identifier'."""
        if self.held_out_group:
            return (
                f"all patients of {len(self.held_out_clinics)} of the clinics, the public group "
                f"'{self.held_out_group}'"
            )
        return f"{100 * self.held_out:.0f} % of patients, by a keyed hash of their identifier"


@dataclass(frozen=True)
class Personal:
    """A clinic's own fine-tuning: error in points on its own held-out patients."""

    patients: int
    held_out: int
    pull: float
    before: float
    after: float


@dataclass(frozen=True)
class Card:
    """A model's card.

    Args:
        study, title, digest, purpose: of the study that trained it; digest in hex.
        run, code_version: the run (hex) and the version of Cairn.
        synthetic: the patients were made up. public: their data are public, nothing was noised.
        main, companion: the two scales that the network reads and foretells.
        network, parameters: its version and how many parameters it has.
        judged: errors beside those of the prior and of the last value; empty: never asked.
        heads: every output at every horizon, with whether it may be used.
        epsilon, delta: of the whole study, for every patient who was in it.
        held, told: whether bands hold what they say, and outcomes and dropouts are told apart.
        personal: set where one clinic tuned it for itself.
    """

    study: str
    title: str
    digest: str
    purpose: str
    run: str
    code_version: str
    synthetic: bool
    public: bool
    main: Scale
    companion: Scale
    network: int
    parameters: int
    trained: Trained
    judged: tuple[Judged, ...]
    heads: tuple[Head, ...]
    epsilon: float | None
    delta: float | None
    spent: tuple[Spent, ...]
    tested: tuple[Tested, ...]
    personal: Personal | None = None
    held: tuple[Held, ...] = ()
    told: tuple[Told, ...] = ()

    @property
    def measured(self) -> Measured:
        """All that was measured of it."""
        return Measured(self.judged, self.held, self.told)

    @property
    def usable(self) -> tuple[Head, ...]:
        """The heads above the floor."""
        return tuple(head for head in self.heads if head.usable)

    @property
    def kind_of_patients(self) -> str:
        """'synthetic patients' where they were made up."""
        return "synthetic patients" if self.synthetic else "patients"


def dump(card: Card, items: tuple[tuple[str, str, str], ...]) -> bytes:
    """The bytes of card.json; `items` are those of TRIPOD+AI (number, title, text)."""
    told = [{"item": number, "title": title, "text": text} for number, title, text in items]
    document = {"schema": SCHEMA, "card": asdict(card), "tripod_ai": told}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def parse(data: bytes, where: str) -> Card:
    """The card in `data`, the bytes of the file called `where`.

    Raises:
        InputError: `input.model-card`.
    """
    try:
        document: Any = json.loads(data)
        if document["schema"] == SCHEMA:
            return TypeAdapter(Card).validate_python(document["card"])
    except (ValueError, KeyError, TypeError, ValidationError, RecursionError):
        pass
    raise InputError(
        f"{where} is no model card that this version reads",
        code="model-card",
        why=f'its "schema" is not "{SCHEMA}", or a field is missing or wrong',
        hint=f"use the version of Cairn that wrote it, or {AGAIN}",
    )
