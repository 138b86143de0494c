"""Expected courses and lists of patients as text, for the reviewer who signed in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cairn_protocol.proto import results_pb2 as pb

TITLES = {
    "current": "Current patients",
    "not seen": "Not seen for long",
    "worse": "Scores reliably worse than at first",
}


def lists_text(lists: Mapping[str, pb.PersonsReply], flags: pb.FlagsReply, at: str) -> str:
    """The lists, each with who is on it and by which day it is ordered."""
    return "\n".join(_lists(lists, flags, at))


def course_text(reply: pb.CourseReply) -> str:
    """A patient's scores and expected course."""
    return "\n".join(_course(reply))


def flag_text(flag: pb.Flag) -> str:
    """A flag with its basis, and who looked at it."""
    return "\n".join(_flag(flag))


def _lists(lists: Mapping[str, pb.PersonsReply], flags: pb.FlagsReply, at: str) -> Iterator[str]:
    yield flags.caption
    yield from _advice(person for reply in lists.values() for person in reply.persons)
    for name, reply in lists.items():
        yield ""
        yield f"{TITLES[name]}, {reply.order}"
        yield f"  {reply.definition}"
        if not reply.persons:
            yield "  nobody"
        for person in reply.persons:
            seen = f", last seen {person.last_seen}" if person.last_seen and not person.why else ""
            arm = f", {person.arm}" if person.arm else ""
            why = f": {person.why}" if person.why else ""
            yield f"  {person.patient:<20} entered {person.entered or 'unknown'}{arm}{seen}{why}"
            yield from _nine(person)
    yield ""
    yield f"Not on track, {flags.order}"
    yield f"  {flags.definition}"
    if not flags.flags:
        yield "  nobody is flagged, which says nothing about anybody"
    for flag in flags.flags:
        yield from (f"  {line}" for line in _flag(flag))
    yield ""
    yield f"Next   one patient's course    cairn clinic courses PATIENT{at}"
    yield f"       you looked at a flag    cairn clinic courses --acknowledge ID{at}"


def _course(reply: pb.CourseReply) -> Iterator[str]:
    person = reply.person
    yield reply.caption
    yield from _advice([person])
    yield ""
    yield f"{person.patient}, entered {person.entered or 'unknown'}, {person.arm or 'no arm'}"
    yield from _nine(person)
    for score in reply.scores:
        where = f"{score.day or 'day unknown':<12} week {score.week:<5g}"
        yield f"  {where} {score.scale} {score.value:g}"
    yield ""
    yield f"Expected by the model of {reply.model}; it saw {reply.basis}."
    if reply.missing:
        yield f"  Nothing: {reply.missing}."
    for one in reply.expected:
        bands = "bands not shown to hold"
        if one.HasField("low80"):
            bands = f"80 % {one.low80:.1f} to {one.high80:.1f}"
            bands += f", 95 % {one.low95:.1f} to {one.high95:.1f}"
        where = f"{one.day or 'day unknown':<12} week {one.week:<5}"
        yield f"  {where} {one.scale} {one.median:.1f}   {bands}"
    for flag in reply.flags:
        yield ""
        yield from _flag(flag)


def _flag(flag: pb.Flag) -> Iterator[str]:
    yield f"{flag.id}  {flag.patient}, {flag.day or 'day unknown'}: not on track"
    yield f"  {flag.basis}"
    if flag.reviewer:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(flag.acknowledged_at))
        yield f"  {flag.reviewer} looked at it on {when}"
    else:
        yield f"  {flag.ask}"
    yield from _nine(flag)


def _nine(shown: pb.PersonLine | pb.Flag) -> Iterator[str]:
    if shown.HasField("item_nine"):
        nine = shown.item_nine
        yield f"    PHQ-9 item 9: {nine.answer} on {nine.day or 'an unknown day'}"


def _advice(persons: Iterable[pb.PersonLine]) -> Iterator[str]:
    """What to do about item 9, once, where anybody's is above 0."""
    told = {p.item_nine.advice for p in persons if p.HasField("item_nine")}
    yield from (line for advice in sorted(told) for line in ("", advice))
