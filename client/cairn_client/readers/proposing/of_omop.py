"""`propose_omop`: the part `[omop]` that a database suggests, from counts of people alone."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from cairn_client.readers.omop.looking import FEWEST, TOTALS
from cairn_client.readers.omop.source import run_importer
from cairn_client.readers.proposing.proposal import Proposal
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
    page.part("omop")
    page.put("url_file", quoted(url_file), "the database's address, of mode 0600")
    if schema:
        page.put("schema", quoted(schema))
    page.part("omop.instruments", "totals, by the codes that the database has scores of")
    by_name: dict[str, list[str]] = defaultdict(list)
    for name, listed in TOTALS.items():
        by_name[name] += [code for code in listed if code in codes]
    for name, found in by_name.items():
        if found:
            people = ", ".join(f"{codes[code]:,}" for code in found)
            page.put(name, f"[{', '.join(map(quoted, found))}]", f"people with it: {people}")
    _entry_and_arms(page, seen)
    page.part("omop.variables", "Only what studies ask.")
    page.put("sex", '"gender"')
    page.put("age", '"age"', "years at entry, by the year of birth")
    return Proposal(page.text(), ("an OMOP database as [omop]",), tuple(page.checks))


def _entry_and_arms(page: Page, seen: Any) -> None:
    cohorts = {str(name): int(n) for name, n in seen["cohorts"].items()}
    meant = {name: arm_of(name) for name in cohorts}
    waiting = [name for name in cohorts if meant[name][0] == "waiting"]
    page.part("omop.entry", "Weeks are counted from a person's first such event.")
    if len(waiting) == 1:
        page.put("cohort", quoted(waiting[0]), f"people in it: {cohorts[waiting[0]]:,}",
                 "that this cohort begins with the entry to the waiting list")  # fmt: skip
    else:
        page.put("table", '"visit_occurrence"', f"people with one: {int(seen['visits']):,}",
                 "the first visit of any kind stands for the entry; better give a cohort or a "
                 "visit's concept")  # fmt: skip
    arms = [name for name in cohorts if meant[name][0] and name not in waiting]
    if arms:
        page.part("omop.arms", "The first of these on or after the entry decides.")
    for name in arms:
        arm, sure = meant[name]
        several = [other for other in arms if meant[other][0] == arm]
        if len(several) > 1 and name != several[0]:
            page.check(f"the cohort {name!r} may be {arm}, too; give it an arm of its own")
        else:
            page.put(str(arm), f"{{ cohort = {quoted(name)} }}", f"people in it: {cohorts[name]:,}",
                     "" if sure else f"that {name!r} means {arm}")  # fmt: skip
    if not arms:
        page.say()
        page.check("no cohort is named like an arm; without [omop.arms] patients have none, and "
                   "no study can compare them")  # fmt: skip
