"""`Readiness`: how ready a clinic's data are for a study, as facts of one import.

Exact numbers, for the clinic alone. The importer makes them; pages and commands only show them, so
that nobody who looks needs a record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cairn_client.free_text import free_text_variables
from cairn_client.readers import Import
from cairn_client.readiness.faults import FaultRows, fault_rows
from cairn_client.readiness.people import (
    Group,
    NumberFacts,
    StudyFit,
    consent_counts,
    groups,
    numbers,
    study_fits,
)
from cairn_client.readiness.scores import InstrumentFacts, instrument_facts
from cairn_models.records import TimeUnit
from cairn_protocol.study import Study


@dataclass(frozen=True)
class ConsentFacts:
    """Whose records may be used, in numbers.

    Args:
        named: whether the mapping names consent; otherwise everybody consents.
        consenting: patients whose records are used.
        left_out: patients by the reason why theirs are not.
        sensitive_rows: rows of other patients that were set aside for a sensitive programme.
        free_text_cells: cells of variables that were too long to be a word.
        free_text: variables that hold free text, for which an import is refused.
    """

    named: bool
    consenting: int
    left_out: dict[str, int]
    sensitive_rows: int
    free_text_cells: int
    free_text: tuple[str, ...]


@dataclass(frozen=True)
class Attention:
    """Something that needs a look, and the part of the page that says more; "" for none."""

    words: str
    place: str = ""


@dataclass(frozen=True)
class Readiness:
    """The facts of one import, for a page or for numbers.

    Args:
        day: on which consent and the length of follow-up were judged.
        rows: kept, by table but the patients'.
        studies: how each approved study fits; None: they are not known.
        aside: rows that were set aside.
        tallies: what the import says of itself, such as duplicates merged.
    """

    clinic: str
    day: date
    synthetic: bool
    time_unit: TimeUnit
    patients: int
    rows: dict[str, int]
    without_entry: int
    without_arm: int
    without_scores: int
    instruments: tuple[InstrumentFacts, ...]
    groups: tuple[Group, ...]
    numbers: tuple[NumberFacts, ...]
    consent: ConsentFacts
    studies: tuple[StudyFit, ...] | None
    faults: tuple[FaultRows, ...]
    aside: int
    tallies: dict[str, int]

    @property
    def small(self) -> tuple[Group, ...]:
        """Groups that are too small for anything to be released of them alone."""
        return tuple(group for group in self.groups if group.small)

    @property
    def attention(self) -> tuple[Attention, ...]:
        """What needs a look, in sentences."""
        of = f"of {self.patients:,} patients"
        said = [] if self.patients else [Attention("No patient can be used.")]
        if self.consent.free_text:
            names = ", ".join(self.consent.free_text)
            said.append(Attention(f"free text is mapped as a variable: {names}", "consent"))
        if self.aside:
            rows = "1 row was" if self.aside == 1 else f"{self.aside:,} rows were"
            said.append(Attention(f"{rows} set aside", "faults"))
        if self.without_entry:
            said.append(Attention(f"{self.without_entry:,} {of} have no date of entry", "groups"))
        if self.without_arm:
            said.append(Attention(f"{self.without_arm:,} {of} have no arm", "groups"))
        if self.without_scores:
            said.append(Attention(f"{self.without_scores:,} {of} have no score at all", "scores"))
        for facts in self.instruments:
            said += [Attention(f"{facts.name}, {words}", "scores") for words in facts.drift]
        if self.small:
            count = len(self.small)
            groups = "1 group is" if count == 1 else f"{count} groups are"
            said.append(Attention(f"{groups} of fewer than 10 patients", "groups"))
        for fit in self.studies or ():
            said += [Attention(f"{fit.title}: {fault}", "studies") for fault in fit.faults]
        return tuple(said)

    def without_rows(self) -> Readiness:
        """The same for somebody who may not see which rows are at fault."""
        return replace(self, faults=tuple(fault.without_rows() for fault in self.faults))


def readiness(
    name: str,
    data: str,
    read: Import,
    studies: Sequence[Study] | None,
    day: date,
    *,
    read_for: Callable[[Study], Import | None] | None = None,
) -> Readiness:
    """The facts of what was read for the clinic called `name`.

    Args:
        data: what kind it is, by the clinic's own word (`ClinicConfig.data`).
        studies: those that the clinic has approved; None: not known.
        read_for: what was read with a study's own instruments; None: `read` is all there is.
    """
    records = read.records
    return Readiness(
        clinic=name,
        day=day,
        synthetic=read.synthetic or data == "synthetic",
        time_unit=records.time_unit,
        patients=len(records),
        rows={t: getattr(records, t).height for t in ("scores", "engagement", "wearables")},
        without_entry=records.patients["entry"].null_count(),
        without_arm=records.patients["arm"].null_count(),
        without_scores=len(records) - records.scores["patient"].n_unique(),
        instruments=instrument_facts(records, day),
        groups=groups(records),
        numbers=numbers(records),
        consent=ConsentFacts(
            named=read.consent.periods is not None,
            consenting=len(records),
            left_out=dict(consent_counts(read)),
            sensitive_rows=read.counts.get("row-sensitive", 0),
            free_text_cells=read.counts.get("variable-free-text", 0),
            free_text=tuple(name for name, _ in free_text_variables(read)),
        ),
        studies=None if studies is None else study_fits(read, studies, read_for),
        faults=fault_rows(read),
        aside=read.quarantine.height,
        tallies=dict(read.tallies),
    )
