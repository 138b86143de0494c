"""Keys, fingerprints, purposes of signatures, and the chain of rosters."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace

import pytest

from cairn_protocol.errors import InputError, OurFault, PeerFault
from cairn_protocol.identity import Identity, fingerprint, verify
from cairn_protocol.roster import Roster, RosterEntry, SignedRoster, check_successor
from cairn_protocol.signed_study import SignedStudy


def test_a_signature_is_good_for_one_purpose_only():
    identity = Identity.generate()
    signature = identity.sign("upload", b"data")
    assert verify(identity.public, "upload", b"data", signature)
    assert not verify(identity.public, "note", b"data", signature)
    assert not verify(identity.public, "upload", b"date", signature)
    assert not verify(Identity.generate().public, "upload", b"data", signature)
    assert not verify(b"short", "upload", b"data", signature)
    assert not verify(identity.public, "upload", b"data", b"short")


def test_an_identity_comes_back_from_the_keepers_store():
    identity = Identity.generate()
    assert Identity.from_private_bytes(identity.private_bytes()).public == identity.public
    assert identity.fingerprint == fingerprint(identity.public)


def test_an_identity_shows_and_gives_nothing_but_its_fingerprint():
    identity = Identity.generate()
    assert repr(identity) == f"Identity({identity.fingerprint})"
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            escape(identity)


def test_a_fingerprint_can_be_read_aloud_and_is_frozen():
    assert re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){7}[0-9a-hjkmnp-tv-z]{4}", fingerprint(bytes(32)))
    assert fingerprint(bytes(32)) != fingerprint(b"\1" + bytes(31))
    assert fingerprint(bytes(32)) == "2tf6-yk3b-a741-zkqx-1ve2-19pb-4kwt-h1w1"


@pytest.fixture
def roster(federate) -> Roster:
    return federate(3).roster


def test_a_roster_is_in_order_whatever_order_it_was_given(federate):
    signed = federate(3).signed
    names = {"north": b"n" * 32, "east": b"e" * 32}
    roster = Roster.first(signed, names)
    assert [entry.clinic for entry in roster.entries] == ["east", "north"]
    assert roster.digest == Roster.first(signed, dict(reversed(names.items()))).digest
    assert roster.index_of(b"n" * 32) == 1


@pytest.mark.parametrize(
    "clinics", [{}, {"Praxis": b"n" * 32}, {"a": b"n" * 32, "b": b"n" * 32}, {"": b"n" * 32}]
)
def test_a_roster_that_cannot_stand_is_the_teams_to_mend(federate, clinics):
    with pytest.raises(InputError) as refused:
        Roster.first(federate(3).signed, clinics)
    assert refused.value.code == "input.roster-invalid"


def test_no_roster_holds_a_clinic_or_a_key_twice_or_out_of_order(roster):
    one, two, three = roster.entries
    same_key = RosterEntry("zebra", one.identity)
    for entries in ((one, one), (two, one), (one, two, same_key), ()):
        with pytest.raises(OurFault):
            replace(roster, entries=entries)
    with pytest.raises(OurFault):
        replace(roster, version=1)
    with pytest.raises(OurFault):
        replace(roster, previous=b"p" * 32)
    assert three


def test_a_successor_is_the_very_next_version(roster):
    names = {entry.clinic: entry.identity for entry in roster.entries}
    following = roster.next(names | {"west": b"w" * 32})
    check_successor(roster, roster)
    check_successor(roster, following)
    forks = [
        following.next(names),
        replace(following, previous=b"p" * 32),
        replace(following, study=b"s" * 32),
        replace(following, version=2),
    ]
    for fork in forks:
        with pytest.raises(PeerFault) as refused:
            check_successor(roster, fork)
        assert refused.value.code == "peer.roster-fork"
    with pytest.raises(PeerFault):
        check_successor(following, roster)  # a rollback


def test_rosters_and_studies_come_back_from_a_store(federate):
    federation = federate(3)
    signed = SignedRoster.from_body(federation.signed_roster.body)
    assert signed.verified(federation.team.public) == federation.roster
    study = SignedStudy.from_body(federation.signed.body)
    assert study.verified(federation.team.public).name == "waiting"
    assert study.digest == federation.study.digest == study.study().digest
    with pytest.raises(PeerFault) as refused:
        SignedStudy.from_body(federation.signed.body + b"\0")
    assert refused.value.code == "peer.trailing"
