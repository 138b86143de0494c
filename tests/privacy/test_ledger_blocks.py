"""Rule L7: charges by quarter of entry, decided by the study's window and by nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_privacy import witnessed
from cairn_privacy.accounting import RHO_UNIT, rho_for, units_within
from cairn_privacy.blocks import (
    EARLIEST,
    END,
    EVERYONE,
    UNDATED,
    Blocks,
    BlockSums,
    quarter,
    quarter_name,
    quarter_named,
)
from cairn_privacy.chain import verify_export
from cairn_privacy.durable import HeadCopy
from cairn_privacy.ledger import Ledger
from cairn_privacy.ledger_file import LedgerFile, head_path
from cairn_privacy.links import StudyAccount
from cairn_protocol.errors import BudgetRefusal, OurFault

BEFORE_BLOCKS = Path(__file__).parent / "ledger_before_blocks.jsonl"
CAP = rho_for(3.0, 1e-6)
ONE = rho_for(1.0, 1e-6)


def account(
    name: str, blocks: Blocks, cap: float = CAP, team: str = "ab" * 32
) -> tuple[bytes, StudyAccount]:
    study = name.encode().ljust(32, b".")
    return study, StudyAccount(study.hex(), name, f"About {name}", team, blocks, units_within(cap))


def years(first: int, last: int) -> Blocks:
    return Blocks.of_window(date(first, 1, 1), date(last, 12, 31))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.create(path, clinic="Brook (synthetic)", cap_epsilon=3.0, delta=1e-6) as opened:
        yield opened


def spend(ledger: Ledger, name: str, blocks: Blocks, rho: float, cap: float = CAP) -> int:
    study, of = account(name, blocks, cap)
    attempt = sum(entry.study == study.hex() for entry in ledger.entries())
    return ledger.reserve(study, "effect", 0, attempt, rho, account=of)


@given(st.dates())
def test_every_day_is_in_one_quarter(day: date) -> None:
    assert quarter_named(quarter_name(quarter(day))) == quarter(day)
    assert EARLIEST < quarter(day) < END
    assert quarter(day) in Blocks.of_window(day, day)
    assert quarter_name(quarter(day)).endswith(f"Q{(day.month + 2) // 3}")


@given(st.dates() | st.none(), st.dates() | st.none(), st.dates())
def test_whoever_a_window_admits_is_in_a_block_that_is_charged(
    first: date | None, last: date | None, entered: date
) -> None:
    if first and last and first > last:
        first, last = last, first
    blocks = Blocks.of_window(first, last)
    if (first or date.min) <= entered <= (last or date.max):
        assert quarter(entered) in blocks
    assert (UNDATED in blocks) == (first is None and last is None), "undated: with no window only"
    assert Blocks.named(blocks.first_name, blocks.last_name) == blocks


@pytest.mark.parametrize(
    ("first", "last"),
    [("", "latest"), ("undated", "2024-Q5"), ("2024-Q3", "2024-Q2"), ("2024q1", "2024-Q2")],
)
def test_other_names_are_no_blocks(first: str, last: str) -> None:
    with pytest.raises(ValueError, match=r"blocks|quarter"):
        Blocks.named(first, last)


def test_blocks_are_told_in_words() -> None:
    told = [
        EVERYONE,
        years(2023, 2024),
        Blocks.of_window(None, date(2024, 2, 1)),
        Blocks.of_window(date(2024, 2, 1), None),
        Blocks.of_window(date(2024, 2, 1), date(2024, 3, 1)),
        Blocks.up_to(quarter(date(2024, 2, 1))),
        Blocks(UNDATED, EARLIEST),
    ]
    assert [blocks.words() for blocks in told] == [
        "every patient, also those still to come",
        "entered 2023-Q1 to 2024-Q4",
        "entered by the end of 2024-Q1",
        "entered from 2024-Q1 on, also later",
        "entered in 2024-Q1",
        "entered by the end of 2024-Q1, or no date known",
        "no date of entry known",
    ]


spans = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(
    lambda pair: Blocks(pair[0], pair[0] + pair[1])
)


@given(st.lists(st.tuples(spans | st.just(EVERYONE), st.integers(1, 9)), max_size=12), spans)
def test_sums_by_block_are_those_of_a_slow_table(
    charges: list[tuple[Blocks, int]], asked: Blocks
) -> None:
    sums, table = BlockSums(), [0] * 200
    for blocks, units in charges:
        sums.add(blocks, units)
        for block in range(blocks.first, min(blocks.end, 200)):
            table[block] += units
    assert sums.most(asked) == max(table[asked.first : asked.end])
    steps = list(sums.steps())
    assert [steps[0][0].first, steps[-1][0].end] == [UNDATED, END]
    assert all(a[0].end == b[0].first and a[1] != b[1] for a, b in pairwise(steps))
    assert [
        level for blocks, level in steps for _ in range(blocks.first, min(blocks.end, 200))
    ] == (table)


def test_an_old_study_does_not_lock_out_patients_who_came_later(ledger: Ledger) -> None:
    spend(ledger, "old", years(2023, 2024), CAP)
    with pytest.raises(BudgetRefusal, match="cap-reached"):
        spend(ledger, "again", years(2024, 2025), ONE)
    with pytest.raises(BudgetRefusal, match="cap-reached"):
        spend(ledger, "all", EVERYONE, ONE)
    spend(ledger, "new", years(2025, 2026), CAP)
    assert ledger.left(blocks=years(2027, 2030)) == ledger.spent(blocks=years(2025, 2025))
    assert ledger.left() == 0.0
    assert ledger.spent() == pytest.approx(CAP)


def test_a_study_without_a_window_is_charged_to_those_still_to_come(ledger: Ledger) -> None:
    spend(ledger, "all", EVERYONE, ONE)
    for blocks in (years(1950, 1950), years(2090, 2090), Blocks(UNDATED, EARLIEST)):
        assert ledger.spent(blocks=blocks) == pytest.approx(ONE)


def test_a_quarter_is_charged_whole_and_only_where_the_window_touches_it(ledger: Ledger) -> None:
    spend(ledger, "days", Blocks.of_window(date(2024, 3, 31), date(2024, 4, 1)), ONE)
    half = Blocks.of_window(date(2024, 1, 1), date(2024, 6, 30))
    assert ledger.spent(blocks=half) == ledger.spent(account("days", half)[0])
    assert ledger.spent(blocks=years(2023, 2023)) == 0.0
    assert ledger.spent(blocks=Blocks.of_window(date(2024, 7, 1), None)) == 0.0


def test_a_study_has_one_cap_from_its_first_charge_on(ledger: Ledger, path: Path) -> None:
    spend(ledger, "capped", years(2024, 2024), ONE, cap=1.5 * ONE)
    with pytest.raises(BudgetRefusal, match="this study's privacy cap"):
        spend(ledger, "capped", years(2024, 2024), ONE, cap=5 * ONE)
    with pytest.raises(BudgetRefusal, match="this study's privacy cap"):
        spend(ledger, "capped", years(2024, 2024), 0.4 * ONE, cap=1.2 * ONE)
    ledger.close()
    study, _ = account("capped", years(2024, 2024))
    with Ledger.open(path) as again, pytest.raises(BudgetRefusal, match="study's privacy cap"):
        again.reserve(study, "effect", 0, 9, ONE)


def test_a_study_does_not_change_its_blocks(ledger: Ledger) -> None:
    spend(ledger, "one", years(2024, 2024), ONE / 4)
    with pytest.raises(OurFault, match="study-blocks"):
        spend(ledger, "one", years(2025, 2025), ONE / 4)
    study, of = account("bare", EVERYONE)
    ledger.reserve(study, "effect", 0, 0, ONE / 4)
    with pytest.raises(OurFault, match="study-blocks"):
        spend(ledger, "bare", years(2025, 2025), ONE / 4)
    with pytest.raises(OurFault, match="another study"):
        ledger.reserve(b"x" * 32, "effect", 0, 0, ONE / 4, account=of)


def migrated(path: Path) -> Ledger:
    """A ledger as an earlier version left it: its rows, its file, its copy of the head."""
    file = LedgerFile(path)
    file.prepare()
    file.close()
    rows = [json.loads(line) for line in BEFORE_BLOCKS.read_text().splitlines()]
    database = sqlite3.connect(path)
    for number, row in enumerate(rows, 1):
        body = json.dumps(row["entry"], sort_keys=True, separators=(",", ":"))
        database.execute(
            "INSERT INTO chain VALUES (?, ?, ?)", (number, body, bytes.fromhex(row["hash"]))
        )
    database.commit()
    database.close()
    seen = verify_export(BEFORE_BLOCKS.read_text())
    HeadCopy(head_path(path)).write(seen.head)
    return Ledger.open(path)


def test_charges_from_before_there_were_blocks_count_in_every_block(path: Path) -> None:
    with migrated(path) as ledger:
        spent = sum(entry.rho for entry in ledger.entries())
        assert len(ledger.entries()) == 4
        assert spent == pytest.approx(ONE + 0.03)
        for blocks in (years(1990, 1990), years(2090, 2090), EVERYONE, Blocks(UNDATED, EARLIEST)):
            assert ledger.spent(blocks=blocks) == pytest.approx(spent)
        assert not ledger.windowed
        room = CAP - spent
        with pytest.raises(BudgetRefusal):
            spend(ledger, "new", years(2031, 2031), room + 0.001)
        spend(ledger, "new", years(2031, 2031), room - 0.001)
        assert ledger.windowed
        assert ledger.spent(blocks=years(2032, 2032)) == pytest.approx(spent)
        pending = ledger.pending()
        assert [entry.question for entry in pending] == ["course", "effect"]
        ledger.commit(pending[0].number, bytes(32))


def test_an_old_study_may_be_told_of_later_with_the_blocks_that_it_had(path: Path) -> None:
    with migrated(path) as ledger:
        old = StudyAccount((b"s" * 32).hex(), "old", "", "", EVERYONE, units_within(ONE))
        ledger.declare(old)
        with pytest.raises(BudgetRefusal, match="this study's"):
            ledger.reserve(b"s" * 32, "effect", 0, 1, 0.01)


def test_the_clock_decides_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls under a clock that jumps by centuries: the same charges, caps, refusals."""

    def run(path: Path, clock: Iterator[datetime]) -> list[object]:
        monkeypatch.setattr(witnessed, "now", lambda: next(clock).isoformat(timespec="seconds"))
        monkeypatch.setattr("cairn_privacy.ledger.now", lambda: next(clock).isoformat())
        told: list[object] = []
        Ledger.create(path, clinic="x", cap_epsilon=3.0, delta=1e-6).close()
        for name, blocks in (("a", years(2023, 2024)), ("b", EVERYONE), ("c", years(2090, 2091))):
            for _ in range(5):
                with Ledger.open(path) as ledger:
                    try:
                        number = spend(ledger, name, blocks, ONE)
                        ledger.commit(number, bytes(32))
                        told.append(number)
                    except BudgetRefusal as error:
                        told.append(error.why)
        with Ledger.open(path) as ledger:
            charged = verify_export(ledger.export()).charged
        return [*told, *charged.steps()]

    steady = iter([datetime(2026, 1, 1, tzinfo=UTC)] * 999)
    start, day = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1)
    wild = (start + day * ((n * 7919) % 60_000) for n in range(999))
    first, second = path.with_name("steady.db"), path.with_name("wild.db")
    assert run(first, steady) == run(second, wild)


def test_the_chain_says_who_asked_and_a_chain_that_breaks_l7_is_not_read(ledger: Ledger) -> None:
    spend(ledger, "first", years(2024, 2024), ONE)
    seen = verify_export(ledger.export())
    (told,) = seen.studies.values()
    assert (told.name, told.title, told.team) == ("first", "About first", "ab" * 32)
    at = "2026-01-01T00:00:00+00:00"
    study, second = account("second", years(2025, 2025), cap=ONE)
    bad = [
        {**told.body(at), "cap_units": 1},  # twice
        {**second.body(at), "cap_units": 0},
        {**second.body(at), "first": "2026-Q1"},  # ends before it begins
        {**second.body(at), "last": "soon"},
        {**second.body(at), "team": 5},
    ]
    for body in bad:
        with pytest.raises(Exception, match="ledger-damaged"):
            seen.check(*seen.next(body))
    seen.adopt(seen.check(*seen.next(second.body(at))))
    charge = {
        "kind": "reserve",
        "at": at,
        "study": study.hex(),
        "run": "",
        "question": "q",
        "round": 0,
        "attempt": 0,
        "units": int(ONE / RHO_UNIT) + 10,
    }
    with pytest.raises(Exception, match="ledger-damaged"):
        seen.check(*seen.next(charge))  # over the study's cap, with hashes that hold
    seen.check(*seen.next({**charge, "units": 10}))
