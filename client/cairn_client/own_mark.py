"""`OwnMark`: where this clinic says it stands, and whether others remember it further on.

Nobody can tell a machine that was restored from a backup, or copied, from the machine that it was.
It cannot either, until another clinic shows it a mark that it signed and knows nothing of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cairn_client.keeper_state import KeeperState
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.mark import NO_HEAD, Mark


class OwnMark:
    """Signs this clinic's marks, and remembers one that it does not follow.

    Args:
        identity: this clinic's.
        state: keeps the mark, so that a restart does not forget it.
        ledger: the clinic's ledger, if there is one by now.
    """

    def __init__(
        self, identity: Identity, state: KeeperState, ledger: Callable[[], Ledger | None]
    ) -> None:
        self._identity, self._state, self._ledger = identity, state, ledger

    def sign(self) -> Mark:
        """This boot's mark; the ledger's head is zeros before anything was charged."""
        ledger = self._ledger()
        head = ledger.head() if ledger else NO_HEAD
        return Mark.sign(self._identity, self._state.epoch, self._state.boot, head)

    def contains(self, head: bytes, epoch: int | None = None) -> bool:
        """Whether this clinic's ledger is, or once was, at `head`.

        Or, of a mark of boot `epoch`, whether two people have answered for that time.
        """
        ledger = self._ledger()
        return head == NO_HEAD or (ledger is not None and ledger.contains(head, epoch))

    def contained(self, marks: Iterable[Mark]) -> Callable[[bytes], bool]:
        """`contains` for the heads of these marks, each of the newest boot that signed it."""
        epochs: dict[bytes, int] = {}
        for mark in marks:
            epochs[mark.ledger_head] = max(mark.epoch, epochs.get(mark.ledger_head, 0))
        return lambda head: self.contains(head, epochs.get(head))

    def shown(self, marks: Iterable[Mark]) -> None:
        """Remembers every mark that is this clinic's own and that it does not follow.

        The ledger stops with it: it takes no charge until two people have answered for what it
        lacks. Forged marks and other clinics' are passed over.
        """
        for mark in marks:
            own = mark.identity == self._identity.public and mark.genuine()
            if not own or self._follows(mark):
                continue
            if (ledger := self._ledger()) is not None:
                ledger.witness(mark.ledger_head, mark.epoch)
            self._state.keep_marks([mark])

    def check(self) -> None:
        """Refuses to take part while the clinic stands behind what it was shown of itself.

        Raises:
            PolicyRefusal: `policy.set-back`.
        """
        known = self._remembered()
        if known is not None and not self._follows(known):
            raise PolicyRefusal(
                "this clinic's state is older than what other clinics have seen of it",
                code="set-back",
                why="a backup was restored, or another machine holds this clinic's identity",
                hint="stop the other machine; if a backup was restored, "
                "`cairn clinic ledger restore` takes it up again",
            )

    def _remembered(self) -> Mark | None:
        return self._state.marks([self._identity.public]).get(self._identity.public)

    def _follows(self, mark: Mark) -> bool:
        return self.sign().follows(mark) and self.contains(mark.ledger_head, mark.epoch)
