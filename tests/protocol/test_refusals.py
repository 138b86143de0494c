"""Refusals of version 2, one fault at a time: notes, marks, survivors, certificates, openings.

After each, nothing has changed, and the genuine message is still answered.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES, Mark
from cairn_protocol.member_list import MemberList
from cairn_protocol.messages import Certificate, KeyPackage, Packages, SignedConsent
from cairn_protocol.round_messages import DEALT_BYTES

STRANGER = Identity.generate()


@pytest.fixture
def four(federate):
    """Four clinics of which three must survive and share, opened."""
    return federate(4, dropout="recovered", survivors=3).opened()


def resigned(federation, package: KeyPackage, **changes) -> KeyPackage:
    """A package that its own clinic changed and signed."""
    bad = replace(package, **changes)
    key = federation.identities[package.clinic]
    return bad.with_signature(key.sign("key package", bad.signed))


def with_package(packages: Packages, package: KeyPackage) -> Packages:
    others = [p if p.clinic != package.clinic else package for p in packages.packages]
    return replace(packages, packages=tuple(others))


class TestPackages:
    """R5, R6, R14."""

    def test_an_mlkem_key_that_is_none(self, four, refuses):
        # Coefficients of 4095 are no residues modulo 3329 (FIPS 203, 7.2). Clinic 0 encapsulates
        # to clinic 1 and to clinic 3, not to clinic 2.
        packages = four.server.packages()
        bad = resigned(four, packages.packages[1], mlkem=b"\xff" * 1184)
        with refuses("peer.key-invalid", four.runs[0]):
            four.runs[0].confirm(with_package(packages, bad), {})
        four.runs[0].confirm(packages, {})

    def test_two_clinics_with_one_mlkem_key(self, four, refuses):
        packages = four.server.packages()
        bad = resigned(four, packages.packages[1], mlkem=packages.packages[2].mlkem)
        with refuses("peer.key-shared", four.runs[0]):
            four.runs[0].confirm(with_package(packages, bad), {})

    @pytest.mark.parametrize("whose", ["another clinic's", "forged"])
    def test_a_mark_that_is_not_the_clinics_own(self, four, refuses, whose):
        packages = four.server.packages()
        mark = four.mark(2) if whose == "another clinic's" else replace(four.mark(1), epoch=9)
        bad = resigned(four, packages.packages[1], mark=mark)
        with refuses("peer.mark-forged", four.runs[0]):
            four.runs[0].confirm(with_package(packages, bad), {})

    def test_the_server_takes_no_others_mark(self, federate, refuses):
        federation = federate(4, dropout="recovered", survivors=3)
        _, package = federation.open(1)
        with refuses("peer.mark-forged", federation.server):
            federation.server.receive(1, resigned(federation, package, mark=federation.mark(2)))

    @pytest.mark.parametrize(("epoch", "boot"), [(2, b"b"), (2, b"c"), (1, b"c")])
    def test_a_peer_that_shows_less_than_was_seen_of_it(self, four, refuses, epoch, boot):
        seen = Mark.sign(four.identities[1], epoch, boot * BOOT_BYTES, bytes(32))
        packages = four.server.packages()
        with refuses("peer.peer-set-back", four.runs[0]):
            four.runs[0].confirm(packages, {seen.identity: seen})
        same = four.mark(1)
        four.runs[0].confirm(packages, {seen.identity: same})

    def test_fewer_than_m_packages(self, four, refuses):
        packages = four.server.packages()
        for few in (packages.packages[:2], packages.packages[1:]):
            with refuses("peer.packages-incomplete", four.runs[0]):
                four.runs[0].confirm(replace(packages, packages=few), {})
        foreign = replace(packages.packages[3], clinic=4)
        more = (*packages.packages, foreign)
        with refuses("peer.packages-incomplete", four.runs[0]):
            four.runs[0].confirm(replace(packages, packages=more), {})

    def test_participants_too_few_of_whom_are_verified(self, federate, refuses):
        five = federate(5, dropout="recovered", survivors=4).opened()
        known = frozenset(five.identities[clinic].public for clinic in (0, 3, 4))
        run, package = five.open(0, verified=known)
        packages = with_package(five.server.packages(), package)
        without_4 = replace(packages, packages=packages.packages[:4])
        with refuses("policy.too-few-verified", run):
            run.confirm(without_4, {})
        run.confirm(packages, {})


class TestNotes:
    """R7, R15: what the first request of a setup must bring."""

    @pytest.fixture
    def asked(self, four):
        """After all confirmed; `request` is clinic 0's, `context` its meaning."""
        packages = four.server.packages()
        for clinic, run in enumerate(four.runs):
            four.server.receive(clinic, run.confirm(packages, {}))
        four.ask_context = four.context()
        four.ask_request = four.requests(four.ask_context)[0]
        return four

    def refused(self, refuses, federation, code, notes, contains=bool):
        run = federation.runs[0]
        request = replace(federation.ask_request, notes=tuple(notes))
        with refuses(code, run):
            run.accept(request, federation.ask_context, contains)
        run.accept(federation.ask_request, federation.ask_context, contains)

    def note(self, federation, sender: int, **changes):
        """A note to clinic 0 that its sender changed and signed."""
        note = replace(federation.ask_request.notes[sender - 1], **changes)
        return note.signed_by(
            federation.identities[sender], federation.opening.run, federation.ask_request.header.t1
        )

    def test_a_missing_note(self, asked, refuses):
        self.refused(refuses, asked, "peer.unconfirmed", asked.ask_request.notes[:2])

    def test_notes_in_another_order(self, asked, refuses):
        self.refused(refuses, asked, "peer.unconfirmed", asked.ask_request.notes[::-1])

    def test_a_note_that_somebody_else_signed(self, asked, refuses):
        first, *rest = asked.ask_request.notes
        forged = first.signed_by(STRANGER, asked.opening.run, asked.ask_request.header.t1)
        self.refused(refuses, asked, "peer.note-forged", [forged, *rest])

    def test_a_note_on_other_keys(self, asked, refuses):
        first, *rest = asked.ask_request.notes
        other = first.signed_by(asked.identities[1], asked.opening.run, bytes(32))
        self.refused(refuses, asked, "peer.note-forged", [other, *rest])

    def test_a_note_of_another_run(self, asked, refuses):
        first, *rest = asked.ask_request.notes
        other = first.signed_by(asked.identities[1], bytes(16), asked.ask_request.header.t1)
        self.refused(refuses, asked, "peer.note-forged", [other, *rest])

    def test_a_note_to_another_clinic(self, asked, refuses):
        _, *rest = asked.ask_request.notes
        self.refused(refuses, asked, "peer.note-forged", [self.note(asked, 1, receiver=2), *rest])

    def test_a_ciphertext_exchanged_on_its_way(self, asked, refuses):
        first, second, third = asked.ask_request.notes
        assert second.ciphertext  # of the pair (0, 2) clinic 2 encapsulates
        changed = replace(second, ciphertext=bytes(1088))
        self.refused(refuses, asked, "peer.note-forged", [first, changed, third])

    @pytest.mark.parametrize(("sender", "ciphertext"), [(1, bytes(1088)), (2, b"")])
    def test_a_ciphertext_from_the_wrong_side_of_a_pair(self, asked, refuses, sender, ciphertext):
        notes = list(asked.ask_request.notes)
        notes[sender - 1] = self.note(asked, sender, ciphertext=ciphertext)
        self.refused(refuses, asked, "peer.ciphertext", notes)

    @pytest.mark.parametrize("whose", [1, 0])
    def test_a_witness_that_this_clinic_did_not_sign(self, asked, refuses, whose):
        witness = replace(asked.mark(whose), epoch=0 if whose == 0 else 1)
        notes = list(asked.ask_request.notes)
        notes[0] = self.note(asked, 1, witness=(witness,))
        self.refused(refuses, asked, "peer.mark-forged", notes)

    @pytest.mark.parametrize(("epoch", "boot"), [(2, b"b"), (1, b"c")])
    def test_a_witness_that_this_clinic_stood_further_on(self, asked, refuses, epoch, boot):
        notes = list(asked.ask_request.notes)
        notes[0] = self.note(asked, 1, witness=(asked.mark(0, epoch, boot),))
        self.refused(refuses, asked, "policy.set-back", notes)

    def test_a_witness_of_a_ledger_head_that_is_not_here(self, asked, refuses):
        notes = list(asked.ask_request.notes)
        notes[0] = self.note(asked, 1, witness=(asked.mark(0, head=b"h" * 32),))
        self.refused(refuses, asked, "policy.set-back", notes, contains=lambda head: False)

    def test_a_witness_of_an_older_state_is_as_it_should_be(self, asked):
        notes = list(asked.ask_request.notes)
        notes[0] = self.note(asked, 1, witness=(asked.mark(0, 0, b"a", b"h" * 32),))
        request = replace(asked.ask_request, notes=tuple(notes))
        asked.runs[0].accept(request, asked.ask_context, lambda head: head == b"h" * 32)


class Survived:
    """Six clinics after a round that clinic 5 missed; U = 0 … 4, m = t = 4, f = 1."""

    def __init__(self, federate, lost=(5,)) -> None:
        self.all = federate(6, dropout="recovered", survivors=4).agreed()
        self.all.ask(np.ones((6, 3), dtype=np.int64), lost=lost)
        self.named = self.all.server.survivors()
        self.run = self.all.runs[0]

    def part(self, *clinics: int):
        """Clinic 0's message, with these for survivors."""
        uploads = tuple(u for u in self.named[0].uploads if u.clinic in clinics)
        sealed = self.named[0].sealed[: DEALT_BYTES * (len(uploads) - 1)]
        return replace(self.named[0], uploads=uploads, sealed=sealed)

    def certificate(self, named=None, signers=(1, 2, 3, 4), by=None):
        """A certificate on `named`, really signed by `signers` (or in their name by `by`)."""
        named = named or self.named[0]
        consents = []
        for clinic in signers:
            key = by or self.all.identities[clinic]
            said = named.run + clinic.to_bytes(2, "big") + named.header + named.survivors_digest
            consents.append(SignedConsent(clinic, key.sign("survivors", said)))
        return Certificate(named.run, named, tuple(consents))


@pytest.fixture
def survived(federate):
    return Survived(federate)


class TestSurvivors:
    """R16, R17, R18."""

    def refused(self, refuses, survived, code, message):
        with refuses(code, survived.run):
            survived.run.survivors(message)
        survived.run.survivors(survived.named[0])

    def test_too_few(self, survived, refuses):
        self.refused(refuses, survived, "peer.too-few-survivors", survived.part(0, 1, 2))

    def test_this_clinic_is_left_out(self, survived, refuses):
        self.refused(refuses, survived, "peer.not-a-survivor", survived.part(1, 2, 3, 4))

    def test_a_survivor_that_takes_no_part(self, federate, refuses):
        federation = federate(6, dropout="recovered", survivors=4).agreed(without=(5,))
        federation.ask(np.ones((6, 3), dtype=np.int64), lost=(4,))
        named = federation.server.survivors()[0]
        stranger = replace(named.uploads[1], clinic=5)
        statement = stranger.signed(named.run, named.header)
        signature = federation.identities[5].sign("upload", statement)
        uploads = (*named.uploads, replace(stranger, signature=signature))
        with refuses("peer.survivors-foreign", federation.runs[0]):
            federation.runs[0].survivors(replace(named, uploads=uploads))

    def test_an_upload_that_its_clinic_did_not_sign(self, survived, refuses):
        named = survived.named[0]
        other = replace(named.uploads[1], upload=bytes(32))
        changed = replace(named, uploads=(named.uploads[0], other, *named.uploads[2:]))
        self.refused(refuses, survived, "peer.upload-forged", changed)

    def test_its_own_upload_exchanged(self, survived, refuses):
        # Another machine with this clinic's identity signed another vector under this header.
        named, identity = survived.named[0], survived.all.identities[0]
        own = replace(named.uploads[0], upload=bytes(32))
        signature = identity.sign("upload", own.signed(named.run, named.header))
        own = replace(own, signature=signature)
        changed = replace(named, uploads=(own, *named.uploads[1:]))
        self.refused(refuses, survived, "peer.upload-substituted", changed)

    def test_another_header(self, survived, refuses):
        changed = replace(survived.named[0], header=bytes(32))
        self.refused(refuses, survived, "peer.header-differs", changed)

    def test_another_run(self, survived, refuses):
        changed = replace(survived.named[0], run=b"r" * 16)
        self.refused(refuses, survived, "peer.run-foreign", changed)

    def test_shares_missing(self, survived, refuses):
        changed = replace(survived.named[0], sealed=survived.named[0].sealed[:-DEALT_BYTES])
        self.refused(refuses, survived, "peer.shares-missing", changed)

    def test_too_few_of_them_are_verified(self, federate, refuses):
        survived = Survived(federate)
        survived.run._round._rules = replace(
            survived.run._round._rules, verified=frozenset({0, 1, 5})
        )
        with refuses("policy.too-few-verified", survived.run):
            survived.run.survivors(survived.named[0])


class TestCertificates:
    """R18, R19."""

    def test_too_few_signatures(self, survived, refuses):
        survived.run.survivors(survived.named[0])
        with refuses("peer.certificate-short", survived.run):
            survived.run.certify(survived.certificate(signers=(1, 2, 3)))
        survived.run.certify(survived.certificate())

    def test_signatures_of_a_clinic_that_did_not_survive_do_not_count(self, survived, refuses):
        survived.run.survivors(survived.named[0])
        with refuses("peer.certificate-short", survived.run):
            survived.run.certify(survived.certificate(signers=(1, 2, 3, 5)))

    def test_forged_signatures(self, survived, refuses):
        survived.run.survivors(survived.named[0])
        with refuses("peer.consent-forged", survived.run):
            survived.run.certify(survived.certificate(by=STRANGER))

    def test_signatures_on_another_set(self, survived, refuses):
        survived.run.survivors(survived.named[0])
        others = survived.certificate(survived.part(0, 1, 2, 3)).consents
        with refuses("peer.consent-forged", survived.run):
            survived.run.certify(replace(survived.certificate(), consents=others))

    def test_another_set_than_the_one_it_signed(self, survived, refuses):
        survived.run.survivors(survived.named[0])
        other = survived.certificate(survived.part(0, 1, 2, 3), signers=(0, 1, 2, 3))
        with refuses("peer.second-survivors", survived.run):
            survived.run.certify(other)

    def test_a_certified_set_where_it_opened_everybody(self, federate, refuses):
        survived = Survived(federate, lost=())
        survived.run.survivors(survived.named[0])
        other = survived.certificate(survived.part(0, 1, 2, 3), signers=(0, 1, 2, 3))
        with refuses("peer.out-of-order", survived.run):
            survived.run.certify(other)

    def test_a_certificate_for_everybody(self, federate, refuses):
        # All participants are opened at once or not at all: a certificate adds nothing.
        survived = Survived(federate, lost=())
        with refuses("peer.second-survivors", survived.run):
            survived.run.certify(survived.certificate(signers=range(6)))

    def test_a_certificate_alone_suffices_where_the_survivors_were_missed(self, survived):
        opening = survived.run.certify(survived.certificate())
        assert (opening.opened, opening.revealed) == (5, 1)

    def test_without_the_survivors_each_of_their_rules_holds(self, survived, refuses):
        for named, code in (
            (survived.part(1, 2, 3, 4), "peer.not-a-survivor"),
            (survived.part(0, 1, 2), "peer.too-few-survivors"),
            (replace(survived.named[0], header=bytes(32)), "peer.header-differs"),
        ):
            with refuses(code, survived.run):
                survived.run.certify(survived.certificate(named))


class TestAtTheServer:
    def test_a_clinic_that_was_not_asked(self, survived, refuses):
        consent = survived.run.survivors(survived.named[0])
        said = replace(consent, clinic=5)
        said = replace(said, signature=survived.all.identities[5].sign("survivors", said.signed))
        with refuses("peer.not-asked", survived.all.server):
            survived.all.server.receive(5, said)

    def test_a_consent_that_its_clinic_did_not_sign(self, survived, refuses):
        consent = survived.run.survivors(survived.named[0])
        with refuses("peer.consent-forged", survived.all.server):
            survived.all.server.receive(0, replace(consent, signature=bytes(64)))
        survived.all.server.receive(0, consent)

    def test_a_consent_to_other_survivors(self, survived, refuses):
        consent = survived.run.survivors(survived.named[0])
        with refuses("peer.header-differs", survived.all.server):
            survived.all.server.receive(0, replace(consent, survivors=bytes(32)))

    def test_an_opening_that_its_clinic_did_not_sign(self, federate, refuses):
        survived = Survived(federate, lost=())
        opening = survived.run.survivors(survived.named[0])
        with refuses("peer.opening-forged", survived.all.server):
            survived.all.server.receive(0, replace(opening, signature=bytes(64)))
        survived.all.server.receive(0, opening)

    def test_an_opening_before_the_certificate(self, survived, refuses):
        opening = survived.run.certify(survived.certificate())
        with refuses("peer.out-of-order", survived.all.server):
            survived.all.server.receive(0, opening)

    @pytest.mark.parametrize("part", ["sealed", "mark"])
    def test_an_upload_that_is_not_whole(self, federate, refuses, part):
        federation = federate(4, dropout="recovered", survivors=3).agreed()
        context = federation.context()
        request = federation.requests(context)[0]
        upload = federation.upload(0, request, context, np.arange(5))
        if part == "sealed":
            changes = {"sealed": upload.sealed[:48], "commitments": upload.commitments[:32]}
        else:
            changes = {"mark": federation.mark(1)}
        bad = replace(upload, **changes)
        bad = replace(bad, signature=federation.identities[0].sign("upload", bad.signed))
        code = {"sealed": "peer.shares-missing", "mark": "peer.mark-forged"}[part]
        with refuses(code, federation.server):
            federation.server.receive(0, bad)
        federation.server.receive(0, upload)


@pytest.mark.parametrize("names", [("North",), ("a", "b")])
def test_a_member_list_that_cannot_stand(names):
    typed = dict.fromkeys(names, STRANGER.fingerprint)
    with pytest.raises(InputError) as refused:
        MemberList.sign(STRANGER, "Ethics board", 1, typed)
    assert refused.value.code == "input.member-list-invalid"
