"""`propose_omop`: the part `[omop]` that a database suggests, from counts of people alone."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cairn_client.readers.omop.looking import FEWEST, TOTALS
from cairn_client.readers.omop.source import run_importer
from cairn_client.readers.proposing.proposal import (
    Proposal,
    consent_in,
    forms_of,
    write_settings,
)
from cairn_client.readers.proposing.tables import write_consent
from cairn_client.readers.proposing.words import arm_of
from cairn_client.readers.proposing.writing import Page, quoted
from cairn_protocol.errors import InputError

_SECONDS = 600


def propose_omop(url_file: str, folder: Path, schema: str = "") -> Proposal:
    """The mapping that the database at the URL in `folder`/`url_file` suggests.

    Raises:
        InputError: the database cannot be read, or holds no instrument that Cairn knows.
    """
    command = [sys.executable, "-P", "-m", "cairn_client.readers.omop.importer", "--look"]
    seen = run_importer([*command, str(folder / url_file), schema], _SECONDS).seen
    codes = {str(code): int(n) for code, n in seen["instruments"].items()}
    if not codes:
        raise InputError(
            f"no instrument that Cairn knows has scores of {FEWEST} or more people there",
            code="scores-missing",
            why="looked for " + ", ".join(c for listed in TOTALS.values() for c in listed),
            hint="write mapping.toml by hand, with the codes or source values that this database "
            "has: docs/clinic-omop.md",
        )
    page = Page()
    page.say("Proposed by `cairn clinic mapping new` from an OMOP database, of counts alone.")
    page.say("Lines marked CHECK are guesses: mend or confirm them. docs/clinic-omop.md explains")
    page.say("every setting; `cairn clinic import --dry-run` says what the database gives with it.")
    page.put("cairn", "1", "the version of this format")
    if seen["synthetic"]:
        page.put("synthetic", "true", "the identifiers say so; every page then does, too")
    consent = consent_in(folder)
    forms = forms_of([consent]) if consent is not None else {}
    if consent is not None:
        write_settings(page, {"consent": consent}, forms)
    page.part("omop")
    page.put("url_file", quoted(url_file), "the database's address, of mode 0600")
    if schema:
        page.put("schema", quoted(schema))
    cohorts = _Cohorts.of(seen)
    if (without := cohorts.without_arm) > 0:
        page.put("arm_otherwise", '"waiting"', f"{without:,} of the waiting list are in no arm",
                 "that who is in none of the cohorts below only waits")  # fmt: skip
    page.part("omop.instruments", "totals, by the codes that the database has scores of")
    by_name: dict[str, list[str]] = defaultdict(list)
    for name, listed in TOTALS.items():
        by_name[name] += [code for code in listed if code in codes]
    for name, found in by_name.items():
        if found:
            people = ", ".join(f"{codes[code]:,}" for code in found)
            page.put(name, f"[{', '.join(map(quoted, found))}]", f"people with it: {people}")
    _entry_and_arms(page, cohorts, int(seen["visits"]))
    page.part("omop.variables", "Only what studies ask.")
    page.put("sex", '"gender"')
    page.put("age", '"age"', "years at entry, by the year of birth")
    found = ["an OMOP database as [omop]"]
    if consent is None:
        page.say()
        page.say("Who consents is not in OMOP. Export it as a table into this folder, and propose")
        page.say("again, or write [consent] by hand: docs/clinic-data.md.")
    else:
        write_consent(page, consent, None)
        page.check("that this table names people by person_id; if it has the clinic's own numbers, "
                   'set patient = "person_source_value" in [omop]')  # fmt: skip
        found.append(f"{consent.sample.file} as [consent]")
    return Proposal(page.text(), tuple(found), tuple(page.checks))


@dataclass(frozen=True)
class _Cohorts:
    """People by cohort: of the waiting list, and of the arms."""

    people: dict[str, int]
    waiting: list[str]
    arms: dict[str, tuple[str, bool]]

    @classmethod
    def of(cls, seen: Any) -> Self:
        people = {str(name): int(n) for name, n in seen["cohorts"].items()}
        meant = {name: arm_of(name) for name in people}
        arms = {
            name: (arm, sure)
            for name, (arm, sure) in meant.items()
            if arm is not None and arm != "waiting"
        }
        return cls(people, [name for name in people if meant[name][0] == "waiting"], arms)

    @property
    def without_arm(self) -> int:
        """How many of the one waiting list are in no arm's cohort, at least; 0 where there is no
        such list or no arm."""
        if len(self.waiting) != 1 or not self.arms:
            return 0
        return max(0, self.people[self.waiting[0]] - sum(self.people[name] for name in self.arms))


def _entry_and_arms(page: Page, cohorts: _Cohorts, visits: int) -> None:
    people, waiting = cohorts.people, cohorts.waiting
    page.part("omop.entry", "Weeks are counted from a person's first such event.")
    if len(waiting) == 1:
        page.put("cohort", quoted(waiting[0]), f"people in it: {people[waiting[0]]:,}",
                 "that this cohort begins with the entry to the waiting list")  # fmt: skip
    else:
        page.put("table", '"visit_occurrence"', f"people with one: {visits:,}",
                 "the first visit of any kind stands for the entry; better give a cohort or a "
                 "visit's concept")  # fmt: skip
    if cohorts.arms:
        page.part("omop.arms", "The first of these on or after the entry decides.")
    for name, (arm, sure) in cohorts.arms.items():
        first = next(other for other, (named, _) in cohorts.arms.items() if named == arm)
        if name != first:
            page.check(f"the cohort {name!r} may be {arm}, too; give it an arm of its own")
        else:
            page.put(arm, f"{{ cohort = {quoted(name)} }}", f"people in it: {people[name]:,}",
                     "" if sure else f"that {name!r} means {arm}")  # fmt: skip
    if not cohorts.arms:
        page.say()
        page.check("no cohort is named like an arm; without [omop.arms] patients have none, and "
                   "no study can compare them")  # fmt: skip
