"""`large_ledger`: a ledger of 100,000 links without waiting 50,000 times for the disk."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cairn_privacy.blocks import Blocks
from cairn_privacy.chain import Account
from cairn_privacy.durable import HeadCopy
from cairn_privacy.ledger_file import LedgerFile, head_path
from cairn_privacy.links import Body, Entry, StudyAccount, Terms

STUDIES = 40  # each with a window of its own, so that the blocks fall into many steps
CHARGES = 50_000
AT = "2026-01-01T00:00:00+00:00"
UNIT = 2**50  # of ρ


def large_ledger(path: Path) -> list[StudyAccount]:
    """The studies of a ledger that is made at `path`: 50,000 charges, each committed."""
    file, account = LedgerFile(path), Account()
    file.prepare()
    file._database.execute("BEGIN")

    def add(body: Body) -> int:
        row = account.next(body)
        account.adopt(account.check(*row))
        file._database.execute("INSERT INTO chain VALUES (?, ?, ?)", row)
        return row[0]

    studies = [_study(number) for number in range(STUDIES)]
    add(Terms("bench", "20.0", "1e-06", 10 * UNIT).body(AT))
    for study in studies:
        add(study.body(AT))
    for number in range(CHARGES):
        study = studies[number % STUDIES].study
        charge = Entry(study, "00" * 16, "course", number // STUDIES, 0, 1000)
        add({"kind": "commit", "at": AT, "of": add(charge.body(AT)), "upload": "00" * 32})
    file._database.execute("COMMIT")
    file.close()
    HeadCopy(head_path(path)).write(account.head)
    return studies


def _study(number: int) -> StudyAccount:
    window = Blocks.of_window(date(2000 + number, 1, 1), date(2002 + number, 6, 30))
    return StudyAccount(f"{number:064x}", f"s{number}", "bench", "ab" * 32, window, UNIT)
