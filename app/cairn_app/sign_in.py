"""Who decides at a command: a reviewer who signs in, or in a clinic without accounts a name."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cairn_protocol.errors import CairnError, InputError

if TYPE_CHECKING:
    from cairn_client.keeper_client import KeeperClient

LARGEST_PASSWORD_FILE: Final = 4096
STDIN: Final = Path("-")
REVIEWERS: Final = "cairn.keeper.v1.Reviewers"

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", help="A file with your password alone; - is standard input. For scripts."
    ),
]


@dataclass(frozen=True)
class Who:
    """A session's token, or where the clinic has no accounts a name; the other is empty."""

    session: str
    person: str


@contextmanager
def deciding(keeper: KeeperClient, person: str, password_file: Path | None) -> Iterator[Who]:
    """Who decides, for as long as the block runs; a session ends with it.

    Raises:
        InputError: nobody is named, or no password can be read.
        PolicyRefusal: name or password is wrong, or the account has to wait.
    """
    from cairn_protocol.proto import reviewers_pb2 as pb

    known = keeper.admin("Reviewers", pb.ReviewersRequest(), pb.ReviewersReply, service=REVIEWERS)
    if not known.reviewers:
        yield Who("", person or getpass.getuser())
        return
    name = person or _asked_name([reviewer.name for reviewer in known.reviewers])
    password = password_from(f"Password of {name}: ", password_file)
    signing = pb.SignInRequest(name=name, password=password)
    session = keeper.admin("SignIn", signing, pb.Session, service=REVIEWERS)
    try:
        yield Who(session.token, "")
    finally:
        out = pb.SignOutRequest(session=session.token)
        with suppress(CairnError):  # what was decided is decided
            keeper.admin("SignOut", out, pb.SignOutReply, service=REVIEWERS)


def password_from(prompt: str, file: Path | None) -> str:
    """A password from the terminal, without an echo, or the first line of `file`.

    Raises:
        InputError: `input.password-terminal`, `input.password-file`.
    """
    if file is None:
        return _typed(prompt)
    text = sys.stdin.readline(LARGEST_PASSWORD_FILE) if file == STDIN else _in_file(file)
    return text.partition("\n")[0].removesuffix("\r")


def new_password(name: str, file: Path | None) -> str:
    """A password for an account, typed twice.

    Raises:
        InputError: as `password_from`, or the two differ.
    """
    first = password_from(f"New password of {name}: ", file)
    if file is None and _typed("The same again: ") != first:
        raise InputError("the two passwords differ", code="password-differs", hint="type it again")
    return first


def _typed(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise InputError(
            "a password cannot be asked for without a terminal",
            code="password-terminal",
            hint="give --password-file; - reads it from standard input",
        ) from None
    return getpass.getpass(prompt)


def _in_file(file: Path) -> str:
    from cairn_protocol.study import read_bounded

    try:
        found = file.stat()
    except OSError:
        found = None
    if found is not None and stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        raise InputError(
            f"others can read {file}",
            code="password-file",
            why=f"its mode is {stat.S_IMODE(found.st_mode):o}",
            hint=f"chmod 600 {file}, and change the password",
        )
    try:
        return read_bounded(file, LARGEST_PASSWORD_FILE).decode()
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8", code="password-file") from None


def _asked_name(names: list[str]) -> str:
    print(f"Your name ({', '.join(names)}): ", end="", flush=True)
    typed = sys.stdin.readline(200).strip()
    if not typed:
        raise InputError(
            "nobody decided",
            code="decision",
            why="this clinic has accounts, and no name was given",
            hint="give your account's name with --person",
        )
    return typed
