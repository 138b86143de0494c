"""`Audited`: everything of a running keeper that has to do with its audit log, in one place."""

from __future__ import annotations

import logging
from importlib.metadata import version

from cairn_client.audit_log.admin import AuditAdmin
from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.commands import Commands, PersonOf
from cairn_client.audit_log.kinds import event
from cairn_client.audit_log.log import AuditLog
from cairn_client.audit_log.passing import Recorded
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_steps import Passing, no_step
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import CairnError

log = logging.getLogger("cairn.keeper")


class Audited:
    """The log of the clinic whose `keeper` and `store` are open.

    Args:
        person_of: who signed in under a session's token.

    Raises:
        InputError: `input.audit-log-damaged`.
    """

    def __init__(
        self,
        clinic: ClinicFolder,
        keeper: Keeper,
        store: KeeperStore,
        person_of: PersonOf,
        *,
        passing: Passing = no_step,
    ) -> None:
        self._store, self._data = store, clinic.config.data
        self.audit = AuditLog.of(clinic)
        self._catching_up = CatchingUp(clinic, store, self.audit)
        self._recorded = Recorded(
            keeper, self.audit, self._catching_up, self._catching_up.name, passing=passing
        )
        self.admin = AuditAdmin(keeper, self.audit, self._catching_up)
        self.commands = Commands(self.audit, self._catching_up, person_of)

    def started(self) -> None:
        """Writes down that the keeper starts, and what happened while it did not run."""
        self.audit.append(
            event(
                "started",
                boot=self._store.epoch,
                mark=self._store.boot.hex(),
                version=version("cairn-federated"),
                data=self._data,
            )
        )
        self._catching_up()

    def forward(self, request: bytes) -> bytes:
        """The keeper's reply to the link, once it is in the log."""
        return self._recorded.forward(request)

    def leave(self, request: bytes, reply: bytes) -> bytes:
        """What leaves of that reply at the end of its slot: it, or a refusal."""
        return self._recorded.leave(request, reply)

    def close(self) -> None:
        """Writes down that the keeper stops, if it can, and releases the file."""
        try:
            self.audit.append(event("stopped", boot=self._store.epoch))
        except CairnError as error:
            log.error("refused: %s", error.code)
        self.audit.close()
