"""The ledger's rules L1–L6, with kills, flipped bits and lost tails."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho, rho_for, units_within
from cairn_privacy.blocks import EVERYONE
from cairn_privacy.chain import TAG, verify_export
from cairn_privacy.durable import HeadCopy
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import StudyAccount
from cairn_privacy.noise import plan_noise
from cairn_protocol.errors import BudgetRefusal, CairnError, InputError, OurFault, PolicyRefusal
from cairn_protocol.policy import Policy

ROOT = Path(__file__).parents[2]
STUDY, OTHER = b"s" * 32, b"o" * 32
DIGEST = bytes(range(32))


def new(path: Path, cap: float = 3.0, delta: float = 1e-6) -> Ledger:
    return Ledger.create(path, clinic="Brook (synthetic)", cap_epsilon=cap, delta=delta)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with new(path) as opened:
        yield opened


def test_a_charge_and_what_became_of_it(ledger: Ledger, path: Path) -> None:
    first = ledger.reserve(STUDY, "effect", 0, 0, 0.01)
    second = ledger.reserve(STUDY, "effect", 1, 0, 0.02)
    third = ledger.reserve(OTHER, "train", 0, 0, 0.03, run=b"r1")
    ledger.commit(first, DIGEST)
    ledger.void(second, "the round was abandoned before anything was sent")
    assert ledger.spent() == pytest.approx(0.06, abs=1e-12)
    assert ledger.spent() >= 0.06 - 1e-17
    assert ledger.spent(STUDY) == pytest.approx(0.03)
    assert ledger.spent(b"unknown") == 0
    assert ledger.left() + ledger.spent() == pytest.approx(rho_for(3.0, 1e-6), abs=1e-14)
    assert ledger.epsilon_spent == epsilon_of_rho(ledger.spent(), 1e-6)
    states = {entry.number: entry.state for entry in ledger.entries()}
    assert states == {first: "committed", second: "void", third: "reserved"}
    assert [entry.number for entry in ledger.pending()] == [third]
    assert ledger.entries()[0].upload == DIGEST.hex()
    head, entries = ledger.head(), ledger.entries()
    ledger.close()
    with Ledger.open(path) as again:
        assert (again.head(), again.entries()) == (head, entries)
        assert again.terms.clinic == "Brook (synthetic)"
        assert (again.terms.cap_epsilon, again.terms.delta) == (3.0, 1e-6)


@given(
    cap=st.floats(0.1, 3),
    rhos=st.lists(st.floats(1e-5, 0.2), min_size=1, max_size=25),
    close=st.lists(st.sampled_from(["commit", "void", "leave"]), min_size=25, max_size=25),
    study_cap=st.floats(1e-3, 0.2),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_sequence_of_reserves_exceeds_a_cap(
    tmp_path_factory: pytest.TempPathFactory,
    cap: float,
    rhos: list[float],
    close: list[str],
    study_cap: float,
) -> None:
    with new(tmp_path_factory.mktemp("caps") / "l.db", cap) as ledger:
        limit, allowed = rho_for(cap, 1e-6), 0.0
        name = StudyAccount(OTHER.hex(), "other", "", "", EVERYONE, units_within(study_cap))
        ledger.declare(name)
        for attempt, (rho, then) in enumerate(zip(rhos, close, strict=False)):
            study = (STUDY, OTHER)[attempt % 2]
            own = study_cap if study == OTHER else None
            before = (ledger.head(), ledger.spent())
            try:
                number = ledger.reserve(study, "q", 0, attempt, rho)
            except BudgetRefusal:
                over = allowed + rho > limit - 1e-12
                assert over or (own is not None and ledger.spent(study) + rho > own - 1e-12)
                assert (ledger.head(), ledger.spent()) == before
                continue
            allowed += rho
            if then == "commit":
                ledger.commit(number, DIGEST)
            elif then == "void":
                ledger.void(number, "abandoned")
            assert ledger.spent() >= allowed * (1 - 1e-12)
            assert ledger.spent() <= limit
            assert ledger.spent(OTHER) <= study_cap
        assert epsilon_of_rho(ledger.spent(), 1e-6) <= cap * (1 + 1e-11)


@pytest.mark.parametrize("rounds", [1, 7, 60])
def test_a_plan_of_epsilon_fits_a_cap_of_the_same_epsilon_and_no_more(
    path: Path, rounds: int
) -> None:
    plan = plan_noise(2.0, 1e-6, rounds, Policy())
    with new(path, 2.0) as ledger:
        for round_ in range(rounds):
            ledger.reserve(STUDY, "train", round_, 0, plan.rho_per_round)
        with pytest.raises(BudgetRefusal, match="cap-reached"):
            ledger.reserve(STUDY, "train", rounds, 0, plan.rho_per_round)


def test_one_attempt_is_reserved_once_even_after_a_restart(ledger: Ledger, path: Path) -> None:
    number = ledger.reserve(STUDY, "q", 0, 0, 0.01, run=b"a")
    with pytest.raises(PolicyRefusal, match="attempt-repeated"):
        ledger.reserve(STUDY, "q", 0, 0, 0.01, run=b"a")
    ledger.void(number, "abandoned")
    ledger.close()
    with Ledger.open(path) as again:
        with pytest.raises(PolicyRefusal, match="attempt-repeated"):
            again.reserve(STUDY, "q", 0, 0, 0.02, run=b"a")
        again.reserve(STUDY, "q", 0, 1, 0.01, run=b"a")
        again.reserve(STUDY, "q", 0, 0, 0.01, run=b"b")
        assert again.spent() == pytest.approx(0.03)


def test_a_reservation_is_closed_once_and_voiding_gives_nothing_back(ledger: Ledger) -> None:
    sent = ledger.reserve(STUDY, "q", 0, 0, 0.01)
    ledger.commit(sent, DIGEST)
    kept = ledger.reserve(STUDY, "q", 1, 0, 0.01)
    spent = ledger.spent()
    ledger.void(kept, "the server stopped")
    assert ledger.spent() == spent
    for number in (sent, kept, 1, 99, 0):
        with pytest.raises(OurFault, match="ledger-order"):
            ledger.void(number, "again")
        with pytest.raises(OurFault, match="ledger-order"):
            ledger.commit(number, DIGEST)
    open_one = ledger.reserve(STUDY, "q", 2, 0, 0.01)
    with pytest.raises(OurFault, match="ledger-digest"):
        ledger.commit(open_one, b"short")
    with pytest.raises(OurFault, match="ledger-reason"):
        ledger.void(open_one, "  ")


@pytest.mark.parametrize("rho", [0.0, -0.01, float("nan"), float("inf")])
def test_a_charge_of_nothing_is_refused(ledger: Ledger, rho: float) -> None:
    with pytest.raises(OurFault, match="accountant-input"):
        ledger.reserve(STUDY, "q", 0, 0, rho)


def test_a_charge_without_a_name_is_refused(ledger: Ledger) -> None:
    for arguments in (
        (b"", "q", 0, 0),
        (STUDY, "", 0, 0),
        (STUDY, "q", -1, 0),
        (STUDY, "q", 0, -1),
    ):
        with pytest.raises(OurFault, match="ledger-charge"):
            ledger.reserve(*arguments, 0.01)


@pytest.mark.parametrize(
    ("cap", "delta"), [(0.0, 1e-6), (-1.0, 1e-6), (float("nan"), 1e-6), (1e9, 1e-6), (1.0, 0.1)]
)
def test_an_impossible_cap_is_refused(path: Path, cap: float, delta: float) -> None:
    with pytest.raises(InputError, match="ledger-cap"):
        new(path, cap, delta)
    assert not path.exists()


def test_files_are_private_from_the_first_moment(ledger: Ledger, path: Path) -> None:
    ledger.reserve(STUDY, "q", 0, 0, 0.01)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["ledger.db", "ledger.db-wal", "ledger.db.head"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_nothing_is_ever_overwritten_and_nothing_damaged_is_opened(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="ledger-exists"):
        new(path)
    with pytest.raises(InputError, match="ledger-damaged") as told:
        Ledger.open(path)
    assert "never start a fresh ledger" in told.value.hint
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_lost_ledger_is_not_replaced_while_its_head_remains(ledger: Ledger, path: Path) -> None:
    ledger.close()
    path.unlink()
    with pytest.raises(InputError, match="ledger-exists"):
        new(path)
    with pytest.raises(InputError, match="ledger-missing"):
        Ledger.open(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ledger-folder"):
        new(tmp_path / "absent" / "ledger.db")


def test_one_process_at_a_time(ledger: Ledger, path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from cairn_privacy.ledger import Ledger\n"
        "from cairn_protocol.errors import CairnError\n"
        "try: Ledger.open(Path(sys.argv[1]))\n"
        "except CairnError as error: print(error.code)"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        env=_env(),
        check=True,
    )
    assert out.stdout.strip() == "input.ledger-locked", out.stderr
    ledger.reserve(STUDY, "q", 0, 0, 0.01)


def test_threads_share_the_cap(path: Path) -> None:
    with new(path, 0.5) as ledger:
        refused: list[BaseException] = []

        def spend(study: bytes) -> None:
            for attempt in range(40):
                try:
                    ledger.commit(ledger.reserve(study, "q", 0, attempt, 2e-4), DIGEST)
                except BudgetRefusal as error:
                    refused.append(error)

        threads = [threading.Thread(target=spend, args=(bytes([i]) * 32,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused
        assert ledger.spent() <= rho_for(0.5, 1e-6)
        assert ledger.left() < 2e-4
        assert len(ledger.entries()) == 160 - len(refused)


def test_rows_cannot_be_changed_or_deleted_through_sql(ledger: Ledger, path: Path) -> None:
    ledger.reserve(STUDY, "q", 0, 0, 0.01)
    ledger.close()
    database = sqlite3.connect(path)
    for statement in ("DELETE FROM chain", "UPDATE chain SET body = ''"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.close()


def _env() -> dict[str, str]:
    paths = [str(ROOT / part) for part in ("protocol", "privacy")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


KEEPER = """
import sys
from pathlib import Path
from cairn_privacy.ledger import Ledger
with Ledger.open(Path(sys.argv[1])) as ledger:
    for attempt in range(100_000):
        number = ledger.reserve(b's' * 32, 'q', int(sys.argv[2]), attempt, 1e-6)
        print('reserved', number, flush=True)
        if sys.argv[3] == 'commit':
            ledger.commit(number, bytes(32))
            print('committed', number, flush=True)
"""


@pytest.mark.parametrize("then", ["commit", "leave"])
def test_a_killed_keeper_forgets_no_charge(path: Path, then: str) -> None:
    new(path).close()
    told: dict[int, str] = {}
    for kill in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(path), str(kill), then],
            stdout=subprocess.PIPE,
            text=True,
            env=_env(),
        )
        assert process.stdout
        for _ in range(5 + 7 * kill):
            state, number = process.stdout.readline().split()
            told[int(number)] = state
        time.sleep(0.003 * kill)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            if line.endswith("\n"):
                state, number = line.split()
                told[int(number)] = state
        process.wait()
        process.stdout.close()
        with Ledger.open(path) as ledger:
            entries = {entry.number: entry.state for entry in ledger.entries()}
            assert set(told) <= set(entries)
            assert len(entries) - len(told) <= kill + 1  # durable, killed before it was told
            assert ledger.spent() == pytest.approx(len(entries) * 1e-6, rel=1e-6)
            for number, state in told.items():
                assert state == "reserved" or entries[number] == "committed"
            for pending in ledger.pending():
                ledger.void(pending.number, "the keeper stopped")
                told[pending.number] = "reserved"
            told |= {number: "reserved" for number in entries if number not in told}


def _copied(path: Path, into: Path) -> Path:
    """The files as a power cut would leave them: copied while the ledger is open."""
    into.mkdir(exist_ok=True)
    for file in path.parent.iterdir():
        if file.is_file():
            shutil.copy(file, into / file.name)
    return into / path.name


def _facts(ledger: Ledger) -> tuple[float, tuple[int, ...]]:
    return ledger.spent(), tuple(entry.number for entry in ledger.entries())


def test_flipped_bits_are_noticed_or_harmless(path: Path, tmp_path: Path) -> None:
    generator = random.Random(20)
    noticed = {"ledger.db": 0, "ledger.db-wal": 0, "ledger.db.head": 0}
    with new(path) as ledger:
        for attempt in range(12):
            ledger.commit(ledger.reserve(STUDY, "q", 0, attempt, 0.001), DIGEST)
        facts = _facts(ledger)
        in_wal = _copied(path, tmp_path / "wal")
    settled = _copied(path, tmp_path / "settled")
    for source in (in_wal, settled):
        for name in noticed:
            file = source.parent / name
            if not file.exists() or not file.stat().st_size:
                continue
            original = file.read_bytes()
            for _ in range(30):
                copy = _copied(source, tmp_path / "copy")
                at = generator.randrange(len(original))
                flipped = bytearray(original)
                flipped[at] ^= 1 << generator.randrange(8)
                (copy.parent / name).write_bytes(flipped)
                try:
                    with Ledger.open(copy) as opened:
                        assert _facts(opened) == facts, (name, at)
                except (InputError, OurFault):
                    noticed[name] += 1
                shutil.rmtree(copy.parent)
    assert noticed["ledger.db"] > 2
    assert noticed["ledger.db-wal"] > 2


def test_a_lost_tail_is_noticed(path: Path, tmp_path: Path) -> None:
    with new(path) as ledger:
        ledger.reserve(STUDY, "q", 0, 0, 0.001)
        before = _copied(path, tmp_path / "before")
        ledger.reserve(STUDY, "q", 0, 1, 0.001)
        after = _copied(path, tmp_path / "after")
    whole = (after.parent / "ledger.db-wal").read_bytes()
    for length in (0, 32, len(whole) // 2, len(whole) - 1):
        copy = _copied(after, tmp_path / f"cut{length}")
        (copy.parent / "ledger.db-wal").write_bytes(whole[:length])
        with pytest.raises(InputError, match="ledger-damaged"):
            Ledger.open(copy)
    shutil.copy(after.parent / "ledger.db.head", before.parent / "ledger.db.head")
    with pytest.raises(InputError, match="last charges are missing"):
        Ledger.open(before)


def test_a_restored_backup_does_not_know_the_newer_head(path: Path, tmp_path: Path) -> None:
    """Files rolled back together open; peers' witness of a newer head shows it."""
    with new(path) as ledger:
        ledger.reserve(STUDY, "q", 0, 0, 0.001)
        seen_early = ledger.head()
        backup = _copied(path, tmp_path / "backup")
        ledger.reserve(STUDY, "q", 0, 1, 0.001)
        seen_late = ledger.head()
        assert ledger.contains(seen_early)
        assert ledger.contains(seen_late)
    with Ledger.open(backup) as restored:
        assert restored.contains(seen_early)
        assert not restored.contains(seen_late)


def test_a_missing_head_copy_is_noticed(ledger: Ledger, path: Path) -> None:
    ledger.close()
    path.with_name("ledger.db.head").unlink()
    with pytest.raises(InputError, match="ledger-damaged"):
        Ledger.open(path)


def test_a_torn_head_copy_is_harmless(ledger: Ledger, path: Path) -> None:
    ledger.reserve(STUDY, "q", 0, 0, 0.001)
    ledger.close()
    head = path.with_name("ledger.db.head")
    whole = head.read_bytes()
    for at in (0, 4096):
        head.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])
        Ledger.open(path).close()
    head.write_bytes(bytes(len(whole)))
    with pytest.raises(InputError, match="ledger-damaged"):
        Ledger.open(path)


def test_a_failed_write_stops_the_ledger(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HeadCopy, "write", full)
    with pytest.raises(OurFault, match="ledger-write"):
        ledger.reserve(STUDY, "q", 0, 0, 0.001)
    monkeypatch.undo()
    with pytest.raises(OurFault, match="ledger-stopped"):
        ledger.reserve(STUDY, "q", 0, 1, 0.001)
    ledger.close()
    with Ledger.open(path) as again:
        assert again.spent() >= 0  # what reached the disk is charged


def test_an_export_is_verified_without_the_file(ledger: Ledger) -> None:
    for attempt in range(3):
        ledger.commit(ledger.reserve(STUDY, "q", 0, attempt, 0.001), DIGEST)
    text = ledger.export()
    account = verify_export(text)
    assert account.head.digest == ledger.head()
    assert account.spent * RHO_UNIT == ledger.spent()
    lines = text.splitlines(keepends=True)
    for spoilt in (
        "",
        "not json\n",
        "[]\n",
        "".join(lines[1:]),
        "".join(lines[:2] + lines[3:]),
        "".join([*lines, lines[-1]]),
        text.replace('"attempt":1', '"attempt":7'),
        text.replace('"round":0', '"round":0.0', 1),
    ):
        with pytest.raises(InputError, match="ledger-damaged"):
            verify_export(spoilt)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "terms", "clinic": "x", "cap_epsilon": "3", "delta": "1e-6", "cap_units": 1},
        {"kind": "reserve", "study": "", "run": "", "question": "q", "round": 0, "attempt": 0},
        {
            "kind": "reserve",
            "study": "",
            "run": "",
            "question": "q",
            "round": 0,
            "attempt": 0,
            "units": 10**18,
        },
        {
            "kind": "reserve",
            "study": "",
            "run": "",
            "question": "q",
            "round": 0,
            "attempt": 0,
            "units": 0,
        },
        {
            "kind": "reserve",
            "study": "",
            "run": "",
            "question": "q",
            "round": 0,
            "attempt": 0,
            "units": -5,
        },
        {
            "kind": "reserve",
            "study": "",
            "run": "",
            "question": "q",
            "round": 0,
            "attempt": 0,
            "units": True,
        },
        {
            "kind": "reserve",
            "study": "",
            "run": "",
            "question": "q",
            "round": 0,
            "attempt": 0,
            "units": 5,
            "state": "void",
        },
        {"kind": "commit", "of": 1, "upload": ""},
        {"kind": "void", "of": 7, "reason": "x"},
        {"kind": "refund", "of": 2},
        {},
    ],
)
def test_a_chain_that_breaks_a_rule_is_not_read_although_its_hashes_hold(
    ledger: Ledger, body: dict[str, object]
) -> None:
    account = verify_export(ledger.export())
    _, text, digest = account.next({"at": "2026-01-01T00:00:00+00:00", **body} if body else {})
    line = json.dumps({"entry": json.loads(text), "hash": digest.hex()})
    with pytest.raises(InputError, match="ledger-damaged"):
        verify_export(ledger.export() + line)


def test_a_reservation_is_not_closed_twice_in_a_chain(ledger: Ledger) -> None:
    number = ledger.reserve(STUDY, "q", 0, 0, 0.001)
    ledger.void(number, "abandoned")
    account = verify_export(ledger.export())
    at = "2026-01-01T00:00:00+00:00"
    row = account.next({"kind": "commit", "of": number, "upload": "", "at": at})
    with pytest.raises(InputError, match="ledger-damaged"):
        account.check(*row)


def test_an_entry_has_one_form(ledger: Ledger) -> None:
    """Two readers of '{"units":9,"units":1}' might disagree; such a text is not an entry."""
    ledger.reserve(STUDY, "q", 0, 0, 0.001)
    account = verify_export(ledger.export())
    body = ledger.entries()[0].body("2026-01-01T00:00:00+00:00")
    number, text, digest = account.next({**body, "attempt": 1})
    account.check(number, text, digest)
    for other in (text.replace(":", ": "), text.replace('"units"', '"units":1,"units"')):
        forged = hashlib.sha256(TAG + account.head.digest + other.encode()).digest()
        with pytest.raises(InputError, match="one form"):
            account.check(number, other, forged)


def test_every_refusal_says_what_to_do(ledger: Ledger, path: Path) -> None:
    with pytest.raises(CairnError) as told:
        Ledger.open(path)
    assert told.value.hint
