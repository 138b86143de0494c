"""`cairn clinic reviewer …`: the accounts of those who decide for a clinic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson, Folder, at, json_of, keeper_at
from cairn_app.sign_in import REVIEWERS, PasswordFile, deciding, new_password, password_from

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient
    from cairn_protocol.proto import reviewers_pb2 as pb

reviewer_app = typer.Typer(
    no_args_is_help=True, help="The accounts of those who decide for this clinic."
)
Name = Annotated[str, typer.Argument(help="The account's name; case does not count.")]
NewFile = Annotated[
    Path | None,
    typer.Option("--new-password-file", help="A file with the account's new password."),
]
You = Annotated[str, typer.Option("--person", help="Your own account; asked for if left out.")]
Second = Annotated[
    str, typer.Option("--second", help="The second reviewer, where two approvals are needed.")
]
SecondFile = Annotated[
    Path | None, typer.Option("--second-password-file", help="A file with the second's password.")
]


@reviewer_app.command("add")
def reviewer_add(  # noqa: PLR0917
    name: Name,
    folder: Folder = Path(),
    person: You = "",
    password_file: PasswordFile = None,
    new_password_file: NewFile = None,
    second: Second = "",
    second_password_file: SecondFile = None,
) -> None:
    """Make an account. The first needs nobody; every other one a reviewer, or two."""
    from cairn_protocol.proto import reviewers_pb2 as pb

    with (
        keeper_at(folder) as keeper,
        _allowed(keeper, person, password_file, second, second_password_file) as (own, other),
    ):
        password = new_password(name, new_password_file)
        wanted = pb.AddReviewerRequest(name=name, password=password, session=own, second=other)
        reply = keeper.admin("AddReviewer", wanted, pb.ReviewersReply, service=REVIEWERS)
    print("\n".join(_listed(reply)))
    if len(reply.reviewers) == 1:
        print("\nFrom now on every decision here needs an account. The next:")
        print(f"  cairn clinic reviewer add NAME{at(folder)}")


@reviewer_app.command("remove")
def reviewer_remove(  # noqa: PLR0917
    name: Name,
    folder: Folder = Path(),
    person: You = "",
    password_file: PasswordFile = None,
    second: Second = "",
    second_password_file: SecondFile = None,
) -> None:
    """Take an account away. What it decided stands."""
    from cairn_protocol.proto import reviewers_pb2 as pb

    with (
        keeper_at(folder) as keeper,
        _allowed(keeper, person, password_file, second, second_password_file) as (own, other),
    ):
        gone = pb.RemoveReviewerRequest(name=name, session=own, second=other)
        reply = keeper.admin("RemoveReviewer", gone, pb.ReviewersReply, service=REVIEWERS)
    print("\n".join(_listed(reply)))


@reviewer_app.command("list")
def reviewer_list(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """List the accounts."""
    with keeper_at(folder) as keeper:
        reply = _accounts(keeper)
    print(json_of(reply) if as_json else "\n".join(_listed(reply)))


@reviewer_app.command("password")
def reviewer_password(
    name: Name,
    folder: Folder = Path(),
    password_file: PasswordFile = None,
    new_password_file: NewFile = None,
) -> None:
    """Change your own password. You are signed out everywhere."""
    from cairn_protocol.proto import reviewers_pb2 as pb

    with keeper_at(folder) as keeper:
        password = password_from(f"Password of {name} until now: ", password_file)
        wanted = new_password(name, new_password_file)
        change = pb.ChangePasswordRequest(name=name, password=password, wanted=wanted)
        keeper.admin("ChangePassword", change, pb.ChangePasswordReply, service=REVIEWERS)
    print(f"The password of {name} is changed.")


@reviewer_app.command("reset")
def reviewer_reset(name: Name, folder: Folder = Path(), new_password_file: NewFile = None) -> None:
    """Give a reviewer who forgot it a new password. As the owner of the files; keeper stopped."""
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.reviewer_reset import reset

    account = reset(
        ClinicFolder.open(folder), name, lambda known: new_password(known, new_password_file)
    )
    print(f"{account.name} has a new password. Start the keeper: cairn clinic run{at(folder)}")


@contextmanager
def _allowed(
    keeper: KeeperClient, person: str, file: Path | None, second: str, second_file: Path | None
) -> Iterator[tuple[str, str]]:
    """The sessions of whoever makes or removes an account; both empty for the first."""
    with ExitStack() as signed_in:
        own = signed_in.enter_context(deciding(keeper, person, file)).session
        other = ""
        if own and second:
            other = signed_in.enter_context(deciding(keeper, second, second_file)).session
        yield own, other


def _accounts(keeper: KeeperClient) -> pb.ReviewersReply:
    from cairn_protocol.proto import reviewers_pb2 as pb

    return keeper.admin("Reviewers", pb.ReviewersRequest(), pb.ReviewersReply, service=REVIEWERS)


def _listed(reply: pb.ReviewersReply) -> Iterator[str]:
    from cairn_app.clinic_text import when

    if not reply.reviewers:
        yield "No account: whoever may enter the folder of admin.sock decides."
        return
    width = max(len(reviewer.name) for reviewer in reply.reviewers)
    for reviewer in reply.reviewers:
        by = f" by {reviewer.added_by}" if reviewer.added_by else ", the first"
        yield f"{reviewer.name:{width}}  added {when(reviewer.added_at)}{by}"
    needed = "two reviewers approve" if reply.approvals > 1 else "one reviewer approves"
    yield f"A study is answered once {needed} it."
