"""`CatchingUp`: what the clinic's people decided and imported, from where it is kept into the log.

Decisions, verified members and registries stand in tables that are only ever added to, each row
with a number; the import in the sealed store's manifest. Here the log takes over what it lacks:
when the keeper starts, and after every command. So a crash between a decision and the log loses
nothing, and no command can forget to tell.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress

from cairn_client.audit_log.imports import imported
from cairn_client.audit_log.kinds import Event, event
from cairn_client.audit_log.log import AuditLog
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.clinic_policy import FILE as POLICY
from cairn_client.clinic_policy import LARGEST_POLICY
from cairn_client.keeper_store import KeeperStore
from cairn_client.record_store import RecordStore, Stamp
from cairn_client.store_trail import Decided, MemberSaid, RegistrySaid
from cairn_protocol.errors import InputError
from cairn_protocol.identity import fingerprint
from cairn_protocol.study import read_bounded


class CatchingUp:
    """Call it to have the log say what `store` holds; it writes what is new."""

    def __init__(self, clinic: ClinicFolder, store: KeeperStore, audit: AuditLog) -> None:
        self._store, self._audit = store, audit
        self._policy = clinic.path / POLICY
        self._records = RecordStore(clinic.state, clinic.identity())
        self._stamp: Stamp | None = None
        self._lock = threading.Lock()
        self._changes = -1
        self._rosters: set[bytes] = set()
        self._seen = {"decision": 0, "member": 0, "registry": 0}
        self._names: dict[bytes, str] = {}

    def __call__(self) -> None:
        """Writes down what is new.

        Raises:
            OurFault: the log or the store cannot be used.
        """
        with self._lock:
            if (changes := self._store.changes) != self._changes:
                self._people()
                self._changes = changes
            self._policy_file()
            self._import()

    def _people(self) -> None:
        """Team, offers, decisions, members, registries."""
        if (team := self._store.team()) is not None:
            self._tell(event("team", once=f"team:{team.hex()}", team=team.hex()))
        self._offers()
        for decided in self._store.decided_after(self._seen["decision"]):
            self._row("decision", decided.number, self._decision(decided))
        for said in self._store.members_after(self._seen["member"]):
            self._row("member", said.number, self._member(said))
        for said_of in self._store.registries_after(self._seen["registry"]):
            self._row("registry", said_of.number, _registry(said_of))

    def name(self, study: bytes) -> str:
        """What a study is called; empty where it was never offered."""
        if study not in self._names and (offered := self._store.offered(study)):
            self._names[study] = offered.signed.study().name
        return self._names.get(study, "")

    def _offers(self) -> None:
        for offered in self._store.offers():
            study, roster = offered.signed.digest, offered.roster.roster
            if roster.digest in self._rosters:
                continue
            self._tell(
                event(
                    "offered",
                    once=f"offered:{study.hex()}:{roster.digest.hex()}",
                    study=study.hex(),
                    name=self.name(study),
                    roster=roster.digest.hex(),
                    clinics=len(roster),
                )
            )
            self._rosters.add(roster.digest)

    def _policy_file(self) -> None:
        """What policy.toml says now, by its digest."""
        try:
            digest = hashlib.sha256(read_bounded(self._policy, LARGEST_POLICY)).hexdigest()
        except InputError:
            digest = ""
        last = self._audit.entries(limit=1, newest_first=True, kinds=("policy",))
        if digest != (last[0].fields["digest"] if last else ""):
            self._audit.append(event("policy", digest=digest))

    def _import(self) -> None:
        """The newest import; one that cannot be read is the keeper's to refuse, not the log's."""
        if (stamp := self._records.stamp) == self._stamp:
            return
        with suppress(InputError):
            if (manifest := self._records.manifest()) is not None:
                self._tell(imported(manifest))
            self._stamp = stamp

    def _decision(self, decided: Decided) -> Event:
        return event(
            "decided",
            once=f"decision:{decided.number}:{decided.at}",
            study=decided.study.hex(),
            name=self.name(decided.study),
            roster=decided.roster.hex(),
            state=decided.state,
            person=decided.person,
            when=decided.at,
        )

    def _member(self, said: MemberSaid) -> Event:
        source = f"on the list of {fingerprint(said.source)}" if said.source else "compared"
        return event(
            "member",
            once=f"member:{said.number}:{said.at}",
            clinic=said.clinic,
            fingerprint=said.fingerprint,
            source=source,
            stands=said.stands,
            person=said.person,
        )

    def _row(self, table: str, number: int, what: Event) -> None:
        self._tell(what)
        self._seen[table] = number

    def _tell(self, what: Event) -> None:
        if not self._audit.told(what.once):
            self._audit.append(what)


def _registry(said: RegistrySaid) -> Event:
    return event(
        "registry",
        once=f"registry:{said.number}:{said.at}",
        name=said.name,
        fingerprint=fingerprint(said.key),
        issue=said.issue,
        pinned=said.pinned,
        person=said.person,
    )
