"""`permissions` and `separation`: who may read and change what, and whether the link may not.

Modes and owners as `clinic_folder`, `enrolment`, `sockets` and `separation` set them.
"""

from __future__ import annotations

import grp
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cairn_client.doctor.finding import Finding, ok, problem, unchecked, warning
from cairn_client.doctor.site import Site
from cairn_client.separation import User, private_files
from cairn_protocol.errors import InputError

MOST_NAMED: Final = 3
# Below the clinic's folder: what others must not be able to do with it.
_RULES: Final = (
    ("clinic.toml", 0o022, "644"),
    ("mapping.toml", 0o022, "644"),
    ("policy.toml", 0o022, "600"),
    ("link", 0o077, "700"),
    ("link/node.key", 0o077, "600"),
    ("link/ca.pem", 0o022, "600"),
    ("link/link.toml", 0o022, "600"),
    ("run", 0o022, "711"),
    ("run/admin", 0o077, "700"),
    ("run/link", 0o027, "750"),
)


def permissions(site: Site) -> Iterator[Finding]:
    """Modes and owners of the clinic's files; one finding for each that is wrong."""
    found = [*_modes(site), *_owners(site)]
    yield from found
    if not found:
        yield ok("permissions.modes", "files and folders are open to nobody else")
    if (exposed := _exposed(site)) is not None:
        yield exposed


def _modes(site: Site) -> Iterator[Finding]:
    yield from _looser(site.path, 0o022, "711")
    yield from _looser(site.state, 0o077, "700")
    for file in _inside(site.state):
        yield from _looser(file, 0o077, "600")
    for name, forbidden, mode in _RULES:
        yield from _looser(site.path / name, forbidden, mode)


def _looser(path: Path, forbidden: int, mode: str) -> Iterator[Finding]:
    try:
        there = path.lstat()
    except OSError:
        return
    if stat.S_ISLNK(there.st_mode) or not there.st_mode & forbidden:
        return
    verb = "change" if there.st_mode & 0o022 else "read"
    yield problem(
        "permissions.mode",
        f"others may {verb} {path}",
        why=f"its mode is {there.st_mode & 0o777:o}",
        remedy=f"chmod {mode} {path}",
    )


def _owners(site: Site) -> Iterator[Finding]:
    for folder, user in ((site.state, site.config.keeper_user), (site.link, site.config.link_user)):
        try:
            owner = _number(user) if user else folder.stat().st_uid
            others = [f for f in (folder, *_inside(folder)) if f.lstat().st_uid != owner]
        except (OSError, KeyError):
            continue
        if not others:
            continue
        if user and not _started(site):
            yield unchecked("permissions.owner", f"{folder} goes to {user} at the first start")
            continue
        name = user or _name(owner)
        yield problem(
            "permissions.owner",
            f"{others[0]} does not belong to {name}",
            why=f"it is {_name(others[0].lstat().st_uid)}'s; a command was run as another user",
            remedy=f"chown -R {name} {folder}",
        )


def _started(site: Site) -> bool:
    """Whether root has given the two users what is theirs."""
    return (site.path / "run" / "status").is_dir()


def _exposed(site: Site) -> Finding | None:
    """Records that any user of this machine may read."""
    files = [f for f in private_files(site.path) if site.state not in (f, *f.parents)]
    open_ = [f for f in files if f.name != "mapping.toml" and _mode(f) & 0o004]
    if not open_:
        return None if not files else ok("permissions.records", "no other user may read records")
    names = ", ".join(f.name for f in open_[:MOST_NAMED])
    said = f"every user of this machine may read {names}"
    if site.config.data != "patients":
        return ok("permissions.records", f"{said}; the data are {site.config.data}")
    return warning(
        "permissions.records", said, remedy=f"chmod o-r {open_[0]}, and the others alike"
    )


@dataclass(frozen=True)
class Running:
    """Users under which keeper and link run now; None: not running, or nobody knows."""

    keeper: int | None = None
    link: int | None = None


def separation(site: Site, running: Running) -> Iterator[Finding]:
    """Whether keeper and link are two users, of whom the link's can read no record."""
    keeper, link = site.config.keeper_user, site.config.link_user
    if (keeper or link) and not (keeper and link and keeper != link):
        yield problem(
            "input.users",
            "keeper and link need two users",
            why="keeper_user and link_user in clinic.toml are the same, or one is missing",
            remedy="set both, to different users, or neither",
        )
        return
    try:
        users = [User.named(name) for name in (keeper, link) if name]
    except InputError as error:
        yield problem(error.code, error.what, remedy=error.hint)
        return
    if running.keeper is not None and running.link is not None:
        yield _two(site, running.keeper != running.link)
        number = running.link
        user = User(_name(number), number, _group(number))
    elif users:
        yield _two(site, True)
        user = users[1]
    else:
        yield unchecked("separation.users", "keeper and link do not run; their users are not known")
        return
    if user.number in {0, running.keeper}:
        return
    seen = [file for file in private_files(site.path) if _may_read(user, file)]
    if seen:
        names = ", ".join(file.name for file in seen[:MOST_NAMED])
        yield problem(
            "input.records-exposed",
            f"the link's user {user.name} may read {names}",
            why="the link would refuse to start",
            remedy=f"chmod go-r {seen[0]}, and the others alike",
        )
    else:
        yield ok("separation.records", f"the link's user {user.name} can read no record and no key")


def _two(site: Site, two: bool) -> Finding:
    if two:
        return ok("separation.users", "keeper and link run as two users")
    said = "keeper and link run as one user"
    if site.config.data != "patients":
        return ok("separation.users", f"{said}; the data are {site.config.data}")
    return warning(
        "separation.users",
        said,
        why="whoever takes over the link, which talks to the network, could read the records",
        remedy="use the two services of docs/clinic-service.md, or set keeper_user and link_user",
    )


def _may_read(user: User, file: Path) -> bool:
    """By the modes of the file and of the folders on the way; access lists are not looked at."""
    groups = {user.group, *(g.gr_gid for g in grp.getgrall() if user.name in g.gr_mem)}
    try:
        way = all(_bits(user, groups, folder) & 1 for folder in file.resolve().parents)
        return way and bool(_bits(user, groups, file) & 4)
    except OSError:
        return False


def _bits(user: User, groups: set[int], path: Path) -> int:
    there = path.stat()
    if there.st_uid == user.number:
        return there.st_mode >> 6 & 7
    return (there.st_mode >> 3 if there.st_gid in groups else there.st_mode) & 7


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _mode(file: Path) -> int:
    try:
        return file.stat().st_mode
    except OSError:
        return 0


def _number(user: str) -> int:
    return pwd.getpwnam(user).pw_uid


def _group(number: int) -> int:
    try:
        return pwd.getpwuid(number).pw_gid
    except KeyError:
        return number


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
