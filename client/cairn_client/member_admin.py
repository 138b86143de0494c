"""`MemberAdmin`: by what a person says or a registry signed, another clinic counts as verified."""

from __future__ import annotations

from collections.abc import Callable

from cairn_client.keeper_admin import LONGEST_NAME, find
from cairn_client.keeper_store import KeeperStore
from cairn_client.reviewers import Reviewers
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.member_list import MemberList, fingerprint_typed
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.roster import RosterEntry


class MemberAdmin:
    """Methods of keeper.proto's Admin about members and registries.

    Args:
        identity: this clinic's public key.
        lines: every study in one line, as they stand.
        reviewers: who has signed in.
    """

    def __init__(
        self,
        store: KeeperStore,
        identity: bytes,
        lines: Callable[[], list[pb.StudyLine]],
        reviewers: Reviewers,
    ) -> None:
        self._store, self._identity, self._lines = store, identity, lines
        self._reviewers = reviewers

    def verify(self, request: pb.VerifyRequest) -> pb.VerifyReply:
        """Counts a clinic as verified if what a person heard is its fingerprint on a roster.

        Raises:
            InputError: what was heard is no fingerprint, or the clinic is this one.
            PolicyRefusal: no such clinic takes part, or its fingerprint is another.
        """
        person = self._who(request)
        heard = fingerprint_typed(request.fingerprint, request.clinic)
        if request.revoke:
            self._store.revoke_member(request.clinic, heard, person)
        else:
            entry = self._matching(request.clinic, heard, request.study)
            self._store.verify_member(entry.clinic, entry.identity, person)
        return pb.VerifyReply(fingerprint=heard, studies=self._studies_of(request.clinic))

    def _who(self, request: pb.VerifyRequest | pb.ListRequest | pb.RegistryRequest) -> str:
        if request.session or self._reviewers.accounts():
            return self._reviewers.person_of(request.session)
        return _person(request.person)

    def _matching(self, clinic: str, heard: str, study: str) -> RosterEntry:
        offers = self._store.offers()
        if study:
            offers = (find(offers, study),)
        entries = [e for o in offers for e in o.roster.roster.entries if e.clinic == clinic]
        if not entries:
            raise PolicyRefusal(
                f"no clinic called {clinic!r} takes part in a study that was offered here",
                code="member-unknown",
                hint="`cairn clinic show STUDY` lists those that do",
            )
        for entry in entries:
            if fingerprint(entry.identity) == heard:
                if entry.identity == self._identity:
                    raise InputError(
                        "this clinic counts as verified by itself",
                        code="own-fingerprint",
                        hint="give the name and the fingerprint of another clinic",
                    )
                return entry
        raise PolicyRefusal(
            f"this is not the fingerprint under which {clinic} takes part",
            code="fingerprint-differs",
            why=f"the roster has {fingerprint(entries[0].identity)}, you heard {heard}",
            hint=f"telephone {clinic} again, at a number that you did not get from the research "
            "team; if it still differs, somebody stands in between: refuse the study",
        )

    def take_list(self, request: pb.ListRequest) -> pb.ListReply:
        """Takes in a registry's list.

        Raises:
            InputError: it cannot be used.
            PolicyRefusal: its registry's key is not pinned, or a newer list was taken in before.
        """
        listed = MemberList.from_text(request.text)
        added, dropped = self._store.take_list(listed, self._who(request))
        return pb.ListReply(
            registry=listed.registry,
            issue=listed.issue,
            added=added,
            dropped=dropped,
            studies=self._lines(),
        )

    def pin_registry(self, request: pb.RegistryRequest) -> pb.RegistryReply:
        """Lets lists by a registry's key count, or no longer.

        Raises:
            InputError: what was heard is no fingerprint, or the list cannot be used.
            PolicyRefusal: the list is signed by another key, or no such key is pinned.
        """
        person, heard = self._who(request), fingerprint_typed(request.fingerprint)
        if request.text:
            return self._pin(MemberList.from_text(request.text), heard, person)
        for registry in self._store.registries():
            if fingerprint(registry.key) == heard:
                self._store.unpin_registry(registry, person)
                return pb.RegistryReply(registry=registry.name, fingerprint=heard)
        raise PolicyRefusal(
            "no registry with this fingerprint is pinned here",
            code="registry-unknown",
            hint="`cairn clinic status` shows those that are",
        )

    def _pin(self, listed: MemberList, heard: str, person: str) -> pb.RegistryReply:
        if listed.registry_fingerprint != heard:
            raise PolicyRefusal(
                f"this list is not signed by the {listed.registry!r} that you spoke to",
                code="fingerprint-differs",
                why=f"its key is {listed.registry_fingerprint}, you heard {heard}",
                hint="telephone the registry again, and ask for a list signed with its own key",
            )
        self._store.pin_registry(listed.key, listed.registry, person)
        return pb.RegistryReply(registry=listed.registry, fingerprint=heard)

    def _studies_of(self, clinic: str) -> list[pb.StudyLine]:
        offers = self._store.offers()
        has = {
            offered.signed.digest.hex()
            for offered in offers
            if any(entry.clinic == clinic for entry in offered.roster.roster.entries)
        }
        return [line for line in self._lines() if line.digest in has]


def _person(typed: str) -> str:
    person = typed.strip()[:LONGEST_NAME]
    if not person or not person.isprintable():
        raise InputError("somebody has to answer for it", code="person", hint="give --person NAME")
    return person
