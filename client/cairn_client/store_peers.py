"""`PeerStore`: the other clinics: where each stood when last seen, and which are known to be real.

A clinic is verified by this clinic's operator, who compared its fingerprint, or by a registry
whose key the operator pinned. The operator's last word, either way, goes before any registry's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cairn_client.keeper_state import newer
from cairn_client.store_base import now
from cairn_client.store_offers import OfferStore
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.mark import Mark
from cairn_protocol.member_list import MemberList
from cairn_protocol.roster import Roster, SignedRoster

OPERATOR: Final = b""  # `source` of what a person at this clinic compared
_LAST: Final = "number IN (SELECT max(number) FROM {0} GROUP BY {1})"


@dataclass(frozen=True)
class Registry:
    """A registry whose key was pinned; `issue` is the number of its newest list here (0: none)."""

    key: bytes
    name: str
    issue: int


class PeerStore(OfferStore):
    """Marks (only ever to a newer one), and members (appended and never changed, S3)."""

    def marks(self, identities: Collection[bytes]) -> Mapping[bytes, Mark]:
        """The newest mark that was kept of each of these identities, where there is one."""
        with self._reading():
            query = "SELECT mark FROM marks WHERE identity = ?"
            rows = {key: self._one(query, key) for key in identities}
            return {key: Mark.from_body(row[0]) for key, row in rows.items() if row}

    def keep_marks(self, marks: Collection[Mark]) -> None:
        """Keeps marks, each in place of an earlier one of its identity; older ones are let go."""
        if not marks:
            return
        with self._writing():
            known = self.marks([mark.identity for mark in marks])
            for key, mark in newer(marks, known).items():
                self._database.execute(
                    "INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, mark.body)
                )

    def verified(self, roster: Roster | None = None) -> frozenset[bytes]:
        """Public keys on offered rosters that count as verified, and this clinic's own.

        Args:
            roster: of a run, where the next one was offered since; its keys count too.
        """
        return frozenset(self.members(roster)) | {self._identity}

    def members(self, roster: Roster | None = None) -> Mapping[bytes, str]:
        """Verified public keys of the offered rosters, with how they came to be, in words.

        A fingerprint counts for one key only: whoever made two keys with one fingerprint is one.
        """
        standing = self._standing_members()
        rosters = (*self._rosters(), roster) if roster else self._rosters()
        entries = [entry for one in rosters for entry in one.entries]
        keys: dict[str, bytes] = {}
        if standing:
            for identity in dict.fromkeys(entry.identity for entry in entries):
                keys.setdefault(fingerprint(identity), identity)
        return {keys[mark]: how for mark, how in standing.items() if mark in keys}

    def _rosters(self) -> tuple[Roster, ...]:
        with self._reading():
            rows = self._database.execute("SELECT roster FROM offers ORDER BY at, study").fetchall()
            return tuple(SignedRoster.from_body(body).roster for (body,) in rows)

    def _standing_members(self) -> dict[str, str]:
        registries = {registry.key: registry.name for registry in self.registries()}
        found: dict[str, str] = {}
        denied = set()
        for mark, source, stands, person, at in self._last_words():
            if source == OPERATOR and not stands:
                denied.add(mark)
            elif source == OPERATOR:
                found[mark] = f"compared by {person} on {at[:10]}"
            elif stands and source in registries:
                found.setdefault(mark, f"on the list of {registries[source]}")
        return {mark: how for mark, how in found.items() if mark not in denied}

    def _last_words(self) -> list[Any]:
        with self._reading():
            where = _LAST.format("members", "fingerprint, source")
            return self._database.execute(
                f"SELECT fingerprint, source, stands, person, at FROM members WHERE {where} "  # noqa: S608
                "ORDER BY source"  # the operator's first
            ).fetchall()

    def verify_member(self, clinic: str, public: bytes, person: str) -> None:
        """Appends that `person` compared the fingerprint of the clinic with this key."""
        with self._writing():
            self._say(fingerprint(public), clinic, OPERATOR, stands=True, person=person)

    def revoke_member(self, clinic: str, mark: str, person: str) -> None:
        """Appends that the clinic with this fingerprint counts no longer, whatever lists say."""
        with self._writing():
            self._say(mark, clinic, OPERATOR, stands=False, person=person)

    def registries(self) -> tuple[Registry, ...]:
        """The registries whose keys are pinned."""
        with self._reading():
            where = _LAST.format("registries", "key")
            rows = self._database.execute(
                f"SELECT key, name, issue FROM registries WHERE {where} AND pinned ORDER BY name"  # noqa: S608
            ).fetchall()
            return tuple(Registry(*row) for row in rows)

    def pin_registry(self, key: bytes, name: str, person: str) -> None:
        """Appends that lists by this key count from now on."""
        with self._writing():
            if all(registry.key != key for registry in self.registries()):
                self._pin(Registry(key, name, self._issue(key)), person, pinned=True)

    def unpin_registry(self, registry: Registry, person: str) -> None:
        """Appends that lists by this key count no longer, those that were taken in included."""
        with self._writing():
            self._pin(registry, person, pinned=False)

    def take_list(self, listed: MemberList, person: str) -> tuple[int, int]:
        """Takes in a genuine list; how many clinics it added and dropped.

        Raises:
            PolicyRefusal: its registry's key is not pinned, or a newer list was taken in before.
        """
        with self._writing():
            if all(registry.key != listed.key for registry in self.registries()):
                raise PolicyRefusal(
                    f"this clinic does not know the registry {listed.registry!r}",
                    code="registry-unknown",
                    why=f"the list is signed by the key {listed.registry_fingerprint}",
                    hint="ask the registry for its fingerprint, by telephone, then: "
                    "cairn clinic registry pin FINGERPRINT FILE",
                )
            if listed.issue < (newest := self._issue(listed.key)):
                raise PolicyRefusal(
                    "the registry has made a newer list",
                    code="member-list-past",
                    why=f"this is its list number {listed.issue}, number {newest} was taken in",
                    hint="ask the registry for its newest list",
                )
            added, dropped = self._replace(listed, person)
            self._pin(Registry(listed.key, listed.registry, listed.issue), person, pinned=True)
            return added, dropped

    def _replace(self, listed: MemberList, person: str) -> tuple[int, int]:
        before = {w[0] for w in self._last_words() if w[1] == listed.key and w[2]}
        after = {member.fingerprint: member.clinic for member in listed.members}
        for mark in sorted(after.keys() - before):
            self._say(mark, after[mark], listed.key, stands=True, person=person)
        for mark in sorted(before - after.keys()):
            self._say(mark, "", listed.key, stands=False, person=person)
        return len(after.keys() - before), len(before - after.keys())

    def _issue(self, key: bytes) -> int:
        row = self._one("SELECT max(issue) FROM registries WHERE key = ?", key)
        return row[0] or 0

    def _pin(self, registry: Registry, person: str, *, pinned: bool) -> None:
        self._database.execute(
            "INSERT INTO registries (key, name, issue, pinned, person, at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (registry.key, registry.name, registry.issue, pinned, person, now()),
        )

    def _say(self, mark: str, clinic: str, source: bytes, *, stands: bool, person: str) -> None:
        self._database.execute(
            "INSERT INTO members (fingerprint, clinic, source, stands, person, at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (mark, clinic, source, stands, person, now()),
        )
