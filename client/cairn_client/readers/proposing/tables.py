"""The parts `[scores]`, `[patients]`, `[engagement]` and `[wearables]` of a proposal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import polars as pl

from cairn_client.readers.proposing.columns import FEWEST, shown
from cairn_client.readers.proposing.roles import FileLook, TableName, variables
from cairn_client.readers.proposing.spread import Spread
from cairn_client.readers.proposing.words import (
    PRIVATE,
    arm_of,
    instrument_of,
    plain,
    says_sensitive,
)
from cairn_client.readers.proposing.writing import Page, key, quoted
from cairn_client.readers.scales import ENGAGEMENT_RANGES, WEARABLE_RANGES
from cairn_client.readers.values import folded_word
from cairn_models.measures import INSTRUMENTS

CONSENT = ("consent_begins", "consent_ends")
_ARMS = {"waiting", "treatment_as_usual", "self_help_book", "dmhi_unguided", "dmhi_guided",
         "blended", "face_to_face"}  # fmt: skip


def write_scores(page: Page, found: FileLook, form: str | None) -> None:
    """`[scores]` with its codes, and what cannot be told of them."""
    _start(page, "scores", found, form)
    if found.spread is not None:
        write_spread(page, found, found.spread)
        return
    _time(page, found)
    if found.instrument is not None:
        named = found.roles["value"]
        page.put("instrument_is", quoted(found.instrument), f"as the column {named!r} is called")
    else:
        unsure = "instrument" in found.unsure
        guess = "this column was found by its values, which name instruments" if unsure else ""
        page.put("instrument", quoted(found.roles["instrument"]), check=guess)
    page.put("value", quoted(found.roles["value"]))
    _range_checks(page, found)
    if "item" in found.roles and found.values("item").drop_nulls().len():
        guess = "that rows of single answers have the item's number here, and totals nothing"
        page.put("item", quoted(found.roles["item"]), check=guess)
    if found.instrument is None:
        _codes(page, found)


def write_spread(page: Page, found: FileLook, spread: Spread) -> None:
    """`[scores.wide]`: what each column holds, and when it was."""
    columns = spread.columns
    if not any(c.week is not None or c.date for c in columns.values()):
        _time(page, found)
    _range_of_columns(page, found, spread)
    page.part("scores.wide", "your column = what it holds; an empty cell is no score")
    if any(c.item for c in columns.values()):
        page.check("that the numbers in these names are the items'")
    if any(not c.sure for c in columns.values()):
        page.check("that the first visit is week 0, the entry to the waiting list")
    if any(c.letter for c in columns.values()):
        page.check("that w4 is week 4 and m3 month 3 after entry, not the fourth or third visit")
    for name, column in columns.items():
        place = column.instrument + (f"/{column.item}" if column.item else "")
        if column.week is not None:
            page.put(name, f"{{ instrument = {quoted(place)}, week = {column.week:g} }}")
        elif column.date is not None:
            page.put(name, f"{{ instrument = {quoted(place)}, date = {quoted(column.date)} }}")
        else:
            page.put(name, quoted(place))


def _range_of_columns(page: Page, found: FileLook, spread: Spread) -> None:
    """Say of which instruments totals lie outside the range; no value is shown."""
    outside = set()
    for name, column in spread.columns.items():
        text = found.sample.column(name).str.replace(",", ".", literal=True)
        numbers = text.cast(pl.Float64, strict=False).drop_nulls()
        scale = INSTRUMENTS[column.instrument]
        if column.item is None and not numbers.is_between(scale.lowest, scale.highest).all():
            outside.add(f"{scale.name} ({scale.lowest:g} to {scale.highest:g})")
    _say_outside(page, outside)


def write_patients(
    page: Page, found: FileLook, form: str | None, *, consent_beside: bool = False
) -> None:
    """`[patients]` with arms and variables; other columns are named as left out.

    Args:
        consent_beside: whether a table of its own says who consents.
    """
    _start(page, "patients", found, form)
    for role in ("entry", "discharge", *(() if consent_beside else CONSENT)):
        if role in found.roles:
            unsure = "the only date here: is it the entry to the waiting list?"
            page.put(role, quoted(found.roles[role]),
                     check=unsure if role in found.unsure else "")  # fmt: skip
    if "arm" in found.roles:
        _arms(page, found)
    listed = variables(found)
    others = [n for n in found.looks if n not in {*found.used, *listed.values()}]
    private = [n for n in others if plain(n) in PRIVATE]
    if private:
        page.say(f"Left out, never read: {', '.join(private)}")
    if listed or others:
        page.part("patients.variables", "Only what studies ask; a column not named is not read.")
    for name, column in listed.items():
        page.put(name, _variable(found, column))
    for column in others:
        if column not in private and found.looks[column].kind in ("number", "words"):
            name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_") or "variable"
            page.leave(name if name[0].isalpha() else f"v_{name}", _variable(found, column),
                       "off; take the # away if a study asks for it")  # fmt: skip


def write_consent(page: Page, found: FileLook, form: str | None) -> None:
    """`[consent]`: one row a period of consent, or an end of it."""
    _start(page, "consent", found, form)
    begins, ends = (found.roles.get(f"consent_{role}") for role in ("begins", "ends"))
    if begins is not None:
        page.put("begins", quoted(begins), "from that day; an empty cell is no consent")
    else:
        page.say("No column says when consent begins: every row is consent until it ends.")
    if ends is not None:
        page.put("ends", quoted(ends), "the first day without it")
    else:
        page.check("no column says when consent ends; how is a withdrawal written down?")
    for name, how in found.looks.items():
        if name not in found.roles.values() and how.kind == "words" and plain(name) not in PRIVATE:
            page.check(f"the column {name!r} is not read: does it say who consents or for what? "
                       "Then export only the rows that mean consent to research")  # fmt: skip


def write_rows(page: Page, name: TableName, found: FileLook, form: str | None) -> None:
    """`[engagement]` or `[wearables]`."""
    if name == "wearables" and "coverage" not in found.roles:
        page.say()
        page.check(f"{found.sample.file} looks like wearables but has no column of coverage, the "
                   "share of days with data; it is left out")  # fmt: skip
        return
    _start(page, name, found, form)
    _time(page, found)
    for role in ("measure", "value", *(["coverage"] if name == "wearables" else [])):
        page.put(role, quoted(found.roles[role]))
    known = ENGAGEMENT_RANGES if name == "engagement" else WEARABLE_RANGES
    by_word = {plain(word): word for word in known}
    _words(
        page,
        f"{name}.measures",
        found,
        role="measure",
        known=known,
        meaning=lambda word: (by_word.get(plain(word)), True),
    )


def _start(page: Page, name: TableName, found: FileLook, form: str | None) -> None:
    page.part(name)
    page.put("file", quoted(found.sample.file))
    column = found.roles["patient"]
    vague = plain(column) in ("id", "code", "pid")
    guess = "that this is the patient's identifier, and the same in every file" if vague else ""
    page.put("patient", quoted(column), check=guess)
    if form:
        page.put("date_format", quoted(form), "as the dates of this file are written")
    if name != "consent":
        _sensitive(page, found)


def _sensitive(page: Page, found: FileLook) -> None:
    """The column that tags a sensitive programme; a question where only words sound like one."""
    if "sensitive" in found.roles:
        page.put("sensitive", quoted(found.roles["sensitive"]),
                 "left out: rows with anything but an empty cell or a plain no")  # fmt: skip
        return
    for column, how in found.looks.items():
        if how.kind != "words" or column == found.roles.get("instrument"):
            continue
        seen = shown(found.sample.column(column), found.values("patient"))
        named = [word for word in seen.words if says_sensitive(word)]
        if named:
            page.check(
                f"{', '.join(map(repr, named))} in {column!r}: is that a sensitive programme "
                "(substance use, 42 CFR Part 2)? Then export a column that tags it, and name it "
                "here: sensitive = ..."
            )


def _time(page: Page, found: FileLook) -> None:
    role = next((r for r in ("week", "month", "date") if r in found.roles), None)
    if role is not None:
        unsure = "the only date here: is it the day of the score?"
        page.put(role, quoted(found.roles[role]), "weeks since entry" if role == "week" else "",
                 unsure if role in found.unsure else "")  # fmt: skip


def _codes(page: Page, found: FileLook) -> None:
    column = found.values("instrument")
    seen = shown(column, found.values("patient"))
    unknown = [w for w in seen.words if instrument_of(w)[0] is None]
    if unknown:
        page.put("ignore", f"[{', '.join(map(quoted, unknown))}]",
                 check="Cairn does not know these codes and would leave them out; move those that "
                 "are known instruments to [scores.codes]")  # fmt: skip
    _words(
        page,
        "scores.codes",
        found,
        role="instrument",
        known=INSTRUMENTS,
        meaning=instrument_of,
        ignored=unknown,
    )


def _arms(page: Page, found: FileLook) -> None:
    page.put("arm", quoted(found.roles["arm"]))
    _words(page, "patients.arms", found, role="arm", known=_ARMS, meaning=arm_of)


def _words(
    page: Page,
    part: str,
    found: FileLook,
    *,
    role: str,
    known: Iterable[str],
    meaning: Callable[[str], tuple[str | None, bool]],
    ignored: list[str] | None = None,
) -> None:
    """A table of the clinic's words, where some differ from Cairn's."""
    seen = shown(found.values(role), found.values("patient"))
    own = {folded_word(w) for w in known}
    said = [w for w in seen.words if folded_word(w) not in own and w not in (ignored or [])]
    if said:
        page.part(part, "your word = Cairn's")
    for word in said:
        meant, sure = meaning(word)
        if meant is None:
            page.check(f"{key(word)} is not known; add its line, or its rows are set aside")
        else:
            page.put(word, quoted(meant), check="" if sure else f"that {word!r} means {meant}")
    if seen.withheld and _unmapped(found, role, seen.words, own):
        page.check(f"{seen.withheld} more words in {found.roles[role]!r}, of fewer than {FEWEST} "
                   "patients or unlike codes, are not shown here")  # fmt: skip


def _unmapped(found: FileLook, role: str, words: tuple[str, ...], own: set[str]) -> bool:
    known = {folded_word(w) for w in words} | own
    everything = found.values(role).drop_nulls().unique().to_list()
    return any(folded_word(word) not in known for word in everything)


def _range_checks(page: Page, found: FileLook) -> None:
    """Say of which instruments values lie outside the range; no value is shown."""
    number = (
        found.values("value").str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    )
    names = (
        pl.Series([found.instrument] * number.len())
        if found.instrument
        else found.values("instrument")
    )
    frame = pl.DataFrame({"word": names, "number": number})
    if "item" in found.roles:
        frame = frame.filter(found.values("item").is_null())
    outside: set[str] = set()
    for word, lowest, highest in (
        frame.drop_nulls()
        .group_by("word")
        .agg(low=pl.col("number").min(), high=pl.col("number").max())
        .rows()
    ):
        name = found.instrument or instrument_of(word)[0]
        if name is not None:
            scale = INSTRUMENTS[name]
            if lowest < scale.lowest or highest > scale.highest:
                outside.add(f"{name} ({scale.lowest:g} to {scale.highest:g})")
    _say_outside(page, outside)


def _say_outside(page: Page, outside: set[str]) -> None:
    if outside:
        page.check(f"some scores are outside the range of {', '.join(sorted(outside))}: is it "
                   "another questionnaire, or a code for missing answers?")  # fmt: skip


def _variable(found: FileLook, column: str) -> str:
    if found.looks[column].kind == "number":
        return f"{{ column = {quoted(column)}, number = true }}"
    return quoted(column)
