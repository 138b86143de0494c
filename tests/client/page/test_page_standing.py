"""How a clinic stands is said in one word, with why and what to do wherever it is not well."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from cairn_client.link_report import LinkStanding
from cairn_client.page import words
from cairn_client.page.routes_home import headline
from cairn_client.page.site import Now
from cairn_client.page.standing import Level, Standing, of_link, standing
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_protocol.proto import keeper_pb2 as pb

AWAY = InputError("the keeper cannot be reached", code="keeper-unreachable", why="no socket")
BROKE = OurFault("the keeper broke off", code="keeper-call", why="deadline", hint="see its log")
NOW = time.time()


@pytest.fixture(autouse=True)
def at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the suite has run since this module was read."""
    monkeypatch.setattr("cairn_client.page.standing.time", SimpleNamespace(time=lambda: NOW))


def link(state: str = "connected", contact: float = NOW, **more: str) -> LinkStanding:
    return LinkStanding(state, "cairn.example.org", NOW - 60, contact, pid=os.getpid(), **more)


def status(*states: str, stopped: str = "", team: str = "ab") -> pb.StatusReply:
    lines = [pb.StudyLine(state=state) for state in states]
    return pb.StatusReply(team_fingerprint=team, stopped=stopped, studies=lines)


@pytest.mark.parametrize(
    ("reply", "fault", "note", "level", "word"),
    [
        (status(), None, link(), Level.GOOD, "Connected"),
        (status(), None, link(contact=NOW - 600), Level.LOOK, "Silent"),
        (status(), None, link("connecting"), Level.LOOK, "Connecting"),
        (status(), None, link("waiting", trouble="t", hint="h"), Level.BAD, "No connection"),
        (status(), None, link("stopped"), Level.BAD, "Not running"),
        (status(), None, None, Level.BAD, "Not running"),
        (status(team=""), None, None, Level.LOOK, "Not joined yet"),
        (status(stopped="set back"), None, link(), Level.BAD, "Stopped"),
        (None, AWAY, link(), Level.BAD, "Keeper does not answer"),
        (None, BROKE, link(), Level.BAD, "Keeper broke off"),
    ],
)
def test_the_worst_of_keeper_and_link_is_told(
    reply: pb.StatusReply | None,
    fault: CairnError | None,
    note: LinkStanding | None,
    level: Level,
    word: str,
) -> None:
    told = standing(reply, fault, note)
    assert (told.level, told.word) == (level, word)
    assert told.remedy or level is Level.GOOD or word == "Connecting"


def test_a_link_that_died_is_not_running() -> None:
    gone = LinkStanding("connected", "x", NOW, NOW, pid=2**22 + 1)
    assert of_link(gone).word == "Not running"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (status(), "Ready, and no study was offered yet."),
        (status("approved"), "All is in order."),
        (status("offered", "approved"), "One study waits for your decision."),
        (status("offered", "offered"), "2 studies wait for your decision."),
        (status("offered", stopped="set back"), "The keeper answers no study."),
        (status("offered", team=""), "This clinic has joined no research team yet."),
    ],
)
def test_the_headline_is_the_one_thing_to_know(reply: pb.StatusReply, said: str) -> None:
    whole = standing(reply, None, link())
    assert headline(Now(reply, link(), whole, of_link(link()))) == said


def test_the_headline_of_a_keeper_that_is_away() -> None:
    whole: Standing = standing(None, AWAY, link())
    assert "does not answer" in headline(Now(None, link(), whole, of_link(link())))


@pytest.mark.parametrize(
    ("written", "as_is"),
    [
        (words.ago(NOW - 5, NOW), "5 seconds ago"),
        (words.ago(NOW - 90, NOW), "a minute ago"),
        (words.ago(NOW - 7200, NOW), "2 hours ago"),
        (words.ago(NOW + 50, NOW), "0 seconds ago"),
        (words.percent(0.0), "0 %"),
        (words.percent(0.004), "less than 1 %"),
        (words.percent(0.997), "more than 99 %"),
        (words.percent(1.0), "100 %"),
        (words.size(999), "999 bytes"),
        (words.size(1000), "1.0 kB"),
        (words.size(5_000_000_000), "5.0 GB"),
        (words.delta(1e-6), "1 in 1,000,000"),
        (words.delta(3e-6), "3e-06"),
        (words.count(1, "study is", "studies are"), "1 study is"),
        (words.count(2, "clinic"), "2 clinics"),
        (words.times(2), "twice"),
        (words.when(0), "never"),
        (words.sentence("docs/x.md says it"), "docs/x.md says it"),
        (words.sentence("nothing answers"), "Nothing answers"),
        (words.uncoded("[policy.x-y] no"), "no"),
        (words.prose("run `a <b>` & wait"), "run <code>a &lt;b&gt;</code> &amp; wait"),
    ],
)
def test_numbers_and_times_are_written_for_people(written: str, as_is: str) -> None:
    assert written == as_is
