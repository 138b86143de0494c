"""`cairn clinic doctor`: what is wrong here, why, and what to do; exit status 0, 1 or 2."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder

if TYPE_CHECKING:
    from cairn_client.doctor import Finding, Report

WIDTH = 96
SIGNS = {"ok": "ok", "unchecked": "–", "warning": "WARNING", "problem": "PROBLEM"}


def clinic_doctor(
    folder: Folder = Path(),
    as_json: AsJson = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Show what is in order and what was not checked, too.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="Time for each step over the network.")
    ] = 3.0,
) -> None:
    """Say what is wrong at this clinic, why, and what to do. Exit status: 2 problem, 1 warning."""
    from cairn_client.doctor import examine

    report = examine(folder, seconds=seconds)
    print(json.dumps(report.to_json()) if as_json else report_text(report, everything=all_))
    sys.stdout.flush()
    if report.exit_status:
        raise typer.Exit(report.exit_status)


def report_text(report: Report, *, everything: bool = False) -> str:
    """The report for a person: a line a family, under it what is wrong."""
    lines = []
    for name, found in report.families:
        wrong = [finding for finding in found if finding.remedy]
        shown = found if everything else wrong
        checked = sum(finding.level != "unchecked" for finding in found)
        if not wrong:
            told = f"{checked} in order" if checked else "nothing to check yet"
        else:
            levels = [finding.level.value for finding in wrong]
            kinds = [f"{levels.count(k)} {k}" for k in ("problem", "warning") if k in levels]
            told = ", ".join(kinds)
        lines.append(f"{name:12} {told}")
        lines += [line for finding in shown for line in _finding(finding)]
    return "\n".join((*lines, "", _sum(report)))


def _finding(finding: Finding) -> list[str]:
    lines = _wrapped(f"{SIGNS[finding.level]:8}", f"{finding.what} ({finding.code})")
    if finding.why:
        lines += _wrapped("    why ", finding.why)
    if finding.remedy:
        lines += _wrapped("     do ", finding.remedy)
    return lines


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {head} ",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sum(report: Report) -> str:
    match report.exit_status:
        case 0:
            return "Nothing stands in the way."
        case 1:
            return "Nothing stands in the way; the warnings say what could be better."
    return "Mend the problems, then ask again: cairn clinic doctor"
