"""The audit log of a keeper: what leaves is in it first, and neither twice nor without bound."""

from __future__ import annotations

import hashlib
import importlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from cairn_client import importing
from cairn_client.audit_log import kinds, log, passing
from cairn_client.audit_log.bounded import MOST_NAMES, OTHERS, Bounded
from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.chain import Entry
from cairn_client.audit_log.commands import told
from cairn_client.audit_log.countersigned import MOST_A_DAY
from cairn_client.audit_log.kinds import KINDS, LONGEST, event, fit, in_words
from cairn_client.audit_log.log import AuditLog
from cairn_client.audit_log.passing import Recorded
from cairn_client.importing import import_records
from cairn_protocol import proto
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.identity import Identity
from cairn_protocol.messages import (
    AuditHead,
    AuditReceipt,
    AuditRequest,
    Offer,
    Refusal,
    Standing,
    Upload,
    decode,
)
from cairn_protocol.record import Message
from keeper_bench import Bench

Make = Callable[..., Bench]
CLINIC = Identity.from_private_bytes(b"c" * 32)


class Clinic:
    """The first of a bench's clinics, behind its audit log."""

    def __init__(self, bench: Bench, **more: object) -> None:
        self.bench = bench
        self.store = bench.boot(0, **more)  # type: ignore[arg-type]
        self.keeper = bench.keepers[0]
        self.audit = AuditLog.of(self.keeper.clinic)
        catching_up = CatchingUp(self.keeper.clinic, self.store, self.audit)
        catching_up()
        self.recorded = Recorded(self.keeper, self.audit, catching_up, catching_up.name)

    def ask(self, message: Message) -> Message:
        return decode(self.recorded.forward(message.to_bytes()))

    def set_up(self) -> None:
        b = self.bench
        for message in (b.opening, b.server.packages):
            asked = message() if callable(message) else message
            b.server.receive(0, self.ask(asked))  # type: ignore[arg-type]
            for index in (1, 2):
                b.server.receive(index, b.ask(asked, index))  # type: ignore[arg-type]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.audit.entries()]

    def of(self, kind: str) -> list[Entry]:
        return self.audit.entries(kinds=(kind,))

    def close(self) -> None:
        self.keeper.close()
        self.audit.close()


@pytest.fixture
def clinic(bench: Make) -> Iterator[Clinic]:
    b = bench()
    b.settle(0)
    made = Clinic(b)
    yield made
    made.close()


def test_what_left_and_who_decided_is_in_the_log(clinic: Clinic) -> None:
    clinic.set_up()
    upload = clinic.ask(clinic.bench.request())
    assert isinstance(upload, Upload)
    assert clinic.kinds() == [
        *("begun", "team", "offered", "decided", "member", "member"),
        *("sent", "sent", "upload"),
    ]
    (left,) = clinic.of("upload")
    (charge,) = clinic.keeper.ledger.entries()
    whole = upload.to_bytes()
    assert left.fields == {
        **{"name": "tiny", "study": clinic.bench.study.digest.hex(), "run": bytes(16).hex()},
        **{"question": "effect", "round": 0, "attempt": 0},
        **{"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()},
        **{"upload": upload.upload_digest.hex(), "charge": charge.number, "units": charge.units},
    }
    assert clinic.of("decided")[0].fields["person"] == "Ada"
    assert all(entry.words for entry in clinic.audit.entries())
    assert "SECRET" not in "".join(entry.text for entry in clinic.audit.entries())


def test_a_reply_that_is_sent_again_is_told_once(clinic: Clinic) -> None:
    clinic.set_up()
    request = clinic.bench.request()
    assert clinic.ask(request) == clinic.ask(request)
    assert len(clinic.of("upload")) == 1


def test_a_kept_reply_that_a_crash_left_untold_is_told_before_it_leaves(clinic: Clinic) -> None:
    clinic.set_up()
    request = clinic.bench.request()
    clinic.keeper.forward(request.to_bytes())  # the process died before the log
    assert clinic.of("upload") == []
    assert isinstance(clinic.ask(request), Upload)
    (charge,) = clinic.keeper.ledger.entries()
    assert clinic.of("upload")[0].fields["charge"] == charge.number


def test_nothing_leaves_that_cannot_be_written_down(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.set_up()
    request = clinic.bench.request()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "_write", full)
        reply = clinic.ask(request)
        assert isinstance(reply, Refusal)
        assert reply.code == "internal.audit-log-stopped"
    assert isinstance(clinic.ask(request), Upload), "once there is space, the one that was paid for"
    assert len(clinic.keeper.ledger.entries()) == 1


def test_a_flood_of_refused_requests_fills_no_disk(clinic: Clinic) -> None:
    for _ in range(150):
        clinic.recorded.forward(b"junk")
    assert [entry.fields["times"] for entry in clinic.of("refused")] == [1, 10, 100]


def test_a_flood_of_offers_and_runs_is_counted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "SINGLY", 3)
    clinic.recorded._kinds = Bounded(3)
    for number in range(12):
        opening = clinic.bench.opening
        clinic.ask(type(opening)(bytes([number]) * 16, 0, opening.study, opening.roster))
    assert len(clinic.of("sent")) == 3
    assert [entry.fields["times"] for entry in clinic.of("more")] == [10]


def test_an_offer_and_an_import_are_told(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Offer(clinic.bench.signed, clinic.bench.roster)
    assert isinstance(clinic.ask(offer), Standing)
    manifest = import_records(clinic.keeper.clinic).manifest
    (told,) = clinic.of("import")
    assert told.fields["records"] == manifest.records[0].hex()
    assert "patients 4" in str(told.fields["counts"])
    assert clinic.kinds().count("offered") == 1
    clinic.recorded._catching_up()
    assert len(clinic.of("import")) == 1
    scores = clinic.keeper.clinic.path / "scores.csv"
    scores.write_text(scores.read_text().replace(",17", ",16"))
    monkeypatch.setattr(importing, "tell_import", lambda *_: None)  # it died before it could tell
    import_records(clinic.keeper.clinic)
    clinic.recorded._catching_up()
    assert [entry.fields["number"] for entry in clinic.of("import")] == [1, 2]


def test_a_restart_tells_what_was_decided_meanwhile_and_nothing_twice(clinic: Clinic) -> None:
    clinic.close()
    before = Clinic(clinic.bench)
    assert before.kinds() == ["begun", "team", "offered", "decided", "member", "member"]
    before.store.decide(
        clinic.bench.signed.digest, clinic.bench.roster.roster.digest, "paused", "Grace"
    )
    before.close()
    after = Clinic(clinic.bench)
    assert [e.fields["state"] for e in after.of("decided")] == ["approved", "paused"]
    after.close()


class Team:
    """A research team's side of SPEC 17, for one clinic."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic, self.at = clinic, 0

    def receipt(self, head: AuditHead) -> AuditReceipt:
        self.at += 1
        return AuditReceipt.sign(head, self.at, self.clinic.bench.team)

    def show(self, number: int, *receipts: AuditReceipt) -> AuditHead:
        reply = self.clinic.ask(AuditRequest(number, receipts))
        assert isinstance(reply, AuditHead), reply
        return reply


def test_a_head_says_nothing_of_what_was_logged(clinic: Clinic) -> None:
    """Two clinics of one key and one log would show different heads, and equal sizes."""
    team = Team(clinic)
    first = team.show(1)
    assert first == team.show(1), "the same number, the same head"
    receipt = team.receipt(first)
    second = team.show(2, receipt)
    assert second.head != first.head, "although nothing happened in between"
    assert second.previous == first.head
    one, two = clinic.of("head")
    assert one.fields["nonce"] != two.fields["nonce"]
    assert len(str(one.fields["nonce"])) == 64
    for _ in range(30):
        clinic.audit.append(event("signed-in", person="Ada"))
    third = team.show(3, team.receipt(second))
    assert len(third.to_bytes()) == len(first.to_bytes())
    assert (third.number, third.last) == (3, 3)


def test_the_receipts_are_kept_and_cover_what_came_before(clinic: Clinic) -> None:
    team = Team(clinic)
    head = team.show(1)
    assert clinic.audit.covered() is None
    receipt = team.receipt(head)
    team.show(1, receipt)
    assert clinic.audit.receipts() == [receipt]
    covered = clinic.audit.covered()
    assert covered is not None
    assert covered[1].hash == head.head
    forged = AuditReceipt.sign(head, 9, Identity.generate())
    refusal = clinic.ask(AuditRequest(2, (forged,)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "peer.receipt-forged"


def test_a_server_that_signs_away_is_slowed_down(clinic: Clinic) -> None:
    team = Team(clinic)
    head = team.show(1)
    for number in range(2, 12):
        head = team.show(number, team.receipt(head))
    clinic.recorded._countersigned._made._times["heads"] = MOST_A_DAY
    refusal = clinic.ask(AuditRequest(12, (team.receipt(head),)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "policy.audit-often"
    assert team.show(11) == head, "what was shown is shown again"


def test_a_lost_log_says_so_and_goes_on(clinic: Clinic) -> None:
    team = Team(clinic)
    receipt = team.receipt(team.show(1))
    receipt = team.receipt(team.show(2, receipt))
    clinic.close()
    for file in clinic.keeper.clinic.state.glob("audit.sqlite*"):
        file.unlink()
    again = Clinic(clinic.bench)
    team.clinic = again
    head = team.show(3, receipt)
    assert head.previous == bytes(32)
    (gap,) = again.of("gap")
    assert gap.fields == {"number": 2, "head": receipt.head.hex()}
    assert again.audit.gaps == 1
    assert team.show(4, team.receipt(head)).previous == head.head
    again.close()


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    begun = event("begun", clinic="ash", identity=CLINIC.public.hex())
    with AuditLog(tmp_path / "a", CLINIC.public, begun) as one:
        with AuditLog(tmp_path / "a", CLINIC.public, begun) as two:
            for number in range(10):
                (one, two)[number % 2].append(event("signed-in", person=str(number)))
            assert one.entries() == two.entries()
        assert [e.number for e in one.entries()] == list(range(1, 12))
    with AuditLog(tmp_path / "a", CLINIC.public, begun) as again:
        assert again.count == 11


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chain SET body = replace(body, 'Ada', 'Eve') WHERE number = 3",
        "DELETE FROM chain WHERE number = 2",
        "DELETE FROM chain WHERE number = 3",
        "UPDATE chain SET hash = zeroblob(32) WHERE number = 4",
        "INSERT INTO chain SELECT 9, kind, body, hash, NULL FROM chain WHERE number = 4",
    ],
)
def test_a_log_that_was_changed_on_the_disk_stops_the_keeper(tmp_path: Path, change: str) -> None:
    begun = event("begun", clinic="ash", identity=CLINIC.public.hex())
    with AuditLog(tmp_path / "a", CLINIC.public, begun) as audit:
        for _ in range(3):
            audit.append(event("signed-in", person="Ada"))
    database = sqlite3.connect(tmp_path / "a")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("DELETE FROM chain WHERE number = 2")
    for trigger in ("kept", "fixed"):
        database.execute(f"DROP TRIGGER {trigger}")
    database.execute(change)
    database.commit()
    database.close()
    with pytest.raises(InputError) as refused:
        AuditLog(tmp_path / "a", CLINIC.public, begun)
    assert refused.value.code == "input.audit-log-damaged"


def test_an_entry_has_the_fields_of_its_kind_and_no_others() -> None:
    for kind, fields in (
        ("patient", {}),
        ("signed-in", {"person": "Ada", "patient": "7"}),
        ("signed-in", {"person": 7}),
        ("signed-in", {}),
    ):
        with pytest.raises(OurFault) as refused:
            kinds.Event(kind, fields)  # type: ignore[arg-type]
        assert refused.value.code == "internal.audit-event"


def test_no_kind_has_room_for_a_patient() -> None:
    """The allow-list itself: a new field has to be looked at, and added here."""
    names = {name for kind in KINDS.values() for name in kind.fields}
    assert names == {
        *("act", "attempt", "boot", "by", "bytes", "charge", "clinic", "clinics", "code", "counts"),
        *("data", "digest", "findings", "fingerprint", "head", "header", "identity", "issue"),
        *("mark", "name", "nonce", "number", "of", "person", "persons", "pinned", "question"),
        *("records", "roster", "round", "run", "sha256", "source", "stands", "state", "study"),
        *("team", "times", "units", "upload", "version", "view", "what", "when"),
    }


ELSEWHERE = {  # methods with a session whose entry comes from the table that they write
    *("Decide", "VerifyMember", "TakeList", "PinRegistry", "LeaveStudy"),
    "DryRun",  # keeps nothing, shows counts
}


def test_every_method_that_asks_who_it_is_leaves_an_entry() -> None:
    """A new view of patients shows up here before it can be opened unnoticed."""
    importlib.import_module("cairn_client.keeper_service")  # and with it every service
    silent = set()
    for file in (Path(proto.__file__).parent).glob("*_pb2.py"):
        module = importlib.import_module(f"cairn_protocol.proto.{file.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if "session" not in method.input_type.fields_by_name:
                    continue
                name = f"/{service.full_name}/{method.name}"
                if told(name, message_of(method.input_type), "Ada") is None:
                    silent.add(method.name)
    assert silent == ELSEWHERE


def message_of(kind: Descriptor) -> object:
    return GetMessageClass(kind)()


@given(st.text(max_size=700))
def test_any_text_becomes_one_short_line(text: str) -> None:
    made = fit(text)
    assert len(made) <= LONGEST
    assert all(c.isprintable() for c in made)
    event("signed-in", person=text)


def test_every_kind_can_be_told() -> None:
    for name, kind in KINDS.items():
        fields = {field: "ab" if of is str else 1 for field, of in kind.fields.items()}
        assert "{" not in in_words(name, fields)


def test_counts_begin_anew_each_day_and_names_are_few() -> None:
    today = [date(2026, 3, 1)]
    bounded = Bounded(1, lambda: today[0])
    written = [bounded.count("a")[2] for _ in range(1000)]
    assert written.count(True) == 4
    for number in range(MOST_NAMES + 10):
        name, _, _ = bounded.count(f"x{number}")
    assert name == OTHERS
    today[0] = date(2026, 3, 2)
    assert bounded.count("a") == ("a", 1, True)


def test_entries_can_be_read_from_either_end(tmp_path: Path) -> None:
    begun = event("begun", clinic="ash", identity=CLINIC.public.hex())
    with log.AuditLog(tmp_path / "a", CLINIC.public, begun) as audit:
        for person in "abcdefgh":
            audit.append(event("signed-in", person=person))
        audit.append(event("stopped", boot=1, once="end"))
        assert audit.append(event("stopped", boot=2, once="end")) is None
        numbers = [e.number for e in audit.entries(3, 4)]
        assert numbers == [4, 5, 6, 7]
        assert [e.number for e in audit.entries(limit=2, newest_first=True)] == [10, 9]
        assert [e.number for e in audit.entries(9, 2, newest_first=True)] == [8, 7]
        (stopped,) = audit.entries(kinds=("stopped",))
        assert json.loads(stopped.text)["boot"] == 1
