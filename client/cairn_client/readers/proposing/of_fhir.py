"""`propose_fhir`: the part `[fhir]` that an export suggests."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from cairn_client.readers.proposing.columns import FEWEST
from cairn_client.readers.proposing.fhir_counts import Codes, may_be_shown
from cairn_client.readers.proposing.fhir_looking import ExportLook
from cairn_client.readers.proposing.words import arm_of, instrument_of
from cairn_client.readers.proposing.writing import Page, quoted
from cairn_client.readers.scales import ITEM_SCALES
from cairn_protocol.errors import InputError

_MOSTLY: Final = 0.5
_NEARLY_ALL: Final = 0.95
_WAITING: Final = re.compile(r"wait|wart|wacht|attente|referral|zuweis|uberweis|verwij|orientation")
_NUMBERED: Final = re.compile(r"(?:.*[^0-9])?([0-9]{1,2})")
# Each is chosen where the ones before it say too little; a plan also says what was offered.
_WAITS: Final = ("CarePlan", "EpisodeOfCare", "ServiceRequest", "Encounter")
_VARIABLES: Final = {"gender": "sex", "age": "age", "language": "language"}


@dataclass(frozen=True)
class FhirPart:
    """What an export is in the mapping's terms, decided before any line is written.

    Args:
        folder: of the export, within the clinic's.
        look: what is in it.
        others: patients of the tables beside it, by the names that those give them.
        consent_beside: whether one of those tables says who consents.
    """

    folder: str
    look: ExportLook
    others: Collection[str] = ()
    consent_beside: bool = False

    @property
    def identifiers(self) -> set[str]:
        """What names a patient, in lower case: never shown."""
        ids = {who.removeprefix("Patient/").lower() for who in self.look.people}
        return ids | {n.lower() for numbers in self.look.numbers.values() for n in numbers.values()}


def check_fhir(part: FhirPart) -> None:
    """Refuses an export of which no mapping could make records.

    Raises:
        InputError: it has no patients, no scores, or nothing from which weeks could be counted.
    """
    look = part.look
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in look.kinds.most_common(8)) or "none"
    if not look.people:
        raise InputError(
            f"the FHIR export in {part.folder} has no Patient",
            code="export-no-patients",
            why=f"resources found: {kinds}",
            hint="export Patient and CarePlan with it; docs/clinic-fhir.md lists what to export",
        )
    if not (look.scores.of or look.totals.sharing.of or look.forms.sharing.of):
        raise InputError(
            f"the FHIR export in {part.folder} has no scores",
            code="scores-missing",
            why=f"resources found: {kinds}; none is a questionnaire that Cairn knows",
            hint="export QuestionnaireResponse and Observation of the category survey; "
            "docs/clinic-fhir.md lists the codes",
        )
    if not any(begun.dated for begun in look.waits.values()):
        raise InputError(
            "nothing in the FHIR export says when a patient's wait began",
            code="entry-missing",
            why="times are weeks since entry; no CarePlan, EpisodeOfCare, ServiceRequest or "
            "Encounter has a date",
            hint="export CarePlan (period.start) or EpisodeOfCare with it",
        )


def write_fhir(page: Page, part: FhirPart) -> None:
    """`[fhir]` with its reasons; lines to check where the export does not tell."""
    look = part.look
    page.part("fhir", "Patients, arms, entry, scores and consent; docs/clinic-fhir.md explains it.")
    page.put("folder", quoted(part.folder), f"{len(look.people):,} patients")
    if not look.whole:
        page.say("Of large files only the beginning was looked at.")
    _identity(page, part)
    kind = _wait(page, part)
    system = _arm_system(part)
    if system:
        page.put("arm_system", quoted(system), "whose codes in CarePlan.category are arms")
    _consent(page, part)
    _labels(page, part)
    _variables(page, part)
    _arms(page, part, system, kind)
    _codes(page, part)


def _identity(page: Page, part: FhirPart) -> None:
    everyone = len(part.look.people)
    best: tuple[float, str] | None = None
    known = {who.lower() for who in part.others}
    for system, numbers in part.look.numbers.items():
        apart = len(set(numbers.values()))
        if apart < _NEARLY_ALL * everyone or apart < FEWEST or not may_be_shown("", system):
            continue
        shared = sum(n.lower() in known for n in numbers.values()) / everyone
        if best is None or (shared, apart) > (best[0], len(part.look.numbers[best[1]])):
            best = shared, system
    if best is not None:
        page.put("identifier_system", quoted(best[1]),
                 "a number that patients keep from export to export",
                 "" if not known or best[0] > _MOSTLY else
                 "that the other files name patients by this number")  # fmt: skip
    else:
        page.say("Patients are known by Patient.id. If your server gives new ids at every export,")
        page.say("name an identifier that stays: identifier_system = …")


def _wait(page: Page, part: FhirPart) -> str:
    """Writes what begins the wait; its kind."""
    look = part.look
    everyone = max(len(look.people), 1)
    share = {kind: len(look.waits[kind].dated) / everyone for kind in _WAITS}
    kind = next((k for k in _WAITS if share[k] >= _MOSTLY), max(_WAITS, key=lambda k: share[k]))
    people = f"{len(look.waits[kind].dated):,} patients have a dated one"
    if kind == "CarePlan":
        page.put("entry", quoted(kind), people,
                 "" if share[kind] >= _NEARLY_ALL else
                 "that the wait begins with the care plan; who has none has no entry")  # fmt: skip
        return kind
    page.put("entry", quoted(kind), people, f"that the wait begins with the first {kind}")
    if kind in ("ServiceRequest", "Encounter"):
        codes = look.waits[kind].codes
        seen = [
            (code, display, n, bool(_WAITING.search(f"{code} {display}".lower())))
            for system in codes.systems()
            for code, display, n in codes.within(system, part.identifiers)
        ]
        meant = [one for one in seen if one[3]] or seen[:1]
        if not meant:
            raise InputError(
                f"it cannot be told which {kind} begins the wait",
                code="entry-missing",
                why=f"none of their codes is shared by {FEWEST} patients",
                hint="export CarePlan or EpisodeOfCare, or write entry_codes by hand: "
                "docs/clinic-fhir.md",
            )
        named = ", ".join(quoted(code) for code, *_ in meant)
        page.put("entry_codes", f"[{named}]", "; ".join(d for _, d, *_ in meant if d),
                 f"which {kind} begins the wait")  # fmt: skip
    return kind


def _arm_system(part: FhirPart) -> str:
    """The system most of whose patients have a code that sounds like an arm; "" for none."""
    codes = part.look.waits["CarePlan"].codes
    best, most = "", 0
    for system in codes.systems():
        if not system or not may_be_shown("", system):
            continue
        listed = codes.within(system, part.identifiers)
        meant = sum(n for code, display, n in listed if _arm(code, display)[0])
        if meant > most:
            best, most = system, meant
    return best


def _arm(code: str, display: str) -> tuple[str | None, bool]:
    by_code = arm_of(code)
    return by_code if by_code[0] or not display else arm_of(display)


def _arms(page: Page, part: FhirPart, system: str, kind: str) -> None:
    codes = part.look.waits["CarePlan"].codes
    listed = codes.within(system, part.identifiers) if system else []
    if not listed:  # protocols by address, where no category is an arm
        listed = [one for one in codes.within("", part.identifiers) if _arm(one[0], one[1])[0]]
    if not listed:
        page.say()
        page.check("no care plan is named like an arm; without [fhir.arms] patients have none, and "
                   "no study can compare them")  # fmt: skip
        if kind != "CarePlan" and part.look.waits["CarePlan"].codes.sharing.of:
            page.say("Care plans are there: name their categories in [fhir.arms].")
        return
    page.part("fhir.arms", "your code = Cairn's arm; the plan that began first decides")
    for code, display, people in listed:
        arm, sure = _arm(code, display)
        said = f"{people:,} patients" + (f"; {display}" if display and display != code else "")
        if arm is None:
            page.check(f"{quoted(code)} ({said}) is not known; add its line, or it is taken as an "
                       "arm of its own")  # fmt: skip
        else:
            page.put(code, quoted(arm), said, "" if sure else f"that {code!r} means {arm}")
    if system and (more := codes.withheld(system, part.identifiers)):
        page.check(f"{more} more codes of {system}, of fewer than {FEWEST} patients or unlike "
                   "codes, are not shown here")  # fmt: skip


def _consent(page: Page, part: FhirPart) -> None:
    look, everyone = part.look, max(len(part.look.people), 1)
    permits, refusals = look.permits, look.refusals
    any_consent = look.kinds["Consent"] > 0
    if part.consent_beside:
        page.put("consent", '"elsewhere"', "in the table [consent]",
                 "that [consent] and not the export's Consent is what counts"
                 if any_consent else "")  # fmt: skip
        return
    if not any_consent:
        nobody = "the export has no Consent: everybody counts as consenting. Where consent is kept "
        nobody += 'elsewhere, export it as a table [consent], with consent = "elsewhere" here'
        if look.synthetic:
            page.say(nobody)
        else:
            page.check(nobody)
        return
    meant: list[str] = []
    for system in permits.systems():
        meant += [
            code for code, _, n in permits.within(system, part.identifiers)
            if n >= _MOSTLY * everyone
        ]  # fmt: skip
    if meant:
        page.put("consent", '"required"', f"{len(permits.sharing.patients()):,} patients permit",
                 "that a patient without such a consent must not be in any study")  # fmt: skip
        page.put("consent_codes", f"[{', '.join(map(quoted, dict.fromkeys(meant)))}]", "",
                 "that these consents are about research")  # fmt: skip
    else:
        page.put("consent", '"unless-refused"',
                 f"{len(refusals):,} patients refuse or withdrew",
                 "that a patient without a Consent may be in a study")  # fmt: skip
    if look.unclear:
        people = f"{len(look.unclear):,} patients have a Consent that neither permits nor refuses"
        page.check(f"{people} in plain words: it never counts as a permission")


def _labels(page: Page, part: FhirPart) -> None:
    look = part.look
    if look.sensitive:
        page.say(f"{len(look.sensitive):,} patients have resources of a sensitive programme: they")
        page.say("are left out without any setting.")
    for system in look.labels.systems():
        listed = look.labels.within(system, part.identifiers)
        if listed:
            named = ", ".join(f"{code} ({n:,} patients)" for code, _, n in listed)
            page.check(f"labels in meta.security: {named}; name those of sensitive programmes in "
                       "sensitive = [...]")  # fmt: skip


def _variables(page: Page, part: FhirPart) -> None:
    facts = part.look.facts
    listed = {
        _VARIABLES[fact]: fact
        for fact in _VARIABLES
        if facts.people(fact) >= max(FEWEST, _MOSTLY * len(part.look.people))
    }
    if listed:
        inline = ", ".join(f"{name} = {quoted(fact)}" for name, fact in listed.items())
        page.put("variables", f"{{ {inline} }}", "only what studies ask")
    for url, people in facts.shared():
        if url not in _VARIABLES and may_be_shown("", url):
            name = re.sub(r"[^a-z0-9]+", "_", url.rsplit("/", maxsplit=1)[-1].lower()).strip("_")
            page.say(f"off; add it to variables if a study asks: {name} = {quoted(url)}, "
                     f"{people:,} patients")  # fmt: skip


def _codes(page: Page, part: FhirPart) -> None:
    look = part.look
    read = ", ".join(f"{name} ({n:,} patients)" for name, n in look.scores.shared())
    page.say()
    page.say(f"Read without any setting: {read or 'no instrument of five patients'}")
    totals = {
        key: name
        for system in look.totals.systems()
        for code, display, _ in look.totals.within(system, part.identifiers)
        if (name := instrument_of(display)[0]) and (key := f"{system}|{code}" if system else code)
    }
    _named(page, "fhir.codes", "your code of a total = its instrument", totals, look.totals)
    forms = {
        form: name
        for form, tail, _ in look.forms.within("", part.identifiers)
        if (name := instrument_of(tail)[0])
    }
    items = {key: at for form, name in forms.items() for key, at in _links(part, form, name)}
    if forms:
        page.part("fhir.questionnaires", "your questionnaire's address = its instrument")
        for form, name in forms.items():
            page.put(form, quoted(name), check=f"that this questionnaire is {name}")
    if items:
        page.part("fhir.items", "your linkId = the instrument and the number of its item")
        page.check("that the numbers at the end of linkIds are the items'")
        for link, place in items.items():
            page.put(link, quoted(place))
    _answers(page, part)


def _named(page: Page, part: str, why: str, named: Mapping[str, str], codes: Codes) -> None:
    if not named:
        return
    page.part(part, why)
    for key, name in named.items():
        system, _, code = key.rpartition("|")
        said = codes.display.get((system, code), "")
        page.put(key, quoted(name), said, f"that this code is {name}'s total")


def _links(part: FhirPart, form: str, name: str) -> list[tuple[str, str]]:
    """(linkId, place) of a form whose linkIds end in the numbers of all its items, each once."""
    scale = ITEM_SCALES.get(name)
    links = [link for link, _ in part.look.links[form].shared() if may_be_shown("", link)]
    found = {link: int(m[1]) for link in links if (m := _NUMBERED.fullmatch(link))}
    if scale is None or sorted(found.values()) != list(range(1, scale.items + 1)):
        return []
    ordered = sorted(found.items(), key=lambda pair: pair[1])
    return [(link, f"{name}/{number}") for link, number in ordered]


def _answers(page: Page, part: FhirPart) -> None:
    """Answers that are plain numbers stand for themselves; of others a person has to say which."""
    answers, plain, others = part.look.answers, {}, 0
    for system in {system for system, _ in answers.sharing.of}:
        for code, _, _ in answers.within(system, part.identifiers):
            if re.fullmatch(r"[0-9]{1,2}", code):
                plain[f"{system}|{code}" if system else code] = int(code)
            else:
                others += 1
    if plain:
        page.part("fhir.answers", "your answer's code = its number")
        page.check("that answers coded as numbers count as these numbers")
        for key, value in sorted(plain.items()):
            page.put(key, str(value))
    if others:
        page.check(f"{others} codes of answers have no number; if they are answers of a "
                   "questionnaire that is wanted, give theirs in [fhir.answers]")  # fmt: skip
