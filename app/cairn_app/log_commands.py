"""`cairn clinic log …`: the audit log: what happened here; an export; a check without a keeper."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, json_of, keeper_at
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from cairn_client.audit_log.export import Verified
    from cairn_client.keeper_client import KeeperClient
    from cairn_protocol.proto import audit_pb2 as pb

LARGEST_EXPORT = 1 << 30  # bytes; some millions of entries
NOT_PROVEN = 8  # exit status: it holds together, and something is not proven
log_app = typer.Typer(
    invoke_without_command=True,
    help="The audit log: what was decided here, what left, who looked; countersigned by the team.",
)


@log_app.callback()
def clinic_log(
    context: typer.Context,
    folder: Folder = Path(),
    last: Annotated[int, typer.Option("--last", min=1, help="So many of the newest.")] = 20,
    all_: Annotated[
        bool, typer.Option("--all", help="Every entry, those made for countersigning too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the newest entries, and up to where the research team has countersigned them."""
    if context.invoked_subcommand is not None:
        return
    from cairn_app.log_text import log_text

    with keeper_at(folder) as keeper:
        entries, standing = _newest(keeper, None if all_ else last)
    entries.reverse()
    if as_json:
        lines = {"entries": [json.loads(json_of(entry)) for entry in entries]}
        print(json.dumps({**lines, "standing": json.loads(json_of(standing))}))
        return
    print(log_text(entries, standing))


@log_app.command("export")
def clinic_log_export(
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist.")],
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Write the whole log with its receipts into a file that anybody can check."""
    from cairn_client.audit_log.admin import SERVICE
    from cairn_client.audit_log.export import verified
    from cairn_client.audit_log.fetch import ReplyT, fetched

    with keeper_at(folder) as keeper:

        def ask(method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
            return keeper.admin(method, request, reply, service=SERVICE)

        text = fetched(ask)
        team = _page(keeper, limit=1).standing.team
    _write(file, text)
    log = verified(text)
    entries, receipts = len(log.entries), len(log.receipts) + len(log.lost)
    if as_json:
        print(json.dumps({"file": str(file), "entries": entries, "receipts": receipts}))
        return
    print(f"{file}: {entries:,} entries, {receipts:,} receipts")
    print("It names this clinic's people and counts its rows: give it to those who may know that.")
    print(f"Check it anywhere with  cairn clinic log verify {file}{_team_option(team)}")


@log_app.command("verify")
def clinic_log_verify(  # noqa: PLR0917
    file: Annotated[Path, typer.Argument(help="What `cairn clinic log export` wrote.")],
    team: Annotated[
        str, typer.Option("--team", help="The research team's fingerprint, as you know it.")
    ] = "",
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="What `cairn clinic ledger --export` wrote."),
    ] = None,
    head: Annotated[
        str, typer.Option("--head", help="A head that `cairn server audit` showed.")
    ] = "",
    since: Annotated[
        Path | None, typer.Option("--since", help="An earlier export, which it has to continue.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an exported log and say what it proves. Needs no keeper and no server.

    Exit status: 0 proven as far as the receipts reach, 8 something is not proven, 9 altered.
    """
    from cairn_app.ledger_commands import verified as verified_ledger
    from cairn_app.log_text import Judged, verdict_text
    from cairn_client.audit_log.against_ledger import compared

    log = _read(file)
    if since is not None:
        log.check_continues(_read(since))
    if head:
        log.check_shows(_hexadecimal(head))
    judged = Judged.of(
        log,
        team=_team(log, team),
        paid=compared(log, verified_ledger(ledger)) if ledger is not None else None,
        head_known=bool(head),
    )
    print(json.dumps(asdict(judged)) if as_json else verdict_text(str(file), log, judged))
    if judged.not_proven:
        raise typer.Exit(NOT_PROVEN)


def _newest(keeper: KeeperClient, most: int | None) -> tuple[list[pb.AuditEntry], pb.AuditStanding]:
    """The newest entries, the newest first; None: all, those of countersigning too."""
    found: list[pb.AuditEntry] = []
    page = _page(keeper, newest_first=True)
    standing = page.standing
    while page.entries and (most is None or len(found) < most):
        found += [e for e in page.entries if most is None or e.kind != "head"]
        page = _page(keeper, after=page.entries[-1].number, newest_first=True)
    return found[:most], standing


def _page(
    keeper: KeeperClient, *, after: int = 0, limit: int = 0, newest_first: bool = False
) -> pb.AuditLogReply:
    from cairn_client.audit_log.admin import SERVICE
    from cairn_protocol.proto import audit_pb2 as pb

    request = pb.AuditLogRequest(after=after, limit=limit, newest_first=newest_first)
    return keeper.admin("AuditLog", request, pb.AuditLogReply, service=SERVICE)


def _write(file: Path, text: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            f"{file} exists already",
            code="file-exists",
            hint="give a name that is free; earlier exports show what was changed since",
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _read(file: Path) -> Verified:
    from cairn_client.audit_log.chain import altered
    from cairn_client.audit_log.export import verified
    from cairn_protocol.study import read_bounded

    try:
        return verified(read_bounded(file, LARGEST_EXPORT).decode())
    except UnicodeDecodeError:
        raise altered("it is not UTF-8") from None


def _team(log: Verified, typed: str) -> bytes | None:
    """The key with that fingerprint, of those that signed; None where nobody gave one."""
    from cairn_client.audit_log.chain import altered
    from cairn_protocol.identity import fingerprint
    from cairn_protocol.member_list import fingerprint_typed

    if not typed:
        return None
    heard = fingerprint_typed(typed)
    for key in log.teams:
        if fingerprint(key) == heard:
            return key
    raise altered("this clinic never joined the team with that fingerprint")


def _team_option(team: str) -> str:
    from cairn_protocol.identity import fingerprint

    return f" --team {fingerprint(bytes.fromhex(team))}" if team else ""


def _hexadecimal(head: str) -> bytes:
    try:
        return bytes.fromhex(head)
    except ValueError:
        raise InputError(
            "a head is hexadecimal", code="digest", hint="copy all 64 characters"
        ) from None
