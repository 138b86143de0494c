"""A full or failing disk, and every single bit of a ledger turned: noticed, or harmless."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from zlib import crc32

import pytest

from cairn_privacy.accounting import units_within
from cairn_privacy.blocks import Blocks
from cairn_privacy.chain import Account, verify_export
from cairn_privacy.ledger import Ledger
from cairn_privacy.ledger_file import head_path
from cairn_privacy.links import StudyAccount
from cairn_protocol.errors import CairnError, InputError, OurFault

STUDY = b"s" * 32
RHO = 2.0**-20
ACCOUNT = StudyAccount(
    STUDY.hex(), "bits", "", "", Blocks.of_window(date(2024, 1, 1), None), units_within(1.0)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "ledger.db"
    Ledger.create(path, clinic="Brook (synthetic)", cap_epsilon=3.0, delta=1e-6).close()
    return path


def spend(ledger: Ledger, attempt: int) -> int:
    return ledger.reserve(STUDY, "q", 0, attempt, RHO, account=ACCOUNT)


def spend_until_full(ledger: Ledger) -> tuple[int, OurFault]:
    """How many charges were accepted, and what was said to the next."""
    accepted = 0
    try:
        for attempt in range(10_000):
            ledger.commit(spend(ledger, attempt), bytes(32))
            accepted += 1
    except OurFault as error:
        return accepted, error
    raise AssertionError("the disk never was full")


def check_stopped(ledger: Ledger, path: Path, accepted: int, error: OurFault) -> None:
    """It says so, answers nothing more, and has every charge when there is room again."""
    assert error.code == "internal.ledger-write"
    assert "disk" in error.hint
    for call in (lambda: spend(ledger, 20_000), ledger.export):
        with pytest.raises(OurFault, match="ledger-stopped"):
            call()
    ledger.close()
    with Ledger.open(path) as again:
        there = len(again.entries())
        assert accepted <= there <= accepted + 1
        assert again.spent() == there * RHO
        spend(again, 30_000)


def test_a_full_database(path: Path) -> None:
    ledger = Ledger.open(path)
    (pages,) = ledger._file._database.execute("PRAGMA page_count").fetchone()
    ledger._file._database.execute(f"PRAGMA max_page_count = {pages + 2}")
    accepted, error = spend_until_full(ledger)
    assert accepted > 0
    assert "full" in error.why
    check_stopped(ledger, path, accepted, error)


@pytest.mark.parametrize("room", [1, 3000, 50_000])
def test_a_file_that_may_not_grow(path: Path, room: int) -> None:
    """RLIMIT_FSIZE: a write beyond the limit fails as on a full disk."""
    ledger = Ledger.open(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        accepted, error = spend_until_full(ledger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_stopped(ledger, path, accepted, error)


def test_a_second_head_that_cannot_be_written(path: Path) -> None:
    """/dev/full takes no byte: the charge is on disk, but its second head is not."""
    head = head_path(path)
    kept = head.with_name("kept")
    ledger = Ledger.open(path)
    spend(ledger, 0)
    head.rename(kept)
    head.symlink_to("/dev/full")
    with pytest.raises(OurFault, match="ledger-write") as told:
        spend(ledger, 1)
    with pytest.raises(OurFault, match="ledger-stopped"):
        spend(ledger, 2)
    ledger.close()
    with pytest.raises(InputError, match="ledger-damaged"):
        Ledger.open(path)  # /dev/full reads as zeros without end
    assert "space" in told.value.why
    head.unlink()
    kept.rename(head)
    with Ledger.open(path) as again:
        assert len(again.entries()) == 2, "what was refused at the last step stays charged"


def facts(ledger: Ledger) -> tuple[object, ...]:
    """All that the ledger decides by."""
    account = ledger._account
    entries = tuple((e.name, e.units, e.blocks, e.state) for e in ledger.entries())
    return entries, *account.charged.steps(), account.terms, tuple(account.studies.values())


@pytest.fixture
def small(path: Path, tmp_path: Path) -> Callable[[], tuple[dict[str, bytes], tuple[object, ...]]]:
    """The files of a ledger of a few links, as they lie while it is open, and its facts."""

    def make() -> tuple[dict[str, bytes], tuple[object, ...]]:
        with Ledger.open(path) as ledger:
            ledger.commit(spend(ledger, 0), bytes(range(32)))
            ledger.void(spend(ledger, 1), "abandoned")
            spend(ledger, 2)
            files = {f.name: f.read_bytes() for f in path.parent.iterdir()}
            return files, facts(ledger)

    return make


Small = Callable[[], tuple[dict[str, bytes], tuple[object, ...]]]


def turned(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def every(files: dict[str, bytes], step: int) -> Iterator[tuple[str, int]]:
    for name, content in files.items():
        for bit in range(crc32(name.encode()) % step, 8 * len(content), step):
            yield name, bit


def check_bits(
    files: dict[str, bytes], right: tuple[object, ...], folder: Path, step: int, only: str = ""
) -> dict[str, int]:
    """How many turned bits of each file were noticed; the others changed nothing at all."""
    noticed = dict.fromkeys(files, 0)
    turned_in = {only: files[only]} if only else files
    for name, bit in every(turned_in, step):
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(turned(content, bit) if file == name else content)
        try:
            with Ledger.open(folder / "ledger.db") as opened:
                assert facts(opened) == right, (name, bit)
        except InputError as error:
            noticed[name] += error.code == "input.ledger-damaged"
        shutil.rmtree(folder)
    return noticed


def test_bits_of_every_file_are_noticed_or_harmless(small: Small, tmp_path: Path) -> None:
    files, right = small()
    assert set(files) == {"ledger.db", "ledger.db-wal", "ledger.db.head"}
    noticed = check_bits(files, right, tmp_path / "turned", 1511)
    assert noticed["ledger.db-wal"] > 0


def test_bits_of_a_closed_ledger_are_noticed_or_harmless(
    path: Path, small: Small, tmp_path: Path
) -> None:
    _, right = small()
    files = {f.name: f.read_bytes() for f in path.parent.iterdir()}
    assert set(files) == {"ledger.db", "ledger.db.head"}
    noticed = check_bits(files, right, tmp_path / "turned", 37)
    assert noticed["ledger.db"] > 0


@pytest.mark.soak
def test_every_bit_of_a_closed_ledger_is_noticed_or_harmless(
    path: Path, small: Small, tmp_path: Path
) -> None:
    _, right = small()
    files = {f.name: f.read_bytes() for f in path.parent.iterdir()}
    assert sum(check_bits(files, right, tmp_path / "turned", 1).values()) > 1000


@pytest.mark.soak
def test_every_bit_of_the_newest_charge_is_noticed_or_harmless(path: Path, tmp_path: Path) -> None:
    """It lies in the WAL alone; a WAL that is cut short would be a ledger without it."""
    with Ledger.open(path) as ledger:
        ledger.reserve(STUDY, "q", 0, 0, RHO)
        files = {f.name: f.read_bytes() for f in path.parent.iterdir()}
        right = facts(ledger)
    noticed = check_bits(files, right, tmp_path / "turned", 1, only="ledger.db-wal")
    assert noticed["ledger.db-wal"] > 0.9 * 8 * len(files["ledger.db-wal"])


def test_every_bit_of_an_export_is_noticed_or_harmless(path: Path, small: Small) -> None:
    small()
    with Ledger.open(path) as ledger:
        text, head = ledger.export(), ledger.head()
    right = said(verify_export(text))
    noticed, content = 0, text.encode()
    for bit in range(8 * len(content)):
        try:
            seen = verify_export(turned(content, bit).decode())
        except (CairnError, UnicodeDecodeError):
            noticed += 1
        else:
            assert (said(seen), seen.head.digest) == (right, head), bit
    assert noticed > 0.98 * 8 * len(content)


def said(account: Account) -> tuple[object, ...]:
    return *account.entries.values(), *account.charged.steps(), account.terms, *account.studies
