"""`cairn clinic ledger …`: what was spent and is left; a check without a keeper; restoring."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, at, config_of, keeper_at
from cairn_app.sign_in import PasswordFile, password_from
from cairn_protocol.errors import InputError, PolicyRefusal

if TYPE_CHECKING:
    from cairn_privacy.chain import Account
    from cairn_privacy.ledger_view import LedgerView

LARGEST_EXPORT = 1 << 30  # bytes; some millions of links
ledger_app = typer.Typer(
    invoke_without_command=True, help="The privacy ledger: spent, by whom, for what, what is left."
)


@ledger_app.callback()
def clinic_ledger(
    context: typer.Context,
    folder: Folder = Path(),
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the whole ledger there; - is stdout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was spent, by whom, for what, when; what is left, and what it could still buy."""
    if context.invoked_subcommand is not None:
        return
    from cairn_privacy.accounting import rho_for
    from cairn_privacy.chain import verify_export
    from cairn_privacy.ledger_view import LedgerView

    config, lines = config_of(folder), fetched(folder)
    if export == Path("-"):
        sys.stdout.write(lines)
        return
    if not lines:
        _none_yet(export, as_json=as_json)
        return
    account = verify_export(lines)  # the keeper's word is checked like anybody's
    if export is not None:
        _write(export, lines)
        told = {"file": str(export), "links": account.head.number, "head": _head_of(account)}
        print(
            json.dumps(told)
            if as_json
            else f"{export}: {account.head.number:,} links, head {_head_of(account)}\n"
            f"check it anywhere with  cairn clinic ledger verify {export}"
        )
        return
    cap = rho_for(config.cap_epsilon, config.delta)
    _show(LedgerView.of(account, cap_rho=cap), as_json=as_json)


@ledger_app.command("verify")
def clinic_ledger_verify(
    file: Annotated[Path, typer.Argument(help="What `cairn clinic ledger --export` wrote.")],
    since: Annotated[
        Path | None, typer.Option("--since", help="An earlier export, which it has to continue.")
    ] = None,
    head: Annotated[
        str, typer.Option("--head", help="A head noted earlier, which it has to contain.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check an exported ledger and show what it says. Needs no keeper and no server."""
    from cairn_privacy.ledger_view import LedgerView

    account = verified(file)
    if since is not None:
        earlier = verified(since)
        if not account.contains(earlier.head):
            raise _rewritten(f"it does not continue {since}")
    if head and bytes.fromhex(_hexadecimal(head)) not in account.hashes:
        raise _rewritten("it does not contain the head")
    _show(LedgerView.of(account), as_json=as_json)
    if not as_json:
        print(f"\n{file} holds together{_compared(since, head)}.")


@ledger_app.command("restore")
def clinic_ledger_restore(  # noqa: PLR0917
    person: Annotated[
        str, typer.Option("--person", help="Who answers for it: their account, or their name.")
    ],
    agree: Annotated[
        bool, typer.Option("--agree", help="Agree, as a second person, to what was proposed.")
    ] = False,
    study: Annotated[
        list[Path] | None,
        typer.Option("--study", help="A study file approved since the backup; may be repeated."),
    ] = None,
    all_named: Annotated[
        bool, typer.Option("--all-named", help="No study but the offered and named was approved.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="Nobody knows: charge all that is left.")
    ] = False,
    password_file: PasswordFile = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let a clinic go on whose ledger came back from a backup. Two persons; the keeper stopped."""
    from dataclasses import asdict

    from cairn_app.ledger_text import gap_text
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.restore import agree as agree_to
    from cairn_client.restore import propose

    if all_named + everything + agree != 1:
        raise InputError(
            "say what may be missing, or agree to what was said",
            code="restore-choice",
            why="one of --all-named, --everything and --agree is needed",
            hint="--all-named: no study but those offered before the backup and those given with "
            "--study was approved since; --everything: nobody can say; --agree: the second person",
        )
    clinic = ClinicFolder.open(folder)

    def password() -> str:
        return password_from(f"Password of {person}: ", password_file)

    if agree:
        gap = agree_to(clinic, person, password=password)
    else:
        gap = propose(
            clinic,
            person,
            files=study or (),
            everything=everything,
            today=datetime.now(UTC).date(),
            password=password,
        )
    if as_json:
        print(json.dumps(asdict(gap)))
        return
    if agree:
        print(f"{gap.by[1]} agrees with {gap.by[0]}; {clinic.config.name} may go on.")
        print(gap_text(gap))
        print("\nStart it again with  cairn clinic run" + at(folder))
        return
    print(f"{gap.by[0]} answers for what the ledger of {clinic.config.name} may lack.")
    print(gap_text(gap))
    print("\nNothing about patients is answered until a second person agrees:")
    print(f"  cairn clinic ledger restore --agree --person NAME{at(folder)}")


def fetched(folder: Path) -> str:
    """The whole ledger from the clinic's keeper, part by part."""
    from cairn_protocol.proto import keeper_pb2 as pb

    parts: list[str] = []
    with keeper_at(folder) as keeper:
        while True:
            request = pb.LedgerRequest(after=sum(part.count("\n") for part in parts))
            part = keeper.admin("Ledger", request, pb.LedgerReply).lines
            if not part:
                return "".join(parts)
            parts.append(part)


def _none_yet(export: Path | None, *, as_json: bool) -> None:
    if export is not None:
        raise PolicyRefusal(
            "this clinic has no ledger yet",
            code="ledger-none",
            why="nothing about patients was ever asked here",
            hint="it is made when the first study about patients begins",
        )
    none = "Nothing about patients was ever asked here; the first study about them makes a ledger."
    print("null" if as_json else none)


def _show(view: LedgerView, *, as_json: bool) -> None:
    from dataclasses import asdict

    from cairn_app.ledger_text import ledger_text

    print(json.dumps(asdict(view)) if as_json else ledger_text(view))


def verified(file: Path) -> Account:
    from cairn_privacy.chain import damaged, verify_export
    from cairn_protocol.study import read_bounded

    try:
        return verify_export(read_bounded(file, LARGEST_EXPORT).decode())
    except UnicodeDecodeError:
        raise damaged("the export is not UTF-8") from None


def _write(file: Path, lines: str) -> None:
    """Readable by its owner alone: a link that may read it does not start."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(lines)


def _head_of(account: Account) -> str:
    return account.head.digest.hex()


def _hexadecimal(head: str) -> str:
    try:
        bytes.fromhex(head)
    except ValueError:
        raise InputError(
            "a head is hexadecimal", code="digest", hint="copy all 64 characters"
        ) from None
    return head


def _rewritten(why: str) -> InputError:
    return InputError(
        "the ledger was written anew, or rolled back",
        code="ledger-rewritten",
        why=why,
        hint="ask the clinic for its backups; answer nothing from it meanwhile",
    )


def _compared(since: Path | None, head: str) -> str:
    if since is not None:
        return f" and continues {since}"
    if head:
        return " and contains that head"
    return (
        ". A ledger that was written anew as a whole would, too:\nkeep exports, and compare the "
        "next with  --since EARLIER"
    )
