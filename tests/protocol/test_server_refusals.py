"""A lying clinic's reply is refused by the server, before honest clinics have to refuse it.

A clinic that refuses leaves the run. So whatever a clinic can sign that the others would refuse
must be found at the server: else it would drive them out, one by one, and stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cairn_protocol.fixed_point import check_wire, to_wire
from cairn_protocol.mark import Mark
from cairn_protocol.messages import Confirmation, KeyPackage, Upload, decode
from cairn_protocol.server_run import ServerRun

VECTORS = np.arange(12).reshape(4, 3)


@pytest.fixture
def four(federate):
    """Four clinics of which three must survive and share; nobody has answered."""
    return federate(4, dropout="recovered", survivors=3)


@pytest.fixture
def confirming(four):
    """The same, each with its confirmation, which the server has not seen."""
    packages = four.opened().server.packages()
    four.replies = [run.confirm(packages, {}) for run in four.runs]
    return four


def resigned(federation, reply, **changes):
    """A message that its own clinic changed and signed."""
    bad = replace(reply, **changes)
    label = {KeyPackage: "key package", Upload: "upload"}[type(reply)]
    return replace(bad, signature=federation.identities[bad.clinic].sign(label, bad.signed))


def with_note(federation, reply: Confirmation, to: int, **changes) -> Confirmation:
    """A confirmation in which the note to one clinic was changed and signed."""
    key, notes = federation.identities[reply.clinic], list(reply.notes)
    at = [note.receiver for note in notes].index(to)
    notes[at] = replace(notes[at], **changes).signed_by(key, reply.run, reply.t1)
    return replace(reply, notes=tuple(notes))


class TestKeys:
    """R6, R14: a package for which every other clinic would refuse to go on."""

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"x25519": bytes(32)}, "peer.key-weak"),
            ({"mlkem": b"\xff" * 1184}, "peer.key-invalid"),
        ],
    )
    def test_a_key_that_is_none(self, four, refuses, change, code):
        _, package = four.open(1)
        with refuses(code, four.server):
            four.server.receive(1, resigned(four, package, **change))
        four.server.receive(1, package)

    @pytest.mark.parametrize("key", ["x25519", "mlkem"])
    def test_a_key_that_another_clinic_sent(self, four, refuses, key):
        packages = [four.open(clinic)[1] for clinic in (0, 1)]
        four.server.receive(0, packages[0])
        with refuses("peer.key-shared", four.server):
            four.server.receive(1, resigned(four, packages[1], **{key: getattr(packages[0], key)}))
        four.server.receive(1, packages[1])

    @pytest.mark.parametrize(("epoch", "boot"), [(0, b"b"), (1, b"c")])
    def test_a_clinic_that_the_run_has_seen_further_on(self, four, refuses, epoch, boot):
        four.agreed().round(VECTORS)
        server, opening = ServerRun.open(
            four.opening.run, four.signed, four.signed_roster, setup=1, records=four.server.records
        )
        for mark, genuine in ((four.mark(1, epoch, boot), False), (four.mark(1, 2, b"d"), True)):
            _, package = four.open(1, opening, mark=mark)
            if genuine:
                server.receive(1, package)
            else:
                with refuses("peer.peer-set-back", server):
                    server.receive(1, package)


class TestNotes:
    """R7, R15: a note that its receiver would refuse."""

    @pytest.mark.parametrize(("to", "ciphertext"), [(0, bytes(1088)), (2, b"")])
    def test_a_ciphertext_from_the_wrong_side_of_a_pair(self, confirming, refuses, to, ciphertext):
        reply = confirming.replies[1]
        assert bool(ciphertext) != bool(next(n for n in reply.notes if n.receiver == to).ciphertext)
        with refuses("peer.ciphertext", confirming.server):
            confirming.server.receive(1, with_note(confirming, reply, to, ciphertext=ciphertext))
        confirming.server.receive(1, reply)

    @pytest.mark.parametrize("whose", ["forged", "another's"])
    def test_a_witness_that_its_receiver_did_not_sign(self, confirming, refuses, whose):
        mark = replace(confirming.mark(0), epoch=9) if whose == "forged" else confirming.mark(2)
        reply = confirming.replies[1]
        with refuses("peer.mark-forged", confirming.server):
            confirming.server.receive(1, with_note(confirming, reply, 0, witness=(mark,)))

    def test_a_genuine_witness_is_relayed(self, confirming):
        replies = confirming.replies
        replies[1] = with_note(confirming, replies[1], 0, witness=(confirming.mark(0),))
        for clinic, reply in enumerate(replies):
            confirming.server.receive(clinic, decode(reply.to_bytes()))
        request = confirming.requests(confirming.context())[0]
        assert [note.witness for note in request.notes] == [(confirming.mark(0),), (), ()]

    def test_a_mark_is_verified_once(self, confirming, monkeypatch):
        calls, genuine = [], Mark.genuine
        monkeypatch.setattr(Mark, "genuine", lambda mark: calls.append(mark) or genuine(mark))
        for clinic in (1, 2, 3):
            reply = with_note(
                confirming, confirming.replies[clinic], 0, witness=(confirming.mark(0),)
            )
            confirming.server.receive(clinic, reply)
        assert calls == [confirming.mark(0)]


class TestUploads:
    """An upload that cannot be added would void the round, and nobody would be named."""

    @pytest.mark.parametrize("bits", [20, 24, 28])
    def test_padding_is_looked_at_when_it_comes(self, four, refuses, bits):
        four.agreed().ask(VECTORS, lost=(1,), bits=bits)
        context = four.server._open.context
        upload = four.upload(1, four.requests_again[1], context, VECTORS[1])
        padded = bytearray(upload.vector)
        padded[-1] |= 0x80
        with refuses("peer.vector-padding", four.server):
            four.server.receive(1, resigned(four, upload, vector=bytes(padded)))
        four.server.receive(1, upload)
        assert four.unmask().tolist() == VECTORS.sum(axis=0).tolist()

    @pytest.mark.parametrize(("epoch", "boot"), [(0, b"b"), (1, b"c")])
    def test_a_mark_behind_the_one_that_came_with_the_keys(self, four, refuses, epoch, boot):
        # The others would keep the package's, the records would show this one.
        four.agreed().ask(VECTORS, lost=(1,))
        upload = four.upload(1, four.requests_again[1], four.server._open.context, VECTORS[1])
        with refuses("peer.peer-set-back", four.server):
            four.server.receive(1, resigned(four, upload, mark=four.mark(1, epoch, boot)))
        four.server.receive(1, resigned(four, upload, mark=four.mark(1, head=b"h" * 32)))

    @pytest.mark.parametrize("bits", [20, 24, 28, 32, 40, 48, 56, 64])
    @pytest.mark.parametrize("length", [1, 2, 3])
    def test_whatever_was_packed_is_whole(self, bits, length):
        word = np.uint32 if bits <= 32 else np.uint64
        check_wire(to_wire(np.full(length, -1).astype(word), bits), bits, length)


def test_a_clinic_that_stands_behind_an_earlier_run_is_refused_before_others_see_it(four, refuses):
    ahead = four.mark(1, epoch=9)
    four.server, four.opening = ServerRun.open(
        b"another run here", four.signed, four.signed_roster, seen=(four.mark(1), ahead)
    )
    package = four.open(1)[1]  # of boot 1
    with refuses("peer.peer-set-back", four.server):
        four.server.receive(1, package)
    four.server.receive(0, four.open(0)[1])
    four.server.receive(1, four.open(1, mark=four.mark(1, epoch=10))[1])


def test_an_older_mark_in_the_runs_own_records_does_not_hide_a_newer_one(four, refuses):
    four.agreed().round(VECTORS)  # its records hold boot 1
    server, opening = ServerRun.open(
        four.opening.run,
        four.signed,
        four.signed_roster,
        setup=1,
        records=four.server.records,
        seen=(four.mark(1, epoch=9), four.mark(1, epoch=4)),
    )
    with refuses("peer.peer-set-back", server):
        server.receive(1, four.open(1, opening, mark=four.mark(1, epoch=5))[1])
    server.receive(1, four.open(1, opening, mark=four.mark(1, epoch=10))[1])
