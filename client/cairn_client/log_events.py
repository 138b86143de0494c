"""`EVENTS`: all that a clinic's processes write into their log, and under which keys.

A log is read by people who may see no record: administrators, a central log server. So a line is
made of what stands here and of nothing else: an event, and values under the keys that it names.
A line that is not here, and every line of a library, is withheld but for its place in the code.
An exception is told by its type and the lines of code that it passed, never by its words, which
may quote a value.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST: Final = 500  # characters of a value
FRAMES: Final = 12
_PLAIN: Final = re.compile(r"[\w.:/@+%-]+", re.ASCII)


@dataclass(frozen=True)
class Event:
    """What a message of the code is called in the log, and the key of each of its arguments."""

    name: str
    keys: tuple[str, ...] = ()


# Message → event. The keys are codes and reasons of Cairn's own errors, which name no patient;
# names of studies' questions and clinics; addresses; counts of Cairn's own doings.
EVENTS: Final[Mapping[str, Event]] = {
    "keeper of %s serves, boot %d": Event("serving", ("clinic", "boot")),
    "refused: %s: %s": Event("refused", ("code", "why")),
    "refused: %s": Event("refused", ("code",)),
    "could not answer: %s": Event("fault", ("type",)),
    "what came back cannot be used: %s": Event("returned-unusable", ("code",)),
    "could not answer the command: %s": Event("command-fault", ("type",)),
    "the page could not answer: %s": Event("page-fault", ("type",)),
    "could not compute %s: %s": Event("not-computed", ("question", "why")),
    "cannot read the clinic's files: %s; hint: %s": Event("files-unreadable", ("why", "hint")),
    "cannot read the clinic's records: %s; hint: %s": Event("records-unreadable", ("why", "hint")),
    "nothing was imported yet: the files were read; see `cairn clinic import`": Event("no-import"),
    "some rows were set aside; %s lists them": Event("rows-set-aside", ("file",)),
    "torch cannot be loaded (%s): no model can be trained": Event("no-torch", ("type",)),
    "a reviewer signed in": Event("signed-in"),
    "nobody was signed in: %s": Event("sign-in-refused", ("code",)),
    "policy.toml cannot be used: %s": Event("policy-unusable", ("code",)),
    "a reply took %d slots of %g s": Event("slow-reply", ("slots", "seconds")),
    "connected to %s as node %d": Event("connected", ("server", "node")),
    "a reply came too late: the server no longer waited for it": Event("reply-late"),
    "%s": Event("trouble", ("trouble",)),
    "still: %s": Event("trouble-still", ("trouble",)),
    "mended: %s": Event("mended", ("code",)),
    "patients whom the refused files leave out were taken from what is kept": Event("import-took"),
    "who has withdrawn could not be taken from what is kept: %s": Event("import-left", ("code",)),
    "the import broke off (status %d); what was kept stays": Event("import-failed", ("status",)),
    "the import was refused: %s": Event("import-refused", ("code",)),
    "the planned import is done": Event("import-done"),
    "the planned import was not kept; what was kept before stays": Event("import-not-kept"),
    "the history of imports cannot be read; it begins anew": Event("import-history-lost"),
    "cannot start the import: %s": Event("import-not-started", ("why",)),
    "%s; hint: %s": Event("trouble", ("trouble", "hint")),
}
_CLINIC: Final = "cairn"  # what Cairn's own loggers begin with
# The research team's side holds no record: its lines are written as they are.
_TEAM: Final = ("cairn.server", "cairn.fleet", "cairn_server")


class AllowListed(logging.Formatter):
    """Formats `time level logger event key=value …`, of `EVENTS` alone."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, with the frames of an exception after it."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        if record.name.startswith(_TEAM):
            return f"{at} {record.levelname.lower()} {record.name} {_one_line(record.getMessage())}"
        ours = record.name.partition(".")[0] == _CLINIC and isinstance(record.msg, str)
        event = EVENTS.get(record.msg) if ours else None
        values = record.args if isinstance(record.args, tuple) else ()
        if event is None or len(event.keys) != len(values):
            place = f"{Path(record.pathname).name}:{record.lineno}"
            event, values = Event("withheld", ("place",)), (place,)
        pairs = "".join(
            f" {key}={_value(value)}" for key, value in zip(event.keys, values, strict=True)
        )
        line = f"{at} {record.levelname.lower()} {record.name} {event.name}{pairs}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" exception={without_words(record.exc_info[1])}"
        return line


def without_words(error: BaseException) -> str:
    """Type and lines of code of an exception and of its causes; no message, no value."""
    told, seen = [], set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        frames = traceback.extract_tb(at.__traceback__)[-FRAMES:]
        way = ">".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        told.append(f"{type(at).__name__}@{way}" if way else type(at).__name__)
        at = at.__cause__ or at.__context__
    return "|".join(told)


def _value(value: object) -> str:
    text = str(value)[:LONGEST]
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_one_line(escaped)}"'


def _one_line(text: str) -> str:
    """Without line breaks, so that no value can pass for a line of its own."""
    return "".join(c if c.isprintable() else " " for c in text)
