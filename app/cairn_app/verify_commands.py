"""`cairn clinic verify` and `cairn clinic registry …`: which other clinics are known to be real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, Person, json_of, keeper_at
from cairn_app.sign_in import PasswordFile, deciding
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_protocol.proto import keeper_pb2 as pb

registry_app = typer.Typer(
    no_args_is_help=True, help="Registries whose signed lists of clinics count here."
)


def clinic_verify(
    name: Annotated[str, typer.Argument(help="The other clinic's name, as the study has it.")] = "",
    fingerprint: Annotated[
        list[str] | None,
        typer.Argument(metavar="FINGERPRINT", help="What you heard from that clinic itself."),
    ] = None,
    *,
    study: Annotated[str, typer.Option(help="Only in this study; left out: in every one.")] = "",
    list_file: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A registry's signed list.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="It counts no longer.")] = False,
    person: Person = "",
    password_file: PasswordFile = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Count another clinic as real: compare the fingerprint that you heard from it by telephone.

    Ask the clinic at a number that you did not get from the research team. Or take in the list of
    a registry that you pinned.
    """
    from cairn_protocol.proto import keeper_pb2 as pb

    if (list_file is None) == (not name):
        raise InputError(
            "say whom you verify",
            code="verify-what",
            hint="cairn clinic verify NAME FINGERPRINT, or: cairn clinic verify --list FILE",
        )
    with keeper_at(folder) as keeper, deciding(keeper, person, password_file) as who:
        if list_file is not None:
            taken = pb.ListRequest(text=_text(list_file), person=who.person, session=who.session)
            reply: pb.ListReply | pb.VerifyReply = keeper.admin("TakeList", taken, pb.ListReply)
        else:
            heard = pb.VerifyRequest(
                clinic=name,
                fingerprint=" ".join(fingerprint or ()),
                study=study,
                person=who.person,
                session=who.session,
                revoke=revoke,
            )
            reply = keeper.admin("VerifyMember", heard, pb.VerifyReply)
    print(json_of(reply) if as_json else _said(reply, name, revoke=revoke))


@registry_app.command("pin")
def registry_pin(  # noqa: PLR0917
    fingerprint: Annotated[str, typer.Argument(help="What you heard from the registry itself.")],
    file: Annotated[Path, typer.Argument(help="Any list that it signed.")],
    person: Person = "",
    password_file: PasswordFile = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let the lists of a registry count: an ethics board, a consortium."""
    _pin(fingerprint, _text(file), person, password_file, folder, as_json=as_json)


@registry_app.command("unpin")
def registry_unpin(
    fingerprint: Annotated[str, typer.Argument(help="As `cairn clinic status` shows it.")],
    person: Person = "",
    password_file: PasswordFile = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Let the lists of a registry count no longer, those that were taken in included."""
    _pin(fingerprint, "", person, password_file, folder, as_json=as_json)


def _pin(
    fingerprint: str,
    text: str,
    person: str,
    password_file: Path | None,
    folder: Path,
    *,
    as_json: bool,
) -> None:
    from cairn_protocol.proto import keeper_pb2 as pb

    with keeper_at(folder) as keeper, deciding(keeper, person, password_file) as who:
        request = pb.RegistryRequest(
            fingerprint=fingerprint, text=text, person=who.person, session=who.session
        )
        reply = keeper.admin("PinRegistry", request, pb.RegistryReply)
    if as_json:
        print(json_of(reply))
    elif text:
        print(f"Lists of {reply.registry} count from now on ({reply.fingerprint}).")
        print("\nNext   take its list in   cairn clinic verify --list FILE")
    else:
        print(f"Lists of {reply.registry} count no longer.")


def _said(reply: pb.ListReply | pb.VerifyReply, name: str, *, revoke: bool) -> str:
    from cairn_app.clinic_text import verified_words
    from cairn_protocol.proto import keeper_pb2 as pb

    if isinstance(reply, pb.ListReply):
        first = f"Took in list {reply.issue} of {reply.registry}: {reply.added} added, "
        first += f"{reply.dropped} dropped"
    elif revoke:
        first = f"{name} counts no longer"
    else:
        first = f"{name} is verified: it takes part under the fingerprint that you heard"
    rows = [f"  {line.name}: {words}" for line in reply.studies if (words := verified_words(line))]
    return "\n".join((first, *rows))


def _text(file: Path) -> str:
    from cairn_protocol.member_list import LARGEST_LIST_FILE
    from cairn_protocol.study import read_bounded

    return read_bounded(file, LARGEST_LIST_FILE).decode("ascii", "replace")
