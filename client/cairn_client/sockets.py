"""`Sockets`: where a clinic's keeper listens, and who may reach it.

run/link/link.sock     0750, the link's group: the link may enter and hand over requests
run/admin/admin.sock   0700, the keeper's user: whoever may enter decides for the clinic

gRPC shows no peer's credentials on a Unix socket, so the folders are the lock. The socket files
themselves are open to whoever got that far.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_ADDRESS: Final = 100  # bytes; sun_path holds 107
ADMIN_MODE, LINK_MODE, SOCKET_MODE = 0o700, 0o750, 0o666


@dataclass(frozen=True)
class Sockets:
    """The sockets of the clinic in the folder `clinic`."""

    clinic: Path

    @property
    def link(self) -> Path:
        """Serves `Forward` and health."""
        return self.clinic / "run" / "link" / "link.sock"

    @property
    def admin(self) -> Path:
        """Serves everything."""
        return self.clinic / "run" / "admin" / "admin.sock"

    def make_folders(self, *, keeper: tuple[int, int] | None = None, link_group: int = -1) -> None:
        """Makes the folders with their modes; as root, `keeper` (user, group) will own them."""
        folders = (
            (self.link.parent.parent, 0o711),
            (self.link.parent, LINK_MODE),
            (self.admin.parent, ADMIN_MODE),
        )
        for folder, mode in folders:
            folder.mkdir(mode=0o700, exist_ok=True)
            if keeper is not None:
                user, group = keeper
                os.chown(folder, user, link_group if folder == self.link.parent else group)
            if folder.stat().st_mode & 0o777 != mode:
                folder.chmod(mode)


class Address:
    """A gRPC address of a Unix socket, also of one whose path is too long for the kernel.

    The folder of a long path is held open and named by its descriptor; `close` lets go of it.
    """

    def __init__(self, socket: Path) -> None:
        self._folder: int | None = None
        path = socket.absolute()
        if len(os.fsencode(path)) > LONGEST_ADDRESS:
            self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = Path(f"/proc/self/fd/{self._folder}") / socket.name
        self.target: Final = f"unix:{path}"

    def close(self) -> None:
        """Lets go of the folder."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
