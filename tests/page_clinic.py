"""A clinic whose page has something to show: studies, a round answered, a budget partly spent."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import uvicorn

from cairn_client import passwords
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.imports.run import run_import
from cairn_client.keeper import Keeper
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.link_report import note
from cairn_client.page.entry import EntryKey
from cairn_client.page.services import REVIEWERS
from cairn_client.page.serving import listen, serve_page
from cairn_client.sockets import Sockets
from cairn_models.export.bundle import contents
from cairn_models.export.model import Model
from cairn_protocol.findings import RESULTS, FoundFile
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import Findings, Message, Offer, decode
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import reviewers_pb2 as reviewers
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_protocol.wire_types import UNSIGNED
from export_models import all_usable, model
from keeper_bench import Bench
from keeper_bench import write_clinic as tiny_clinic
from returned_bench import (
    EVERYBODY,
    POLICY,
    STUDY,
    TODAY,
    Patient,
    pooled_effect,
    results_json,
    write_clinic,
)
from webdriver import ENTER, Browser

PEOPLE = ("Ada Lovelace", "Grace Hopper")
PASSWORD = "a long word for the tests only"

SEED = "Zwyrtek"  # a surname; a patient has it, and rows that were set aside hold it
ABOUT = """title = "Does a digital programme help people who wait for therapy?"
purpose = "Services differ in what they offer people on a waiting list. This asks what helps."
team = "Department of Psychology, Example University"
"""
SAFE = "[policy]\nclinics = 3\nsurvivors = 3\nthreshold = 3\n[release]"
WAITING = (
    STUDY.replace('title = "Waiting and what helps"\n', ABOUT)
    .replace('"waits"', '"waiting-and-digital-help"')
    .replace("[release]", SAFE)
)
DROPOUT = (
    WAITING.replace("waiting-and-digital-help", "who-stays")
    .replace("Does a digital programme help people who wait for therapy?", "Who stays, and when?")
    .replace("Services differ in what they offer people on a waiting list. This asks what ", "")
    .replace("helps.", "This asks when people stop answering, or stop using a programme.")
)


@dataclass(eq=False)
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


def own_folder(folder: Path) -> ClinicFolder:
    """A synthetic clinic of thirty, some of whose rows cannot be used, and which was imported."""
    people = (*EVERYBODY, Patient(f"{SEED}-1", "waiting", 60, ((0, 15), (4, 12))))
    clinic = write_clinic(folder, people)
    with (folder / "scores.csv").open("a") as scores:
        scores.write(f"{SEED}-1,6,PHQ-9,{SEED},\n{SEED}-2,4,PHQ-9,11,\nk-liv,2,PHQ-9,99,\n")
    (folder / "policy.toml").write_text(POLICY + "approvals = 2\n")
    run_import(clinic, PEOPLE[0], lambda: None, day=TODAY)
    return clinic


@contextmanager
def page_clinic(root: Path) -> Iterator[PageClinic]:
    """The clinic in `root`/ash; its first study's first question was answered, and came back."""
    team = Identity.generate()
    study = Study.parse(WAITING.encode())
    signed = SignedStudy.sign(study, team)
    own = own_folder(root / "ash")
    others = [Keeper(ClinicFolder.open(tiny_clinic(root / n, n))) for n in ("elm", "oak")]
    keys = {"ash": own.identity().public}
    keys |= {keeper.clinic.config.name: keeper.identity.public for keeper in others}
    roster = SignedRoster.sign(Roster.first(signed, keys), team)
    server, opening = ServerRun.open(bytes(16), signed, roster)
    for keeper in others:
        keeper.approve(signed)
        keeper.read_records(study)
    other = SignedStudy.sign(Study.parse(DROPOUT.encode()), team)
    cheap = passwords.Cost(memory_kib=64, passes=1, lanes=1)
    with (
        patch.object(passwords, "COST", cheap),
        KeeperService(own) as service,
        KeeperClient(Sockets(own.path).admin) as people,
    ):
        bench = Bench(study, signed, roster, server, opening, others, team)
        clinic = PageClinic(own.path, service, people, bench, other)
        people.admin("PinTeam", pb.PinTeamRequest(public=team.public), pb.PinTeamReply)
        clinic.ask(Offer(signed, roster))
        clinic.ask(Offer(other, SignedRoster.sign(Roster.first(other, keys), team)))
        for entry in roster.roster.entries[1:]:
            heard = pb.VerifyRequest(
                clinic=entry.clinic, fingerprint=fingerprint(entry.identity), person=PEOPLE[0]
            )
            people.admin("VerifyMember", heard, pb.VerifyReply)
        accounts(people)
        approve(people, signed.digest.hex())
        _answer(clinic)
        clinic.ask(_findings(clinic))
        connected(clinic.folder)
        yield clinic
    for keeper in others:
        keeper.close()


def _findings(clinic: PageClinic) -> Findings:
    """The first question's answer, and a model that foretells."""
    study, team = clinic.bench.study, clinic.bench.team
    released = model(heads=all_usable())
    card = replace(released.card, digest=study.digest.hex())
    made = contents(Model(released.parameters, card), onnx=False)
    files = {RESULTS: results_json(study, (pooled_effect(study),))}
    files |= {f"course/{name}": data for name, data in made.items()}
    found = tuple(FoundFile(name, files[name]) for name in sorted(files))
    unsigned = Findings(study.digest, found, UNSIGNED)
    return unsigned.with_signature(team.sign("findings", unsigned.signed))


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
    """Both reviewers approve it, as the command would."""
    view = people.admin("Show", pb.ShowRequest(study=study), pb.StudyView)
    for name in PEOPLE:
        decision = pb.Decision(
            study=study,
            roster=view.roster_digest,
            state="approved",
            session=session(people, name),
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
            keeper = bench.keepers[index - 1]
            reply = decode(keeper.forward(own.to_bytes())) if index else clinic.ask(own)
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
            serve_page(folder, listen("127.0.0.1", 0), started)
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
