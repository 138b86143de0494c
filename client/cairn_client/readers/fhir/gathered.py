"""`gather`: one pass over an export, into compact tables of what Cairn uses of it.

Everything else, text and notes first of all, is dropped with the resource that it stands in. Every
table has `number`, the resource that a row is of; `resources` says where that stands and whether it
may be used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from cairn_client.readers.fhir.codes import SENSITIVE
from cairn_client.readers.fhir.consents import consent_in, said_in
from cairn_client.readers.fhir.damaged import may_be_consent, whom_it_names
from cairn_client.readers.fhir.dictionary import Dictionary
from cairn_client.readers.fhir.elements import (
    Element,
    coded,
    codings,
    day,
    many,
    meaning,
    one,
    reference,
    text,
)
from cairn_client.readers.fhir.files import ExportFile
from cairn_client.readers.fhir.mapping import Fhir
from cairn_client.readers.fhir.observed import (
    Measured,
    day_in_observation,
    derived_from,
    members,
    scores_in_observation,
    taken_on,
)
from cairn_client.readers.fhir.parsing import kind_at_first, parsed
from cairn_client.readers.fhir.people import (
    arm_of,
    began_on,
    begins_wait,
    fact,
    identifier,
    keys_of,
    same_person,
)
from cairn_client.readers.fhir.responses import scores_in_response
from cairn_client.readers.fhir.rows import Rows
from cairn_client.readers.raw import Stretch

_FINISHED: Final = {
    "QuestionnaireResponse": ("completed", "amended"),
    "Observation": ("final", "amended", "corrected", "appended"),
    "CarePlan": ("active", "completed", "on-hold", "ended"),
    "EpisodeOfCare": ("waitlist", "active", "onhold", "finished"),
    "ServiceRequest": ("active", "completed", "on-hold", "ended"),
    "Encounter": (
        *("arrived", "triaged", "in-progress", "onleave", "finished"),
        *("on-hold", "discharged", "completed", "discontinued"),
    ),
}
_KINDS: Final = frozenset({"Patient", "Consent", *_FINISHED})
_USED, _UNFINISHED, _DELETED = "used", "unfinished", "deleted"
_TAKEN_BACK: Final = ("entered-in-error", "cancelled", "revoked")
_MOST_DIGITS: Final = 18  # of a version, that it is whole in 64 bits


@dataclass
class Gathered:
    """What one pass found. Columns as they are named; `subject` is a reference."""

    facts: tuple[str, ...]
    stretches: list[Stretch] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)
    resources: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64,
            row=pl.Int64,
            key=pl.String,
            stamp=pl.String,
            version=pl.Int64,
            back=pl.Int64,
            fate=pl.String,
            sensitive=pl.String,
        )
    )
    faults: Rows = field(default_factory=lambda: Rows(number=pl.Int64, code=pl.String))
    scores: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64,
            subject=pl.String,
            date=pl.String,
            instrument=pl.String,
            item=pl.String,
            value=pl.String,
            form=pl.String,
            response=pl.Boolean,
        )
    )
    members: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64, member=pl.String, panel_form=pl.String, panel_date=pl.String
        )
    )
    days: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64,
            subject=pl.String,
            date=pl.String,
            measure=pl.String,
            amount=pl.Float64,
            coverage=pl.Float64,
        )
    )
    keys: Rows = field(default_factory=lambda: Rows(number=pl.Int64, key=pl.String))
    links: Rows = field(default_factory=lambda: Rows(number=pl.Int64, other=pl.String))
    plans: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64, subject=pl.String, arm=pl.String, start=pl.String
        )
    )
    entries: Rows = field(
        default_factory=lambda: Rows(number=pl.Int64, subject=pl.String, start=pl.String)
    )
    consents: Rows = field(
        default_factory=lambda: Rows(
            number=pl.Int64,
            subject=pl.String,
            begins=pl.String,
            ends=pl.String,
            unclear=pl.Boolean,
        )
    )
    damaged: Rows = field(
        default_factory=lambda: Rows(number=pl.Int64, code=pl.String, subject=pl.String)
    )
    people: Rows = field(init=False)

    def __post_init__(self) -> None:
        columns = {f"fact{i}": pl.String for i in range(len(self.facts))}
        self.people = Rows(number=pl.Int64, patient=pl.String, **columns)


def gather(files: Iterable[ExportFile], fhir: Fhir, known: Collection[str]) -> Gathered:
    """The tables of the export in `files`; `known` are the instruments' names.

    Raises:
        InputError: a file cannot be read as a whole.
    """
    out = Gathered(tuple(fhir.variables.values()))
    reader = _Reader(fhir, Dictionary.of(fhir, known), out)
    before = 0
    for file in files:
        out.stretches.append(Stretch(file.shown, before))
        last = 0
        for last, data in file.resources():
            reader.take(before + last, data, file.path.name)
        before += last
    return out


class _Reader:
    """Sorts resources into tables."""

    def __init__(self, fhir: Fhir, dictionary: Dictionary, out: Gathered) -> None:
        self.fhir, self.dictionary, self.out = fhir, dictionary, out
        self.number = 0
        self.row = 0
        self.labels = SENSITIVE | set(fhir.sensitive)

    def take(self, row: int, data: bytes, file: str) -> None:
        """A resource, a Bundle, or an entry of one; `row` is its place."""
        self.row = row
        kind = kind_at_first(data)
        if kind is not None and kind not in _KINDS and kind != "Bundle":
            self.out.tallies["resources of other kinds"] += 1
            return
        found = parsed(data)
        if isinstance(found, str):
            self._place(None, None, _USED, None)
            self.out.faults.add(self.number, found)
            if may_be_consent(data, file):
                subjects: set[str | None] = {*whom_it_names(data)}
                for subject in subjects or {None}:
                    self.out.damaged.add(self.number, found, subject)
            return
        self._entry(found)

    def _entry(self, found: Element) -> None:
        if found.get("resourceType") == "Bundle":
            for entry in many(found.get("entry")):
                self._entry(entry)
        elif "resourceType" in found:
            self._resource(found, None)
        elif isinstance(found.get("resource"), dict):
            self._resource(found["resource"], text(found.get("fullUrl")))
        elif one(found.get("request")).get("method") == "DELETE":
            if (key := reference({"reference": one(found["request"]).get("url")})) is not None:
                self._place(key, None, _DELETED, None)
        else:
            self.out.tallies["entries without a resource"] += 1

    def _resource(self, resource: Element, url: str | None) -> None:
        kind = text(resource.get("resourceType"))
        if kind not in _KINDS:
            self.out.tallies["resources of other kinds"] += 1
            return
        meta = one(resource.get("meta"))
        labels = [coded(label) for label in many(meta.get("security"))]
        label = meaning(labels, dict.fromkeys(self.labels, "yes"))
        id_, status = text(resource.get("id")), resource.get("status")
        usable = kind not in _FINISHED or status in _FINISHED[kind]
        usable &= status != "entered-in-error"
        self._place(
            None if id_ is None else f"{kind}/{id_}",
            text(meta.get("lastUpdated")),
            _USED if usable else _UNFINISHED,
            label,
            version=_version(meta),
            back=_takes_back(kind, resource),
        )
        if not usable:
            self.out.tallies[f"{kind} not finished, or entered in error"] += 1
            return
        self._rows(kind, resource, url)

    def _rows(self, kind: str, resource: Element, url: str | None) -> None:
        if kind == "Patient":
            self._patient(resource, url)
        elif kind == "QuestionnaireResponse":
            self._response(resource)
        elif kind == "Observation":
            self._observation(resource)
        elif kind == "Consent":
            said = consent_in(resource, self.fhir)
            if said is not None:
                self.out.consents.add(self.number, _subject(resource), *said)
        if kind == "CarePlan" and resource.get("intent") != "proposal":
            arm = arm_of(resource, self.fhir)
            if arm is not None:
                start = began_on(resource)
                self.out.plans.add(self.number, _subject(resource), arm, start)
        if kind == self.fhir.entry and self._begins(kind, resource):
            self.out.entries.add(self.number, _subject(resource), began_on(resource))

    def _begins(self, kind: str, resource: Element) -> bool:
        """Whether the wait is counted from this resource.

        Of plans, those with an arm, unless codes say which.
        """
        if kind == "CarePlan" and not self.fhir.entry_codes:
            named = bool(self.fhir.arms) or self.fhir.arm_system is not None
            return not named or arm_of(resource, self.fhir) is not None
        return begins_wait(resource, self.fhir)

    def _patient(self, patient: Element, url: str | None) -> None:
        number, system = self.number, self.fhir.identifier_system
        named = text(patient.get("id")) if system is None else identifier(patient, system)
        facts = (fact(patient, name) for name in self.out.facts)
        self.out.people.add(number, named, *facts)
        for key in keys_of(patient, url):
            self.out.keys.add(number, key)
        for other in same_person(patient):
            self.out.links.add(number, other)

    def _response(self, response: Element) -> None:
        scores, faults, known = scores_in_response(response, self.dictionary)
        if not known:
            self.out.tallies["questionnaires of other kinds"] += 1
        id_ = text(response.get("id"))
        form = f"QuestionnaireResponse/{id_ or f'#{self.number}'}"
        subject, date = _subject(response), day(response.get("authored"))
        for score in scores:
            self.out.scores.add(self.number, subject, date, *score, form, True)
        for code in faults:
            self.out.faults.add(self.number, code)

    def _observation(self, observation: Element) -> None:
        pairs, number = codings(observation.get("code")), self.number
        subject, date = _subject(observation), taken_on(observation)
        measure = meaning(pairs, self.dictionary.wearables)
        if measure is not None:
            found = day_in_observation(observation, pairs, measure)
            if isinstance(found, Measured):
                self.out.days.add(number, subject, date, *found)
            elif found is not None:
                self.out.faults.add(number, found)
            return
        scores, faults, known = scores_in_observation(observation, pairs, self.dictionary)
        if not known:
            self.out.tallies["observations of other kinds"] += 1
            return
        form, inside = derived_from(observation), members(observation)
        if not form and (inside or len(scores) > 1):
            form = f"Observation/{text(observation.get('id')) or f'#{number}'}"
        for member in inside:
            self.out.members.add(number, member, form, date)
        for score in scores:
            self.out.scores.add(number, subject, date, *score, form, False)
        for code in faults:
            self.out.faults.add(number, code)

    def _place(
        self,
        key: str | None,
        stamp: str | None,
        fate: str,
        label: str | None,
        *,
        version: int | None = None,
        back: int = 0,
    ) -> None:
        self.number += 1
        self.out.resources.add(self.number, self.row, key, stamp, version, back, fate, label)


def _subject(resource: Element) -> str | None:
    return reference(resource.get("subject")) or reference(resource.get("patient"))


def _version(meta: Element) -> int | None:
    """The number of a version; None where it is none, since other ids say no order."""
    written = text(meta.get("versionId")) or ""
    plain = written.isascii() and written.isdigit() and len(written) <= _MOST_DIGITS
    return int(written) if plain else None


def _takes_back(kind: str, resource: Element) -> int:
    """How much this version takes back: 2 for what is or may be a refusal, 1 for a mistake, or 0.

    A refusal that was entered in error comes after the refusal: nobody is in by a guess.
    """
    if resource.get("status") in _TAKEN_BACK:
        return 1
    return 2 if kind == "Consent" and said_in(resource) in ("deny", "unclear") else 0
