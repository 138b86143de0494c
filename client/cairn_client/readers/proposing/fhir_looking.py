"""`look_at_export`: what an export holds, in counts of patients. No value, no identifier is kept.

A resource is understood as the import understands it, with the codes that need no mapping; what is
left over is counted by its code, for a proposal to name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cairn_client.readers.fhir.answers import number_text
from cairn_client.readers.fhir.codes import ANSWERS, ORDINAL_URLS, SENSITIVE
from cairn_client.readers.fhir.consents import said_in
from cairn_client.readers.fhir.dictionary import Dictionary
from cairn_client.readers.fhir.elements import Element, coded, many, meaning, one, reference, text
from cairn_client.readers.fhir.files import ExportFile
from cairn_client.readers.fhir.mapping import Fhir
from cairn_client.readers.fhir.observed import scores_in_observation
from cairn_client.readers.fhir.parsing import parsed
from cairn_client.readers.fhir.people import began_on
from cairn_client.readers.fhir.responses import scores_in_response
from cairn_client.readers.proposing.fhir_counts import Codes, Sharing
from cairn_client.readers.proposing.words import instrument_of

MOST_RESOURCES: Final = 200_000  # that are looked at, of each file a fair share
_SYNTHETIC: Final = "synthetic"
_DRAFTS: Final = ("entered-in-error", "draft", "revoked", "proposed", "nullified", "cancelled")
_WAITS: Final = ("CarePlan", "EpisodeOfCare", "ServiceRequest", "Encounter")


@dataclass
class Begun:
    """Resources of one kind from which a wait could be counted."""

    dated: set[str] = field(default_factory=set)  # patients
    codes: Codes = field(default_factory=Codes)


@dataclass
class ExportLook:
    """What an export holds.

    Args:
        kinds: resources by kind.
        numbers: by system, the patients' identifiers of it: patient → number.
        facts: Cairn's names of what Patient says, or the URL of an extension.
        scores: instruments that are read as they are.
        totals: codes of Observations that are no instrument of Cairn's by themselves, with a name
            that says one.
        forms: questionnaires that are none by themselves: instrument ← address.
        links: linkIds within such a form.
        answers: codes of answers without a number.
        permits: consents that permit, by their scopes and categories.
        refusals, unclear: patients with a consent that refuses, or that says neither plainly.
        labels: of `meta.security`, beyond those that are left out anyway.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    synthetic: int = 0
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)
    facts: Sharing[str] = field(default_factory=Sharing)
    waits: dict[str, Begun] = field(default_factory=lambda: {kind: Begun() for kind in _WAITS})
    scores: Sharing[str] = field(default_factory=Sharing)
    totals: Codes = field(default_factory=Codes)
    forms: Codes = field(default_factory=Codes)
    links: dict[str, Sharing[str]] = field(default_factory=dict)
    answers: Codes = field(default_factory=Codes)
    permits: Codes = field(default_factory=Codes)
    refusals: set[str] = field(default_factory=set)
    unclear: set[str] = field(default_factory=set)
    labels: Codes = field(default_factory=Codes)
    sensitive: set[str] = field(default_factory=set)
    whole: bool = True  # False: only the beginnings of files were looked at


def look_at_export(files: list[ExportFile], known: Collection[str]) -> ExportLook:
    """Counts over the export in `files`; `known` are the instruments' names.

    Raises:
        InputError: a file cannot be read as a whole.
    """
    seen = ExportLook()
    reader = _Looker(seen, Dictionary.of(Fhir(folder="."), known))
    share = max(MOST_RESOURCES // len(files), 1000)
    for file in files:
        for number, (_, data) in enumerate(file.resources()):
            if number == share:
                seen.whole = False
                break
            found = parsed(data)
            if isinstance(found, dict):
                reader.take(found)
    return seen


class _Looker:
    def __init__(self, seen: ExportLook, dictionary: Dictionary) -> None:
        self.seen, self.dictionary = seen, dictionary

    def take(self, found: Element) -> None:
        """A resource, a Bundle or an entry of one."""
        if found.get("resourceType") == "Bundle":
            for entry in many(found.get("entry")):
                self.take(entry)
        elif isinstance(found.get("resource"), dict):
            self._resource(found["resource"])
        else:
            self._resource(found)

    def _resource(self, resource: Element) -> None:
        kind = text(resource.get("resourceType"))
        if kind is None or resource.get("status") in _DRAFTS:
            return
        self.seen.kinds[kind] += 1
        if kind == "Patient":
            self._patient(resource)
            return
        who = reference(resource.get("subject")) or reference(resource.get("patient"))
        self._label(resource, who)
        if kind in _WAITS:
            self._wait(kind, resource, who)
        elif kind == "Observation":
            self._observation(resource, who)
        elif kind == "QuestionnaireResponse":
            self._response(resource, who)
        elif kind == "Consent":
            self._consent(resource, who)

    def _label(self, resource: Element, who: str | None) -> None:
        labels = [coded(c) for c in many(one(resource.get("meta")).get("security"))]
        if meaning(labels, dict.fromkeys(SENSITIVE, "yes")):
            self.seen.sensitive.add(who or "")
            return
        for system, code in labels:
            self.seen.labels.add(system, code, "", who)

    def _patient(self, patient: Element) -> None:
        id_ = text(patient.get("id"))
        if id_ is None:
            return
        who = f"Patient/{id_}"
        self.seen.people.add(who)
        tags = {coded(c)[1] for c in many(one(patient.get("meta")).get("tag"))}
        self.seen.synthetic += _SYNTHETIC in tags or id_.lower().startswith(_SYNTHETIC)
        self._label(patient, who)
        for named in many(patient.get("identifier")):
            system, number = text(named.get("system")), text(named.get("value"))
            if system and number and named.get("use") != "old":
                self.seen.numbers.setdefault(system, {}).setdefault(who, number)
        for fact, element in (("gender", "gender"), ("age", "birthDate")):
            if text(patient.get(element)) is not None:
                self.seen.facts.add(fact, who)
        if many(patient.get("communication")):
            self.seen.facts.add("language", who)
        for extension in many(patient.get("extension")):
            if (url := text(extension.get("url"))) is not None and _categorical(extension):
                self.seen.facts.add(url, who)

    def _wait(self, kind: str, resource: Element, who: str | None) -> None:
        begun = self.seen.waits[kind]
        if who is not None and began_on(resource) is not None:
            begun.dated.add(who)
        names = ("category", "code", "type", "class", "serviceType")
        for system, code, display in _named(*(resource.get(n) for n in names)):
            begun.codes.add(system, code, display, who)
        for name in ("instantiatesCanonical", "instantiatesUri"):
            written = resource.get(name)
            for uri in written if isinstance(written, list) else ():
                if (plain := text(uri)) is not None:
                    begun.codes.add("", plain, plain.rsplit("/", maxsplit=1)[-1], who)

    def _observation(self, observation: Element, who: str | None) -> None:
        named = list(_named(observation.get("code")))
        pairs = [(system, code) for system, code, _ in named]
        if meaning(pairs, self.dictionary.wearables):
            return
        scores, _, known = scores_in_observation(observation, pairs, self.dictionary)
        for score in scores:
            self.seen.scores.add(score.instrument, who)
        if known or not _numeric(observation):
            return
        words = text(one(observation.get("code")).get("text")) or ""
        for system, code, display in named:
            name = next((w for w in (display, words, code) if instrument_of(w)[0]), "")
            if name:
                self.seen.totals.add(system, code, name, who)

    def _response(self, response: Element, who: str | None) -> None:
        scores, _, _ = scores_in_response(response, self.dictionary)
        for score in scores:
            self.seen.scores.add(score.instrument, who)
        form = (text(response.get("questionnaire")) or "").split("|", maxsplit=1)[0]
        for item in _items(response):
            for coding in many(item.get("answer")):
                self._answer(one(coding.get("valueCoding")), who)
        if scores or not form:
            return
        self.seen.forms.add("", form, form.rsplit("/", maxsplit=1)[-1], who)
        links = self.seen.links.setdefault(form, Sharing())
        for item in _items(response):
            if many(item.get("answer")) and (link := text(item.get("linkId"))) is not None:
                links.add(link, who)

    def _answer(self, coding: Element, who: str | None) -> None:
        system, code = coded(coding)
        ordinal = any(text(e.get("url")) in ORDINAL_URLS for e in many(coding.get("extension")))
        if code and code not in ANSWERS and not ordinal:
            self.seen.answers.add(system, code, text(coding.get("display")) or "", who)

    def _consent(self, consent: Element, who: str | None) -> None:
        said = said_in(consent)
        if said == "deny":
            self.seen.refusals.add(who or "")
        elif said in ("unclear", "silent"):
            self.seen.unclear.add(who or "")
        elif said == "permit":
            for system, code, display in _named(consent.get("scope"), consent.get("category")):
                self.seen.permits.add(system, code, display, who)


def _named(*concepts: Any) -> Iterator[tuple[str, str, str]]:
    """(system, code, display or text) of each coding of concepts, of arrays of them, and alone."""
    for value in concepts:
        for concept in many(value):
            element = one(concept.get("concept")) or concept
            words = text(element.get("text")) or ""
            for coding in many(element.get("coding")) or [element]:
                system, code = coded(coding)
                if code:
                    yield system, code, text(coding.get("display")) or words


def _items(response: Element) -> Iterator[Element]:
    waiting = many(response.get("item"))[::-1]
    for _ in range(2000):
        if not waiting:
            return
        item = waiting.pop()
        nested = [i for a in many(item.get("answer")) for i in many(a.get("item"))]
        waiting += [*many(item.get("item")), *nested][::-1]
        yield item


def _numeric(observation: Element) -> bool:
    values = [one(observation.get("valueQuantity")).get("value")]
    values += [observation.get(f"value{kind}") for kind in ("Integer", "Decimal", "String")]
    for value in values:
        try:
            float(number_text(value) or "")
        except ValueError:
            continue
        return True
    return False


def _categorical(extension: Element) -> bool:
    """Whether an extension of Patient holds a code, itself or in its first part."""
    parts = [extension, *many(extension.get("extension"))]
    names = ("valueCoding", "valueCodeableConcept", "valueCode")
    return any(part.get(name) is not None for part in parts for name in names)
