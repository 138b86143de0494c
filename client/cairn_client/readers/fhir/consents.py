"""`said_in`, `consent_in`: what a Consent says, in R4 by rule and provision, in R5 by decision.

A permission has to be said in plain words and without an exception, because an exception may be the
very use that is meant, and Cairn does not weigh actors, purposes and classes of data. A refusal
needs less: an opt-out is one, whatever it excepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from cairn_client.readers.fhir.elements import (
    Element,
    codings,
    concepts,
    day,
    many,
    meaning,
    one,
    text,
)
from cairn_client.readers.fhir.mapping import Fhir

UNDATED: Final = "undated"  # no date can be read from it: such a patient stays out until mended
ALWAYS: Final = "1990-01-01"  # an undated permission, which every dated refusal ends
Word = Literal["permit", "deny", "unclear", "silent"]
_SAYS: Final[dict[str, Word]] = {"permit": "permit", "deny": "deny"}
_REFUSED: Final = ("rejected", "inactive", "not-done")
# HL7 v3 ActCode, the last part of http://hl7.org/fhir/ConsentPolicy/…, and of consentpolicycodes
# the two forms that revoke. The other forms and laws there say neither in nor out.
_RULES: Final[dict[str, Word]] = {
    "optin": "permit",
    "opt-in": "permit",
    "optout": "deny",
    "optoute": "deny",
    "opt-out": "deny",
    "va-10-0484": "deny",
    "va-10-10116": "deny",
}
_CONTAINER: Final = {"id", "extension", "period", "provision"}  # of a rule that says nothing itself


class Period(NamedTuple):
    """One row of consent: from a day, until a day; a lone end is a refusal.

    `unclear`: it cannot be read, and its patient is out until it is mended.
    """

    begins: str | None
    ends: str | None
    unclear: bool = False


def said_in(consent: Element) -> Word | None:
    """What a Consent says of whatever it is about; None for a draft and the like.

    "silent" is an active one without any decision, "unclear" one with an exception to a permission
    or with a rule that is not known.
    """
    status = consent.get("status")
    if status in _REFUSED:
        return "deny"
    return _decided(consent) if status == "active" else None


def consent_in(consent: Element, fhir: Fhir) -> Period | None:
    """The row of consent that a Consent stands for; None: nothing about this use.

    Any refusal counts unless `consent_codes` says which consents are meant, and so does what may be
    one; a permission counts only among those.
    """
    pairs = concepts(consent.get("scope"), consent.get("category"))
    meant = meaning(pairs, dict.fromkeys(fhir.consent_codes, True)) is True
    said = said_in(consent)
    if said is None or (fhir.consent_codes and not meant):
        return None
    if said == "unclear" or (said == "silent" and meant):
        return Period(None, None, unclear=True)
    given = day(consent.get("dateTime")) or day(consent.get("date"))
    denies = _decided(consent) == "deny"
    period = one(consent.get("period")) or _period_of_rule(consent, denies=denies)
    begins, ends = day(period.get("start")) or given, day(period.get("end"))
    if said == "deny":
        return Period(None, (begins if denies else given or ends) or UNDATED)
    return Period(begins or ALWAYS, ends) if meant else None


def _period_of_rule(consent: Element, *, denies: bool) -> Element:
    """The period of the first provision, unless that is an exception to a refusal."""
    provision = next(iter(many(consent.get("provision"))), {})
    if denies and text(provision.get("type")) != "deny":
        return {}
    return one(provision.get("period"))


def _decided(consent: Element) -> Word:
    """What it says, whatever its status."""
    decision, rules = _word(consent.get("decision")), list(_rules(consent))
    provisions = many(consent.get("provision"))
    first = _word(provisions[0].get("type")) if provisions else None
    if "deny" in (decision, *rules) or (decision is None and first == "deny"):
        return "deny"
    # In R4 the outermost provision need not say what it is; in R5 it is an exception.
    told = [p for p in provisions if decision or p.keys() - _CONTAINER]
    said = {decision, *rules, *map(_of_provision, told), *_nested(provisions)}
    if said & {"deny", "unclear"}:
        return "unclear"
    if "permit" not in (decision, *rules, first):
        return "silent"
    return "unclear" if "silent" in said else "permit"


def _rules(consent: Element) -> Iterator[Word]:
    """What the policies say that it names: a `policyRule` has to be known, others need not be."""
    rule = consent.get("policyRule")
    if isinstance(rule, str):
        yield _named(rule) or "unclear"
    for concept in many(rule):
        if concept:
            words = {_named(code) or "unclear" for _, code in codings(concept)} or {"unclear"}
            yield from words
    uris = [policy.get("uri") for policy in many(consent.get("policy"))]
    uris.append(one(consent.get("policyBasis")).get("url"))
    named = [text(uri) or "" for uri in uris]
    named += [code for _, code in concepts(consent.get("regulatoryBasis"))]
    yield from (word for name in named if (word := _named(name)))


def _named(rule: str) -> Word | None:
    return _RULES.get(rule.strip().rstrip("/").rsplit("/", maxsplit=1)[-1].lower())


def _nested(provisions: list[Element]) -> Iterator[Word]:
    """What the provisions within provisions say, however deep."""
    waiting = [inner for p in provisions for inner in many(p.get("provision"))]
    while waiting:
        provision = waiting.pop()
        waiting += many(provision.get("provision"))
        yield _of_provision(provision)


def _of_provision(provision: Element) -> Word:
    return _word(provision.get("type")) or "silent"


def _word(value: object) -> Word | None:
    if value is None:
        return None
    return _SAYS.get(text(value) or "", "unclear")
