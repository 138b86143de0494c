"""`FAULTS`: every fault that a row or a table can have, with its words and its remedy.

`{file}`, `{column}` and the like are filled in with names from the mapping and public limits, never
with what a row holds. docs/clinic-data.md lists the same codes; a test keeps the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """What is wrong, what to do, and whether the row is set aside."""

    what: str
    remedy: str
    quarantined: bool = True


FAULTS: Final[dict[str, Fault]] = {
    "table-empty": Fault(
        "the file has a header and no rows", "export it again, or leave the table out", False
    ),
    "row-too-long": Fault(
        "the row is longer than 1 MiB",
        "look for a quote that is never closed, or leave free text out of the export",
    ),
    "nul-byte": Fault(
        "the row holds a NUL byte", "export the file again as text; NUL bytes are a sign of damage"
    ),
    "not-decodable": Fault(
        "the row holds bytes that are not {encoding}",
        "save the file as UTF-8, or name its encoding in mapping.toml: "
        'encoding = "latin-1" (or "cp1252", for files from Windows)',
    ),
    "quote-open": Fault(
        "a quote in the row is never closed or stands inside a field",
        'close it, or write a quote within a field twice: "say ""yes"""',
    ),
    "rows-in-quotes": Fault(
        "the row's quoted text runs over lines that look like rows themselves",
        "check that the quote is closed where it should be; if it is, there is nothing to do",
        False,
    ),
    "row-ragged": Fault(
        "the row does not have {width} fields as the header has",
        "quote fields that hold the separator, a decimal comma among them",
    ),
    "patient-missing": Fault("the row names no patient", "fill in the column {column}"),
    "patient-too-long": Fault(
        "the patient's identifier is longer than 128 characters",
        "check that the column {column} holds identifiers",
    ),
    "patient-twice": Fault(
        "the patient has an earlier row that says otherwise; the first one is used",
        "keep one row a patient",
    ),
    "patient-unknown": Fault(
        "the row's patient is not among the usable rows of the patients' file",
        "add the patient there, or mend the patient's row if it was set aside",
    ),
    "duplicate-row": Fault(
        "the row repeats an earlier one and is counted once",
        "nothing to do, unless repeats are a surprise",
        False,
    ),
    "arm-unknown": Fault(
        "the arm is not one that the mapping names",
        'add the word to [patients.arms] in mapping.toml: "the word" = "the arm"',
    ),
    "variable-not-a-number": Fault(
        "the value is not a number and counts as missing",
        "mend it, or map the column as words: {variable} = {column}",
        False,
    ),
    "variable-free-text": Fault(
        "the value is longer than 64 characters and counts as missing",
        "map a column that holds short words; free text is never used",
        False,
    ),
    "date-unreadable": Fault(
        "the date cannot be read",
        'write dates as 2024-01-31, or name their form in mapping.toml: date_format = "%d/%m/%Y"',
    ),
    "date-implausible": Fault("the date is not between 1990 and 2100", "mend the date"),
    "discharge-before-entry": Fault(
        "the discharge is before the entry to the waiting list", "mend one of the two dates"
    ),
    "consent-backwards": Fault(
        "the consent ends before it begins; the patient is out until this is mended",
        "mend one of the two dates",
    ),
    "consent-damaged": Fault(
        "the line is damaged and may be a withdrawal or a tag of a sensitive programme; whom it "
        "names is out until it is mended",
        "mend the line; what is wrong with it stands beside this",
        False,
    ),
    "row-sensitive": Fault(
        "the row is tagged as of a sensitive programme",
        "nothing to do: such records are left out",
    ),
    "entry-missing": Fault(
        "the row has a date, but the patient has no date of entry to count weeks from",
        "fill in the patient's entry in the patients' file",
    ),
    "time-missing": Fault("the row has no time", "fill in the column {column}"),
    "time-before-entry": Fault(
        "the row is more than {weeks:g} weeks before the entry to the waiting list",
        "mend the time or the entry, or set earliest_week in mapping.toml",
    ),
    "time-too-late": Fault(
        "the row is more than {weeks:g} weeks after the entry to the waiting list",
        "mend the time or the entry, or set latest_week in mapping.toml",
    ),
    "week-not-whole": Fault(
        "the week is not a whole number", "write the number of the week: 0, 1, 2, …"
    ),
    "instrument-missing": Fault("the row names no instrument", "fill in the column {column}"),
    "instrument-unknown": Fault(
        "the instrument {shown} is not one that the mapping or Cairn names",
        'if it is your code for an instrument that Cairn knows, add {quoted} = "its name" to '
        "[scores.codes] in mapping.toml; if no study needs it, add {quoted} to scores.ignore",
    ),
    "instrument-of-a-study": Fault(
        "the mapping names {instrument}, which is no instrument of Cairn's: its scores are kept "
        "only for a study that brings it",
        "nothing to do if a study here does; if the name is mistyped, mend it in mapping.toml: "
        "Cairn's are {known}",
        False,
    ),
    "measure-missing": Fault("the row names no measure", "fill in the column {column}"),
    "measure-unknown": Fault(
        "the measure is not one of Cairn's",
        'map the clinic\'s word in mapping.toml, [{table}.measures]: "the word" = "{known}"',
    ),
    "number-missing": Fault(
        "the column {column} is empty", "fill it in, or leave the row out if nothing was measured"
    ),
    "number-not-finite": Fault(
        "the column {column} is not a finite number", "leave out rows without a measurement"
    ),
    "decimal-comma": Fault(
        "the column {column} has a decimal comma",
        'set decimal = "," in mapping.toml, or write a decimal point',
    ),
    "decimal-point": Fault(
        "the column {column} has a decimal point, and the mapping says comma",
        'set decimal = "." in mapping.toml, or write a decimal comma',
    ),
    "thousand-separator": Fault(
        "the column {column} has what may be a thousand separator or the other decimal mark",
        'write numbers without thousand separators; decimal = "," in mapping.toml says that '
        "the comma is the decimal mark",
    ),
    "number-unreadable": Fault(
        "the column {column} is not a number", "write a plain number, such as 12 or 12.5"
    ),
    "score-out-of-range": Fault(
        "the score is outside {instrument}'s range {lowest:g} to {highest:g}",
        "mend the score, or the instrument's code if it is another questionnaire",
    ),
    "score-not-whole": Fault(
        "a {instrument} score is a whole number, and this one is not",
        "check the score; it is used as it stands",
        False,
    ),
    "value-out-of-range": Fault(
        "a value of {measure} is outside {lowest:g} to {highest:g}", "mend the value or its unit"
    ),
    "coverage-out-of-range": Fault(
        "the coverage is not between 0 and 1",
        "write the share of days with data: 0.71, not 71 %",
    ),
    "value-twice": Fault(
        "an earlier row has another value for the same patient, time and measure; it is used",
        "keep the right one",
    ),
    "item-unknown": Fault(
        "the item is not one of {instrument}'s {items}",
        "write the item's number, or map the clinic's code in [scores.items]; "
        "leave the item empty in rows that hold a total",
    ),
    "items-unsupported": Fault(
        "Cairn does not make {instrument} totals from items",
        "export the total, as a row with an empty item",
    ),
    "item-out-of-range": Fault(
        "the answer is not a whole number from 0 to {highest}", "mend the answer"
    ),
    "items-incomplete": Fault(
        "the total cannot be made: items are missing in the group that begins here",
        "complete the items, export the total, or allow pro-rating with prorate = true "
        "(PHQ-9 up to 2 but never item 9, GAD-7 up to 1)",
    ),
    "total-without-items": Fault(
        "some items of this total are missing; the clinic's total is used as it stands",
        "export all items, or the totals alone",
        False,
    ),
    "total-disagrees": Fault(
        "the total differs from the sum of its items; the sum is used",
        "check how the clinic's system makes totals",
        False,
    ),
    "resource-too-long": Fault(
        "the resource is longer than 16 MiB", "leave attachments out of the export"
    ),
    "resource-too-deep": Fault(
        "the resource is nested too deeply", "export it again; no FHIR resource is so deep"
    ),
    "not-json": Fault(
        "the line or entry is not a whole JSON object",
        "export the file again; a last line at fault is the sign of an export that broke off",
    ),
    "value-unusable": Fault(
        "{column} is there more than once, or is no number, text or code",
        "mend it where it was entered",
    ),
    "value-not-exact": Fault(
        "{column} has a comparator such as < or >", "export measured values; bounds are not used"
    ),
    "answer-unknown": Fault(
        "the answer's code is not one that the mapping or Cairn names",
        'add it to [fhir.answers] in mapping.toml: "the code" = 2',
    ),
    "unit-unknown": Fault(
        "the unit of {column} is missing or not one that Cairn knows",
        "export UCUM units; docs/clinic-fhir.md lists those that are read",
    ),
    "arm-twice": Fault(
        "the patient has an earlier care plan of another arm, which is used",
        "leave codes that are no arm out of [fhir.arms]",
        False,
    ),
    "consent-unresolved": Fault(
        "the consent is of a patient whom the export lacks",
        "export the Patient resources of the same patients, with the same identifiers",
    ),
    "consent-unclear": Fault(
        "the consent neither permits nor refuses in plain words: it has exceptions, a rule that "
        "Cairn does not know, or no decision; the patient is out until this is mended",
        "record what the patient decided on research as a Consent of its own, without exceptions; "
        "docs/clinic-fhir.md lists what is read",
    ),
}
