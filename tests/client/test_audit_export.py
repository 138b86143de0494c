"""An exported audit log, tampered with in every way that its operator could think of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_export import RUN, STUDY, TEAM, Kept, upload
from cairn_client.audit_log.against_ledger import compared
from cairn_client.audit_log.chain import LogAltered, canonical
from cairn_client.audit_log.export import Verified, verified
from cairn_client.audit_log.kinds import event
from cairn_privacy.chain import Account, verify_export
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.messages import AuditReceipt
from cairn_protocol.record import hashed

Lines = list[str]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Two receipts; two entries behind the last."""
    made = Kept.begun(Path(tmp_path_factory.mktemp("audit")))
    made.audit.append(event("signed-in", person="Ada"))
    made.countersign()
    made.audit.append(upload(1, 3, 500))
    made.audit.append(event("signed-in", person="Grace"))
    made.countersign()
    made.audit.append(upload(2, 0, 0))
    made.audit.append(event("stopped", boot=1))
    yield made
    made.audit.close()


@pytest.fixture(scope="module")
def lines(kept: Kept) -> Lines:
    return kept.export().splitlines()


def refused(lines: Lines) -> str:
    with pytest.raises(LogAltered) as caught:
        verified("\n".join(lines))
    assert caught.value.exit_status == 9
    return caught.value.why


def rehashed(lines: Lines) -> Lines:
    """The same entries with hashes that follow again: what an operator would write."""
    whose = json.loads(lines[0])
    at = hashed("audit log", bytes.fromhex(whose["identity"]))
    made = [lines[0]]
    for line in lines[1:]:
        row = json.loads(line)
        if "entry" in row:
            at = hashed("audit entry", at, canonical(row["entry"]).encode())
            made.append(f'{{"entry":{canonical(row["entry"])},"hash":"{at.hex()}"}}')
        else:
            made.append(line)
    return made


def test_an_export_holds_and_says_how_far(lines: Lines) -> None:
    log = verified("\n".join(lines))
    assert [(c.receipt.number, c.entry) for c in log.receipts] == [(1, 4), (2, 7)]
    assert len(log.entries) == 9
    assert (log.lost, log.twice) == ((), ())
    assert log.newest() == log.newest(TEAM.public) == log.receipts[-1]
    assert log.newest(Identity.generate().public) is None


def test_an_entry_changed(lines: Lines) -> None:
    changed = [line.replace("Grace", "Eve") for line in lines]
    assert "entry 6 does not follow" in refused(changed)
    assert "receipt 2 was signed for another log" in refused(rehashed(changed))


def test_an_entry_dropped(lines: Lines) -> None:
    for number in range(1, 8):
        dropped = lines[:number] + lines[number + 1 :]
        refused(dropped)
        refused(rehashed(dropped))


def test_entries_reordered(lines: Lines) -> None:
    swapped = [*lines[:5], lines[6], lines[5], *lines[7:]]
    assert "entry 5 does not follow" in refused(swapped)
    assert "receipt 2" in refused(rehashed(swapped))


def test_an_entry_put_in(lines: Lines) -> None:
    row = '{"entry":{"at":"2026-01-01","kind":"signed-in","person":"Eve"},"hash":""}'
    assert "receipt 2" in refused(rehashed([*lines[:5], row, *lines[5:]]))


def test_an_entry_appended_is_the_clinics_word(lines: Lines) -> None:
    row = '{"entry":{"at":"2026-01-01","kind":"signed-in","person":"Eve"},"hash":""}'
    log = verified("\n".join(rehashed([*lines[:10], row, *lines[10:]])))
    newest = log.newest()
    assert newest is not None
    assert newest.entry == 7
    assert len(log.entries) == 10


def test_the_end_cut_off_before_a_receipts_entry(lines: Lines) -> None:
    for most in range(2, 8):
        assert "receipt" in refused([*lines[:most], *lines[10:]])


def test_cut_after_a_receipt_shows_only_against_what_was_known(kept: Kept, lines: Lines) -> None:
    """The limit of what a file can prove of itself; the server's newest head shows it."""
    cut = verified("\n".join([*lines[:5], lines[10]]))
    newest = cut.newest()
    assert newest is not None
    assert newest.receipt.number == 1
    assert kept.last is not None
    with pytest.raises(LogAltered):
        cut.check_shows(kept.last.head)
    with pytest.raises(LogAltered):
        cut.check_continues(verified("\n".join(lines)))
    whole = verified("\n".join(lines))
    whole.check_shows(kept.last.head)
    whole.check_continues(cut)


def test_a_head_under_a_number_out_of_order(lines: Lines) -> None:
    skipped = [line.replace('"number":2', '"number":3') for line in lines[:10]]
    assert "out of order" in refused(rehashed(skipped))


def test_the_clinics_key_exchanged(lines: Lines) -> None:
    other = json.loads(lines[0]) | {"identity": Identity.generate().public.hex()}
    assert "another clinic's" in refused(rehashed([json.dumps(other), *lines[1:10]]))


def test_all_receipts_taken_away_prove_nothing(lines: Lines) -> None:
    log = verified("\n".join(rehashed(lines[:10])))
    assert log.newest() is None


def test_receipts_of_another_clinic(lines: Lines, tmp_path: Path) -> None:
    other = Kept.begun(tmp_path, "elm", b"e" * 32)
    other.audit.append(event("signed-in", person="Ada"))
    other.countersign()
    theirs = other.export().splitlines()
    assert "a receipt of another clinic" in refused([*lines[:10], theirs[-1]])
    header = [theirs[0], *lines[1:]]
    refused(header)
    other.audit.close()


@pytest.mark.parametrize("key", [TEAM, Identity.generate()])
def test_a_receipt_made_up(lines: Lines, kept: Kept, key: Identity) -> None:
    """One that the team did not sign; and one that it did, for a log that never was."""
    what = kept.clinic.public, 2, b"x" * 32, bytes(32), 5
    unsigned = AuditReceipt(*what, bytes(64))
    made = AuditReceipt(*what, key.sign("audit receipt", unsigned.signed))
    why = refused([*lines, f'{{"receipt":"{made.body.hex()}"}}'])
    assert ("for another log" if key is TEAM else "no research team of its signed") in why


def test_a_receipt_whose_past_is_another(lines: Lines, kept: Kept) -> None:
    log = verified("\n".join(lines))
    head = log.of("head")[1].hash
    what = kept.clinic.public, 2, head, b"y" * 32, 5
    unsigned = AuditReceipt(*what, bytes(64))
    made = AuditReceipt(*what, TEAM.sign("audit receipt", unsigned.signed))
    assert "continues another log" in refused([*lines[:11], f'{{"receipt":"{made.body.hex()}"}}'])


def test_another_team_in_the_log(lines: Lines) -> None:
    other = Identity.generate().public.hex()
    changed = [line.replace(TEAM.public.hex(), other) for line in lines]
    assert "no research team of its signed" in refused(rehashed(changed))


def test_a_log_of_two_teams_one_after_the_other(tmp_path: Path) -> None:
    """A clinic left its team and joined another, whose server begins to count at 1."""
    kept = Kept.begun(tmp_path)
    first = [kept.countersign() for _ in range(2)][-1]
    second = Identity.generate()
    kept.audit.append(event("team", team=second.public.hex()))
    kept.last, kept.team = None, second
    for _ in range(3):
        newest = kept.countersign()
    assert newest.number == 3
    log = verified(kept.export())
    assert [c.team for c in log.receipts] == [TEAM.public, TEAM.public, second.public]
    by_first = log.newest(TEAM.public)
    assert by_first is not None
    assert by_first.receipt == first
    kept.audit.close()


def test_the_clinics_name_exchanged(lines: Lines) -> None:
    refused([lines[0].replace("oak", "elm"), *lines[1:]])


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_no_byte_can_be_changed(lines: Lines, data: st.DataObject) -> None:
    text = "\n".join(lines).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != text[at]))
    changed = text[:at] + bytes([value]) + text[at + 1 :]
    try:
        log = verified(changed.decode("latin-1"))
    except InputError:
        return
    assert log == verified(text.decode()), "white space between tokens alone"


def test_a_log_written_anew_with_gaps_for_every_receipt_is_not_proven(
    kept: Kept, lines: Lines, tmp_path: Path
) -> None:
    """An operator may confess to a loss that was none; the receipts then say what is missing."""
    anew = Kept.begun(tmp_path, kept.name, b"k" * 32)
    receipts = kept.audit.receipts()
    for receipt in receipts:
        head = receipt.head.hex()
        anew.audit.append(event("gap", number=receipt.number, head=head))
        anew.audit.keep_receipt(receipt)
    log = verified(anew.export())
    assert log.lost == tuple(receipts)
    assert log.newest() is None
    with pytest.raises(LogAltered):
        log.check_shows(receipts[-1].head)
    anew.audit.close()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"audit":2}', '{"entry":{},"hash":""}', "\x00", "{" * 5000]
)
def test_what_is_no_export_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InputError) as caught:
        verified(text)
    assert caught.value.code == "input.audit-log-foreign"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "7",
        '{"entry":7,"hash":"00"}',
        "{" * 5000,
        '{"receipt":"zz"}',
        '{"receipt":"00"}',
        '{"entry":{}}',
    ],
)
def test_a_line_that_is_none(lines: Lines, line: str) -> None:
    refused([*lines[:3], line, *lines[3:]])


class TestBesideTheLedger:
    """Every upload has its charge."""

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Callable[..., Account]:
        def make(clinic: str = "oak", attempt: int = 1, units: int = 500) -> Account:
            made = Ledger.create(tmp_path / "l", clinic=clinic, cap_epsilon=8.0, delta=1e-6)
            with made as ledger:
                ledger.reserve(b"x" * 32, "other", 0, 0, 1e-5, run=RUN)
                rho = units * 2.0**-40
                number = ledger.reserve(STUDY, "effect", 0, attempt, rho, run=RUN)
                ledger.commit(number, bytes([1] * 32))
                return verify_export(ledger.export())

        return make

    @pytest.fixture
    def log(self, lines: Lines) -> Verified:
        return verified("\n".join(lines))

    def test_an_upload_has_its_charge(
        self, tmp_path: Path, log: Verified, ledger: Callable[..., Account]
    ) -> None:
        account = ledger()
        entry = next(e for e in account.entries.values() if e.state == "committed")
        kept = Kept.begun(tmp_path)
        kept.audit.append(upload(1, entry.number, entry.units))
        kept.audit.append(upload(2, 0, 0))
        found = compared(verified(kept.export()), account)
        assert (found.paid, found.public, found.unsent) == (1, 1, 0)
        again = Kept.begun(tmp_path, "ash")
        with pytest.raises(LogAltered, match="put together"):
            compared(verified(again.export()), account)
        kept.audit.append(upload(1, entry.number, entry.units))
        with pytest.raises(LogAltered) as caught:
            compared(verified(kept.export()), account)
        assert "left before" in caught.value.why
        kept.audit.close()
        again.audit.close()

    @pytest.mark.parametrize(
        ("charge", "units", "attempt"), [(0, 500, 1), (2, 500, 1), (99, 500, 1), (3, 501, 1)]
    )
    def test_one_that_is_not_what_the_ledger_says(
        self,
        tmp_path: Path,
        ledger: Callable[..., Account],
        charge: int,
        units: int,
        attempt: int,
    ) -> None:
        kept = Kept.begun(tmp_path)
        kept.audit.append(upload(attempt, charge, units))
        with pytest.raises(LogAltered) as caught:
            compared(verified(kept.export()), ledger())
        assert "no such charge" in caught.value.why
        kept.audit.close()

    def test_a_charge_that_never_left(self, tmp_path: Path, ledger: Callable[..., Account]) -> None:
        kept = Kept.begun(tmp_path)
        assert compared(verified(kept.export()), ledger()).unsent == 1
        kept.audit.close()
