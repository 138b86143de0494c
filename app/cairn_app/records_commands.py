"""`cairn clinic records …`: what imports found, as the keeper's own people may see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, json_of, keeper_at
from cairn_app.sign_in import PasswordFile, deciding

if TYPE_CHECKING:
    from cairn_protocol.proto import records_pb2 as pb

records_app = typer.Typer(
    no_args_is_help=True, help="The clinic's records: imports, readiness, consent."
)
Tried = Annotated[
    bool, typer.Option("--tried", help="Of the last dry run, or of an import that was refused.")
]


@records_app.command("imports")
def records_imports(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """List every import: when, what became of it, how many patients, who asked for it."""
    from cairn_app.records_text import imports_text
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    with keeper_at(folder) as keeper:
        reply = keeper.admin("Imports", pb.ImportsRequest(), pb.ImportsReply, service=SERVICE)
    print(json_of(reply) if as_json else imports_text(reply.imports))


@records_app.command("quality")
def records_quality(folder: Folder = Path(), tried: Tried = False, as_json: AsJson = False) -> None:
    """Say how ready the data are for a study: what needs a look, completeness, ranges."""
    from cairn_app.records_text import quality_text
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    request = pb.QualityRequest(of=_attempt(tried=tried))
    with keeper_at(folder) as keeper:
        reply = keeper.admin("Quality", request, pb.QualityReply, service=SERVICE)
    print(json_of(reply) if as_json else quality_text(reply))


@records_app.command("page")
def records_page(
    out: Annotated[Path, typer.Argument(help="Where to write it, such as data.html.")],
    folder: Folder = Path(),
    tried: Tried = False,
) -> None:
    """Write the same as a page (HTML, for this clinic alone)."""
    from cairn_app.import_by_keeper import write_private
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    request = pb.ReadinessPageRequest(of=_attempt(tried=tried))
    with keeper_at(folder) as keeper:
        reply = keeper.admin("ReadinessPage", request, pb.ReadinessPageReply, service=SERVICE)
    write_private(out, reply.html)
    print(f"How ready the data are: {out}. It is for this clinic alone.")


@records_app.command("consent")
def records_consent(folder: Folder = Path(), tried: Tried = False, as_json: AsJson = False) -> None:
    """Say how many patients consent, and why the others are left out."""
    from cairn_app.records_text import consent_text
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    request = pb.ConsentRequest(of=_attempt(tried=tried))
    with keeper_at(folder) as keeper:
        reply = keeper.admin("Consent", request, pb.ConsentReply, service=SERVICE)
    print(json_of(reply) if as_json else consent_text(reply))


@records_app.command("quarantine")
def records_quarantine(  # noqa: PLR0917
    folder: Folder = Path(),
    tried: Tried = False,
    file: Annotated[str, typer.Option("--file", help="Only rows of this file.")] = "",
    code: Annotated[str, typer.Option("--code", help="Only with this reason.")] = "",
    after: Annotated[int, typer.Option("--after", help="Leave out so many.", min=0)] = 0,
    person: Annotated[str, typer.Option("--person", help="Your account.")] = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """List the rows that were set aside, by file, line and reason. For reviewers who sign in."""
    from cairn_app.records_text import quarantine_text
    from cairn_client.records_admin import SERVICE
    from cairn_protocol.proto import records_pb2 as pb

    with keeper_at(folder) as keeper, deciding(keeper, person, password_file) as who:
        request = pb.QuarantineRequest(
            session=who.session, of=_attempt(tried=tried), file=file, code=code, after=after
        )
        reply = keeper.admin("Quarantine", request, pb.QuarantineReply, service=SERVICE)
    print(json_of(reply) if as_json else quarantine_text(reply, after))


def _attempt(*, tried: bool) -> pb.Attempt:
    from cairn_protocol.proto import records_pb2 as pb

    return pb.ATTEMPT_TRIED if tried else pb.ATTEMPT_KEPT
