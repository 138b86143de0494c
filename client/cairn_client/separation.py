"""`Users`: a clinic's two processes as two users of the machine, where root starts them.

The keeper's user owns `.cairn/` and both sockets' folders; the link's user owns `link/` and may
enter run/link/. Before the link starts it is shown that it can read neither records nor keys.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError

MOST_FILES: Final = 10_000


@dataclass(frozen=True)
class User:
    """A user of the machine."""

    name: str
    number: int
    group: int

    @classmethod
    def named(cls, name: str) -> Self:
        """The user called `name`.

        Raises:
            InputError: there is none.
        """
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            raise InputError(
                f"this machine has no user {name!r}",
                code="user-unknown",
                hint=f"make it: useradd --system --no-create-home {name}",
            ) from None
        return cls(name, found.pw_uid, found.pw_gid)

    def become(self) -> None:
        """Makes this process run as that user, for good."""
        groups = [g.gr_gid for g in grp.getgrall() if self.name in g.gr_mem]
        os.setgroups([self.group, *groups])
        os.setresgid(self.group, self.group, self.group)
        os.setresuid(self.number, self.number, self.number)
        os.umask(0o077)


@dataclass(frozen=True)
class Users:
    """The keeper's and the link's user, who must differ."""

    keeper: User
    link: User

    @classmethod
    def named(cls, keeper: str, link: str) -> Self | None:
        """The two users; None where this process is not root, or neither is named.

        Raises:
            InputError: only one is named, they are the same, or one does not exist.
        """
        if os.geteuid() != 0 or not (keeper or link):
            return None
        if not (keeper and link) or keeper == link:
            raise InputError(
                "keeper and link need two users",
                code="users",
                hint="set keeper_user and link_user in clinic.toml to two different users, or "
                "neither",
            )
        return cls(User.named(keeper), User.named(link))

    def own_folders(self, clinic: Path) -> None:
        """Gives each user what is theirs. Run as root, before either process starts."""
        _give(clinic / ".cairn", self.keeper)
        _give(clinic / "link", self.link)
        owner = (self.keeper.number, self.keeper.group)
        sockets = Sockets(clinic)
        sockets.make_folders(keeper=owner, link_group=self.link.group)
        status = clinic / "run" / "status"
        status.mkdir(mode=0o755, exist_ok=True)
        _give(status, self.link)


def private_files(clinic: Path) -> tuple[Path, ...]:
    """What the link must not be able to read: the records, and everything in .cairn/."""
    found = [clinic / ".cairn"]
    for folder, names, files in os.walk(clinic):
        here = Path(folder)
        if here == clinic:
            names[:] = [name for name in names if name not in {"link", "run"}]
        found += [here / file for file in files if here != clinic or file != "clinic.toml"]
        if len(found) > MOST_FILES:
            break
    return tuple(found[:MOST_FILES])


def check_unreadable(files: Iterable[Path]) -> None:
    """Refuses to go on as a link that could read one of `files`.

    Raises:
        InputError: `input.records-exposed`.
    """
    exposed = [file for file in files if os.access(file, os.R_OK)]
    if exposed:
        names = ", ".join(file.name for file in exposed[:5])
        raise InputError(
            "the link could read this clinic's files",
            code="records-exposed",
            why=f"its user may read {names}",
            hint=f"take that right away, for example: chmod go-r {exposed[0]}",
        )


def _give(folder: Path, user: User) -> None:
    if not folder.is_dir():
        return
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.number, user.group, follow_symlinks=False)
