"""Kill −9 at every named step of a reply: what left was paid for, and no header covers two vectors.

The keeper runs in a process of its own and ends itself at the step; the test plays the server,
which asks again, opens the next setup where it must, and carries the study to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from cairn_client.audit_log.against_ledger import compared
from cairn_client.audit_log.export import Whose, verified, written
from cairn_client.audit_log.log import AuditLog
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_steps import Step
from cairn_client.keeper_store import KeeperStore
from cairn_privacy.chain import verify_export
from cairn_privacy.ledger import Ledger
from cairn_protocol.messages import Closed, Consent, Opening, Refusal, RoundRequest, Upload
from cairn_protocol.record import Message
from keeper_bench import RECOVERED, STUDY, Bench
from keeper_crash import CrashingKeeper

Make = Callable[..., Bench]
PLAN = ("effect", "course")


def with_retries(text: str) -> str:
    """Two questions of one round each, and three attempts more than are planned."""
    return text.replace("[policy]", "[privacy]\nretries = 3\n[policy]").replace(
        'kind = "trajectory"\nepsilon = 1.0\nrounds = 2', 'kind = "effect"\nepsilon = 1.0\nweek = 4'
    )


RECOVERY: tuple[Step, ...] = ("considered", "survivors kept", "certified", "opening kept")
STEPS = tuple(step for step in get_args(Step) if step not in (*RECOVERY, "logged"))
YEW = 4  # the clinic that drops out, of five


class Server:
    """Carries a study over one keeper that may die and others that do not.

    `lost`: clinics whose uploads never come.
    """

    def __init__(
        self, bench: Bench, folder: Path, step: str, number: int, lost: tuple[int, ...] = ()
    ) -> None:
        self.bench = bench
        self.folder = folder
        self.keeper = CrashingKeeper(folder, step, number)
        self.lost = lost
        self.deaths = 0
        self.after_death: type[Message] | None = None  # what it says to what it died over
        self.setup = 0
        self.left: dict[bytes, set[bytes]] = {}  # uploads by header, as they left
        self.survivors: dict[bytes, set[bytes]] = {}  # survivors by header, as it answered them
        self.said: dict[bytes, set[bytes]] = {}  # replies by request

    def ask(self, message: Message) -> Message:
        """The clinic's reply; after a death, that of the keeper that was started anew."""
        reply = self.keeper.ask(message)
        if reply is None:
            self.deaths += 1
            self.keeper.__exit__(None, None, None)
            self.keeper = CrashingKeeper(self.folder)
            reply = self.keeper.ask(message)
            self.after_death = type(reply)
        assert reply is not None
        if isinstance(reply, Upload):
            self.left.setdefault(reply.header, set()).add(reply.upload_digest)
        if isinstance(reply, Consent | Opening):
            self.survivors.setdefault(reply.header, set()).add(reply.survivors)
        if not isinstance(reply, Refusal):
            self.said.setdefault(message.to_bytes(), set()).add(reply.to_bytes())
        return reply

    def everyone(
        self, message: Message | Mapping[int, Message], but: tuple[int, ...] = ()
    ) -> list[Message]:
        """The replies of all who are asked, taken in by the server."""
        b = self.bench
        asked = message if isinstance(message, Mapping) else range(len(b.keepers))
        replies = {i: b.ask(message, i) for i in asked if i not in (0, *but)}
        if 0 in asked:
            replies[0] = self.ask(message[0] if isinstance(message, Mapping) else message)
        for index, reply in replies.items():
            if not isinstance(reply, Refusal):
                b.server.receive(index, reply)  # type: ignore[arg-type]
        return list(replies.values())

    def set_up(self) -> None:
        b = self.bench
        for _ in range(3):
            replies = self.everyone(b.opening)
            if not any(isinstance(reply, Refusal) for reply in replies):
                replies = self.everyone(b.server.packages())
                if not any(isinstance(reply, Refusal) for reply in replies):
                    return
            self.next_setup()
        raise AssertionError("no setup came about")

    def next_setup(self) -> None:
        self.setup += 1
        self.bench.reopen(self.setup)

    def attempt(self, question: str, attempt: int) -> bool:
        """Whether the sum was opened."""
        b = self.bench
        requests = b.requests(question, 0, attempt)
        self.everyone(requests, self.lost)
        if not b.server.enough:
            return False
        for stage in (b.server.survivors, b.server.certificate):
            messages = stage()
            if messages:
                self.everyone(messages)
            if not b.server.enough:
                return False
        if not isinstance(again := self.ask(requests[0]), Refusal):
            assert isinstance(again, Upload)
        b.server.total()
        return True

    def run(self) -> int:
        """Uploads that every attempt together asked for."""
        self.set_up()
        asked = 0
        for question in PLAN:
            for attempt in range(4):
                asked += 1
                if self.attempt(question, attempt):
                    break
                self.next_setup()
                self.set_up()
            else:
                raise AssertionError("no attempt was answered")
        assert isinstance(self.ask(self.bench.server.close("done")[0]), Closed)
        return asked


def prepare(bench: Make, text: str = STUDY) -> tuple[Bench, Path]:
    b = bench(text=with_retries(text))
    b.settle(0)
    return b, b.keepers[0].clinic.path


def check(server: Server, folder: Path, bench: Bench) -> None:
    """Spend ≥ what left; one vector and one set of survivors a header; every charge is settled."""
    server.keeper.__exit__(None, None, None)
    for answers in (server.left, server.survivors, server.said):
        assert all(len(different) == 1 for different in answers.values())
    clinic = bench.keepers[0].clinic
    keeper = Keeper(clinic, KeeperStore.of(clinic))
    try:
        ledger = keeper.ledger
        assert ledger.pending() == ()
        committed = [entry for entry in ledger.entries() if entry.state == "committed"]
        assert len(committed) >= len(server.left)
        assert len({entry.name for entry in ledger.entries()}) == len(ledger.entries())
        assert ledger.spent() >= sum(entry.rho for entry in committed[: len(server.left)])
        exported = ledger.export()
    finally:
        keeper.close()
    check_audit_log(server, clinic, exported)
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as again:
        assert again.spent() > 0


def check_audit_log(server: Server, clinic: ClinicFolder, ledger: str) -> None:
    """Every upload that left is in the audit log, once, with the charge that the ledger has."""
    with AuditLog.of(clinic) as audit:
        whose = Whose(clinic.config.name, clinic.identity().public)
        lines = written(whose, ((e.text, e.hash.hex()) for e in audit.entries()), ())
    log = verified("".join(lines))
    told = [str(entry.fields["upload"]) for entry in log.of("upload")]
    left = {upload.hex() for uploads in server.left.values() for upload in uploads}
    assert sorted(told) == sorted(left)
    assert compared(log, verify_export(ledger)).paid == len(left)


@pytest.mark.parametrize("step", STEPS)
def test_the_study_ends_right_after_a_death_at(bench: Make, step: str) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, step, 1)
    server.run()
    assert server.deaths == 1
    check(server, folder, b)


@pytest.mark.parametrize(
    ("step", "again"),
    [
        ("kept", Upload),
        ("considered", Refusal),
        ("survivors kept", Consent),
        ("certified", Refusal),
        ("opening kept", Opening),
    ],
)
def test_after_a_dropout_the_study_ends_right_after_a_death_at(
    bench: Make, step: str, again: type[Message]
) -> None:
    """Four of five uploaded, and all four are needed to open their sum."""
    b, folder = prepare(bench, RECOVERED)
    server = Server(b, folder, step, 1, (YEW,))
    asked = server.run()
    assert server.deaths == 1
    assert server.after_death is again, "what was kept is sent again, and nothing else"
    assert asked == len(PLAN) + 1, "whatever comes next needs roots that died"
    check(server, folder, b)


@pytest.mark.parametrize(("step", "again"), [("considered", Refusal), ("survivors kept", Opening)])
def test_where_all_uploaded_the_others_open_without_the_one_that_died_at(
    bench: Make, step: str, again: type[Message]
) -> None:
    b, folder = prepare(bench, RECOVERED)
    server = Server(b, folder, step, 1)
    assert server.run() == len(PLAN), "no attempt was lost"
    assert (server.deaths, server.after_death) == (1, again)
    check(server, folder, b)


def test_a_death_between_the_audit_log_and_the_reply_is_told_once(bench: Make) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, "logged", 3)  # of keys, their confirmation, the upload
    server.run()
    assert (server.deaths, server.after_death) == (1, Upload)
    check(server, folder, b)


@pytest.mark.parametrize("step", ["answered", "kept"])
def test_and_after_a_death_in_the_second_round_at(bench: Make, step: str) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, step, 2)
    server.run()
    assert server.deaths == 1
    check(server, folder, b)


def test_a_kept_reply_survives_and_is_the_same(bench: Make) -> None:
    """Death after the reply was kept: no new attempt is needed, nothing is charged twice."""
    b, folder = prepare(bench)
    server = Server(b, folder, "kept", 1)
    server.run()
    check(server, folder, b)
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as ledger:
        told = [(e.question, e.attempt, e.state) for e in ledger.entries()]
    # The second question's first attempt met a keeper without keys: refused before any charge.
    assert told == [("effect", 0, "committed"), ("course", 1, "committed")]


def test_a_death_before_it_was_kept_is_sat_out(bench: Make) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, "answered", 1)
    assert server.run() == len(PLAN) + 1
    server.keeper.__exit__(None, None, None)
    with Ledger.open(folder / ".cairn" / "ledger.sqlite") as ledger:
        assert [e.state for e in ledger.entries()] == ["void", "committed", "committed"]


def test_another_request_under_an_answered_header_gets_no_vector(bench: Make) -> None:
    """After a restart the header's roots are gone, and only the very request gets the reply."""
    b, folder = prepare(bench)
    server = Server(b, folder, "kept", 1)
    server.set_up()
    request = b.request("effect", 0, 0)
    assert isinstance(server.ask(request), Upload)
    other: RoundRequest = replace(request, notes=())
    reply = server.ask(other)
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.run-unknown"
    server.keeper.__exit__(None, None, None)


def test_a_setup_that_was_answered_before_a_death_is_past(bench: Make) -> None:
    """R4: its keys are gone, so nothing of it may be made again."""
    b, folder = prepare(bench)
    server = Server(b, folder, "opened", 1)
    reply = server.ask(b.opening)
    server.keeper.__exit__(None, None, None)
    assert server.deaths == 1
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.setup-past"


def test_an_attempt_that_a_death_cut_off_is_past_in_the_next_setup(bench: Make) -> None:
    b, folder = prepare(bench)
    server = Server(b, folder, "answered", 1)
    server.set_up()
    assert isinstance(server.ask(b.request("effect", 0, 0)), Refusal)
    server.next_setup()
    server.set_up()
    reply = server.ask(b.request("effect", 0, 0))
    server.keeper.__exit__(None, None, None)
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.round-past"
