"""A clinic whose page has something to show: studies, a round answered, a budget partly spent."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.link_report import note
from cairn_client.page.entry import EntryKey
from cairn_client.page.services import REVIEWERS
from cairn_client.page.serving import serve_page
from cairn_client.sockets import Sockets
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import Message, Offer, decode
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import reviewers_pb2 as reviewers
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import NAMES, STUDY, Bench, write_clinic
from webdriver import ENTER, Browser

PEOPLE = ("Ada Lovelace", "Grace Hopper")
PASSWORD = "a long word for the tests only"

WAITING = STUDY.replace('name = "tiny"', 'name = "waiting-and-digital-help"').replace(
    'title = "A tiny study"',
    'title = "Does a digital programme help people who wait for therapy?"\n'
    'purpose = "Services differ in what they offer people on a waiting list. This asks what '
    'helps, and for how long."\nteam = "Department of Psychology, Example University"\n'
    "synthetic = true",
)
DROPOUT = (
    WAITING.replace("waiting-and-digital-help", "who-stays")
    .replace("Does a digital programme help people who wait for therapy?", "Who stays, and when?")
    .replace("Services differ in what they offer people on a waiting list. This asks what ", "")
    .replace("helps, and for how long.", "When people stop answering, or stop using a programme.")
)


@dataclass
class PageClinic:
    """A running keeper of the first of three clinics, as its page sees it."""

    folder: Path
    service: KeeperService
    people: KeeperClient
    bench: Bench
    other: SignedStudy

    @property
    def study(self) -> str:
        """The digest of the approved study."""
        return self.bench.signed.digest.hex()

    @property
    def offered(self) -> str:
        """The digest of the study that waits."""
        return self.other.digest.hex()

    def ask(self, message: Message) -> Message:
        """What the keeper answers the server."""
        with KeeperClient(Sockets(self.folder).link) as link:
            return decode(link.forward(message.to_bytes()))

    def state(self, study: str) -> str:
        """How a study stands, in the keeper's word."""
        view = self.people.admin("Show", pb.ShowRequest(study=study), pb.StudyView)
        return str(view.line.state)


@contextmanager
def page_clinic(root: Path, *, rounds: bool = True) -> Iterator[PageClinic]:
    """The clinic in `root`/ash, synthetic; with `rounds`, one question was answered."""
    team = Identity.generate()
    study = Study.parse(WAITING.encode())
    signed = SignedStudy.sign(study, team)
    clinics = [ClinicFolder.open(write_clinic(root / n, n, data="synthetic")) for n in NAMES[:3]]
    keepers = [Keeper(clinic) for clinic in clinics]
    keys = {k.clinic.config.name: k.identity.public for k in keepers}
    roster = SignedRoster.sign(Roster.first(signed, keys), team)
    server, opening = ServerRun.open(bytes(16), signed, roster)
    bench = Bench(study, signed, roster, server, opening, keepers, team)
    for keeper in keepers[1:]:
        keeper.approve(signed)
        keeper.read_records(study)
    keepers[0].close()
    other = SignedStudy.sign(Study.parse(DROPOUT.encode()), team)
    with KeeperService(clinics[0]) as service, KeeperClient(Sockets(clinics[0].path).admin) as p:
        clinic = PageClinic(clinics[0].path, service, p, bench, other)
        p.admin("PinTeam", pb.PinTeamRequest(public=team.public), pb.PinTeamReply)
        clinic.ask(Offer(signed, roster))
        clinic.ask(Offer(other, SignedRoster.sign(Roster.first(other, keys), team)))
        for entry in roster.roster.entries[1:]:
            heard = pb.VerifyRequest(
                clinic=entry.clinic, fingerprint=fingerprint(entry.identity), person="Ada Lovelace"
            )
            p.admin("VerifyMember", heard, pb.VerifyReply)
        accounts(p)
        approve(p, signed.digest.hex())
        if rounds:
            _answer(clinic)
        connected(clinic.folder)
        yield clinic
    for keeper in keepers[1:]:
        keeper.close()


def accounts(people: KeeperClient) -> None:
    """Two reviewers; the second is made by the first."""
    made = reviewers.AddReviewerRequest(name=PEOPLE[0], password=PASSWORD)
    people.admin("AddReviewer", made, reviewers.ReviewersReply, service=REVIEWERS)
    more = reviewers.AddReviewerRequest(
        name=PEOPLE[1], password=PASSWORD, session=session(people, PEOPLE[0])
    )
    people.admin("AddReviewer", more, reviewers.ReviewersReply, service=REVIEWERS)


def session(people: KeeperClient, name: str) -> str:
    """A token of somebody who signed in."""
    asked = reviewers.SignInRequest(name=name, password=PASSWORD)
    return people.admin("SignIn", asked, reviewers.Session, service=REVIEWERS).token


def approve(people: KeeperClient, study: str) -> None:
    """A reviewer approves it, as the command would."""
    view = people.admin("Show", pb.ShowRequest(study=study), pb.StudyView)
    decision = pb.Decision(
        study=study,
        roster=view.roster_digest,
        state="approved",
        session=session(people, PEOPLE[0]),
    )
    people.admin("Decide", decision, pb.StudyLine)


def sign_in(chromium: Browser, address: str, name: str = "") -> None:
    """Signs in on the page."""
    chromium.open(f"{address}/sign-in")
    chromium.click("#name")
    chromium.press(name or PEOPLE[0])
    chromium.click("#password")
    chromium.press(PASSWORD + ENTER)
    chromium.until("return location.pathname === '/'")


def connected(folder: Path, state: str = "connected", trouble: str = "") -> None:
    """The note of a link that stands so; this process stands in for it."""
    at = note(folder)
    at.parent.mkdir(parents=True, exist_ok=True)
    now = time.time()
    held = {"state": state, "server": "cairn.example.org", "since": now - 7200, "contact": now - 4}
    held |= {"trouble": trouble, "hint": "check the proxy" if trouble else "", "pid": os.getpid()}
    at.write_text(json.dumps(held | {"code": "input.server-unreachable" if trouble else ""}))


def _answer(clinic: PageClinic) -> None:
    bench = clinic.bench

    def everyone(messages: object) -> None:
        for index in range(3):
            own = messages[index] if isinstance(messages, dict) else messages
            reply = clinic.ask(own) if index == 0 else bench.ask(messages, index)  # type: ignore[arg-type]
            bench.server.receive(index, reply)  # type: ignore[arg-type]

    everyone(bench.opening)
    everyone(bench.server.packages())
    everyone(bench.requests())


@contextmanager
def served(folder: Path) -> Iterator[EntryKey]:
    """The page of the clinic in `folder`, on a free port, as its command serves it."""
    held: list[EntryKey] = []
    ready, ended = threading.Event(), threading.Event()
    servers: list[uvicorn.Server] = []

    def started(key: EntryKey, server: uvicorn.Server) -> None:
        held.append(key)
        servers.append(server)
        ready.set()

    def serve() -> None:
        try:
            serve_page(folder, "127.0.0.1", 0, started)
        finally:
            ended.set()
            ready.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(20)
    assert held, "the page did not start"
    yield held[0]
    servers[0].should_exit = True
    assert ended.wait(20)
    thread.join(5)
