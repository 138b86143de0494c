"""What keeps a mapping from being proposed, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from cairn_client.readers.proposing.roles import FileLook
from cairn_protocol.errors import InputError


def shared(what: str, by_file: list[tuple[str, str | None]]) -> str | None:
    """The one value that all files share.

    Raises:
        InputError: they differ, and a mapping has one for all.
    """
    values = {value for _, value in by_file}
    if what == "encoding" and len(values) > 1 and "utf-8" in values:
        values = {v for v in values if v != "utf-8"} if _plain_enough(by_file) else values
    if len(values) > 1:
        shown = ", ".join(f"{file}: {value!r}" for file, value in by_file)
        raise InputError(
            f"the files differ in their {what}",
            code="files-differ",
            why=shown,
            hint="save them all in the same way; UTF-8, commas and decimal points need no setting",
        )
    return values.pop() if values else None


def _plain_enough(by_file: list[tuple[str, str | None]]) -> bool:
    """Whether files that look like UTF-8 may be ASCII, which every one-byte encoding reads."""
    return all(value != "utf-16" for _, value in by_file)


def trouble(found: FileLook) -> None:
    """Refuse a file of which a used column's dates cannot be read in one way."""
    for column in sorted(found.used):
        match found.looks[column].trouble:
            case "ambiguous":
                raise InputError(
                    f"{found.sample.file}: the dates in {column!r} can be read in two ways",
                    code="date-order",
                    why="no number in them is above 12, so day and month cannot be told apart",
                    hint="say which comes first: --dates day-first or --dates month-first",
                )
            case "short-years":
                raise InputError(
                    f"{found.sample.file}: the dates in {column!r} have years of two digits",
                    code="date-short-year",
                    hint="export them with four digits, best as 2024-01-31",
                )
            case "mixed":
                raise InputError(
                    f"{found.sample.file}: in {column!r} some dates begin with the day and some "
                    "with the month",
                    code="date-mixed",
                    hint="export all dates in one form, best as 2024-01-31",
                )
            case None:
                pass


def dates_differ(file: str) -> InputError:
    """One column of a file writes its dates otherwise than another."""
    return InputError(
        f"{file}: its columns of dates are not written alike",
        code="date-mixed",
        why="a table has one date_format",
        hint="export all dates in one form, best as 2024-01-31",
    )


def no_scores(looked: Iterable[FileLook], *, entry: bool = False) -> InputError:
    """Why no scores can be mapped, by the nearest thing that was found."""
    if entry:
        return InputError(
            "scores have dates, but no date of entry to the waiting list was found",
            code="entry-missing",
            why="times are weeks since entry",
            hint="add a file with one row a patient and the date of entry (Aufnahme, aanmelding, "
            "date d'entrée), or a column of weeks to the scores",
        )
    for found in looked:
        if found.spread is not None:
            why = found.spread.trouble or "no column says when they were filled in"
            return InputError(
                f"{found.sample.file} has a column for each questionnaire or item",
                code="table-wide",
                why=why,
                hint="name the columns like phq9_week4 or phq9_week4_3 (the third item), or by "
                "visit with a column of each visit's date: phq9_t1, date_t1; or write "
                "[scores.wide] by hand: docs/clinic-data.md",
            )
    seen = [
        f"{f.sample.file}: {', '.join(f'{r} {c!r}' for r, c in f.roles.items())}"
        for f in looked
        if f.roles
    ]
    return InputError(
        "no table of scores was recognised",
        code="scores-missing",
        why="; ".join(seen) or "no first line has columns such as patient, date, instrument, value",
        hint="a table of scores has a header line and the columns patient, date (or week), "
        "instrument and value; docs/clinic-data.md has an example to write mapping.toml by hand",
    )
