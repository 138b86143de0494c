"""`standing`: how the clinic stands in one word and one sentence, and what to do about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cairn_client.link_report import LinkStanding
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import keeper_pb2 as pb

SILENT_SECONDS: Final = 60.0


class Level(StrEnum):
    """How it looks; the page has a sign, a colour and a word for each."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True)
class Standing:
    """One thing's state. `why` and `remedy` are empty where nothing is to be done."""

    level: Level
    word: str
    what: str
    why: str = ""
    remedy: str = ""
    code: str = ""


def standing(
    status: pb.StatusReply | None, fault: CairnError | None, link: LinkStanding | None
) -> Standing:
    """The worst of keeper and link; `fault`: why the keeper gave no `status`."""
    if status is None:
        return _of_fault(fault)
    if status.stopped:
        return Standing(
            Level.BAD,
            "Stopped",
            "The keeper answers no study.",
            status.stopped.rstrip("."),
            "See docs/clinic-ledger.md, 'After a backup'.",
        )
    if not status.team_fingerprint:
        return Standing(
            Level.LOOK,
            "Not joined yet",
            "This clinic has joined no research team yet.",
            remedy="With the line that the team gave you: `cairn clinic join`; then `cairn clinic "
            "run`.",
        )
    return of_link(link)


def of_link(link: LinkStanding | None, now: float | None = None) -> Standing:
    """The connection to the research team's server, in the link's own word."""
    if link is None or link.state == "stopped" or not link.alive:
        return Standing(
            Level.BAD,
            "Not running",
            "The link does not run, so no study reaches this clinic.",
            remedy="Start it with `cairn clinic run`, or `systemctl start cairn-link`.",
        )
    if link.trouble:
        return Standing(
            Level.BAD,
            "No connection",
            f"The link cannot reach {link.server}.",
            link.trouble,
            link.hint,
            link.code,
        )
    if link.state != "connected":
        return Standing(Level.LOOK, "Connecting", f"The link is {link.state} to {link.server}.")
    if (time.time() if now is None else now) - link.contact > SILENT_SECONDS:
        return Standing(
            Level.LOOK,
            "Silent",
            f"{link.server} has not answered for a while.",
            remedy="It mends itself when the server is back; `cairn clinic doctor` says more.",
        )
    return Standing(Level.GOOD, "Connected", f"The link is connected to {link.server}.")


def _of_fault(fault: CairnError | None) -> Standing:
    if fault is None or fault.code == "input.keeper-unreachable":
        return Standing(
            Level.BAD,
            "Keeper does not answer",
            "The keeper does not answer, so nothing can be shown or decided.",
            fault.why if fault else "",
            "Start it with `cairn clinic run`, or `systemctl start cairn-keeper`; this page "
            "comes back by itself.",
            fault.code if fault else "",
        )
    return Standing(
        Level.BAD, "Keeper broke off", f"{_sentence(fault.what)}", fault.why, fault.hint, fault.code
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
