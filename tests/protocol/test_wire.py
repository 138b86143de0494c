"""The codec refuses whatever is not exactly one message, before it allocates."""

from __future__ import annotations

import math
import sys
import tracemalloc
import unicodedata
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.codec import MAGIC, VERSION, Reader, Real, Text
from cairn_protocol.context import Context
from cairn_protocol.errors import BudgetRefusal, CairnError, OurFault, PeerFault
from cairn_protocol.mark import Mark
from cairn_protocol.messages import (
    KINDS,
    AuditHead,
    AuditReceipt,
    AuditRequest,
    Certificate,
    Closed,
    CloseRun,
    Confirmation,
    Findings,
    FoundFile,
    Header,
    KeyPackage,
    Note,
    Offer,
    Opening,
    Packages,
    Received,
    Refusal,
    RoundRecord,
    RoundRequest,
    SignedConsent,
    SignedDigest,
    Standing,
    Survivors,
    Upload,
    decode,
)
from cairn_protocol.record import Record


@pytest.fixture(scope="module")
def messages(federate) -> dict[str, bytes]:
    """One real message of every kind, as bytes, by the name of its class."""
    federation = federate(4, dropout="recovered", survivors=3)
    federation.agreed()
    federation.round(np.ones((4, 3), dtype=np.int64), lost=(3,))
    server, runs = federation.server, federation.runs
    packages = runs[0]._agreed()
    context = federation.context(round_=1)
    requests = federation.requests(context)
    uploads = [federation.upload(c, requests[c], context, np.arange(5)) for c in (0, 1, 3)]
    for upload in uploads:
        server.receive(upload.clinic, upload)
    survivors = server.survivors()
    consents = [runs[clinic].survivors(message) for clinic, message in survivors.items()]
    for consent in consents:
        server.receive(consent.clinic, consent)
    certificate = server.certificate()[0]
    opening = runs[0].certify(certificate)
    confirmation = server._confirmations[0]
    closing = server.close("done")[0]
    sent = [
        *(federation.opening, packages.packages[0], packages, confirmation),
        *(requests[3], uploads[0], survivors[0], consents[0], certificate, opening),
        *(closing, runs[0].close(closing)),
        Refusal.of(BudgetRefusal("no budget is left", code="spent", hint="ask for less")),
        Offer(federation.opening.study, federation.opening.roster),
        Standing(bytes(32), bytes(32), bytes(32), "approved", bytes(64)),
        AuditRequest(2, (AuditReceipt(bytes(32), 1, bytes(32), bytes(32), 5, bytes(64)),)),
        AuditHead(bytes(32), 2, b"h" * 32, bytes(32), 3, bytes(64)),
        Findings(bytes(32), (FoundFile("results.json", b"{}"),), bytes(64)),
        Received(bytes(32), bytes(32), bytes(32), bytes(64)),
    ]
    assert requests[3].notes  # clinic 3 missed a round
    assert requests[3].records[0].consents
    return {type(message).__name__: message.to_bytes() for message in sent}


MARK = Mark(bytes(32), 1, bytes(16), bytes(32), bytes(64))
NAMES = sorted(cls.__name__ for cls in KINDS.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_message_comes_back_as_it_went(messages, name):
    message = decode(messages[name])
    assert type(message).__name__ == name
    assert message.to_bytes() == messages[name]
    assert decode(message.to_bytes()) == message


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_refused(messages, name):
    data = messages[name]
    for size in range(len(data)):
        with pytest.raises(PeerFault):
            decode(data[:size])


@pytest.mark.parametrize("name", NAMES)
def test_trailing_bytes_are_refused(messages, name):
    for tail in (b"\0", MAGIC, messages[name]):
        with pytest.raises(PeerFault) as refused:
            decode(messages[name] + tail)
        assert refused.value.code == "peer.trailing"


@pytest.mark.parametrize("name", NAMES)
def test_other_versions_kinds_and_magics_are_refused(messages, name):
    data = messages[name]
    for at, value, code in (
        (len(MAGIC), VERSION + 1, "version-unknown"),
        (len(MAGIC), 0, "version-unknown"),
        (len(MAGIC) + 1, 0, "kind-unknown"),
        (len(MAGIC) + 1, 200, "kind-unknown"),
        (0, 0, "not-cairn"),
    ):
        changed = data[:at] + bytes((value,)) + data[at + 1 :]
        with pytest.raises(PeerFault) as refused:
            decode(changed)
        assert refused.value.code == f"peer.{code}"


@pytest.mark.parametrize("name", NAMES)
def test_a_message_beyond_its_limit_is_refused(messages, name):
    data = messages[name]
    decode(data, len(data))
    with pytest.raises(PeerFault) as refused:
        decode(data, len(data) - 1)
    assert refused.value.code == "peer.oversize"


@pytest.mark.parametrize("name", NAMES)
def test_no_length_makes_the_reader_allocate(messages, monkeypatch, name):
    # Every length and count is overwritten by larger ones; none may cost more than the message.
    data, places = messages[name], []
    length = Reader.length

    def noticed(reader, most, what):
        places.append(reader._at)
        return length(reader, most, what)

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "length", noticed)
        decode(data)
    tracemalloc.start()
    for at in places:
        for value in (b"\xff" * 4, b"\x03\xff\xff\xff", b"\x00\x10\x00\x00", b"\0\0\x03\xe8"):
            with suppress(PeerFault):
                decode(data[:at] + value + data[at + 4 :])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_what_decodes_has_one_encoding(messages, data):
    name = data.draw(st.sampled_from(NAMES))
    changed = bytearray(messages[name])
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(changed))
    except PeerFault:
        return
    assert message.to_bytes() == bytes(changed)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_noise_is_refused_as_a_peers_fault(data):
    for kind in range(17):
        with pytest.raises(PeerFault):
            decode(MAGIC + bytes((VERSION, kind)) + data[:20])
    with pytest.raises(PeerFault):
        decode(data)


def test_an_invalid_message_cannot_be_made():
    for make in (
        lambda: CloseRun(b"short", "reason"),
        lambda: CloseRun(bytes(16), "\x1b[31m"),
        lambda: CloseRun(bytes(16), "x" * 501),
        lambda: Closed(bytes(16), -1, bytes(32), bytes(64)),
        lambda: Closed(bytes(16), True, bytes(32), bytes(64)),
        lambda: Closed(bytes(16), 1 << 16, bytes(32), bytes(64)),
        lambda: upload(modulus_bits=16),
        lambda: upload(vector=b""),
        lambda: upload(commitment=b"c" * 32),
        lambda: upload(commitments=bytes(16)),
        lambda: upload(commitment=b"c" * 32, commitments=bytes(32)),
        lambda: upload(commitment=b"c" * 32, commitments=bytes(15)),
        lambda: upload(commitment=b"c" * 32, sealed=bytes(47), commitments=bytes(32)),
        lambda: upload(commitment=b"c" * 32, sealed=bytes(48), commitments=bytes(16)),
        lambda: header(participants=(1, 1)),
        lambda: header(participants=(2, 1)),
        lambda: header(participants=tuple(range(1001))),
        lambda: header(attempt=1000),
        lambda: RoundRequest(header(), b"\0\0\0"),
        lambda: RoundRequest(header(), bytearray(4)),  # type: ignore[arg-type]
        lambda: RoundRequest(None, b""),  # type: ignore[arg-type]
        lambda: RoundRequest(header(), np.array([np.nan], dtype="<f4").tobytes()),
        lambda: Packages(bytes(16), ()),
        lambda: Packages(bytes(16), [package(0)]),  # type: ignore[arg-type]
        lambda: Packages(bytes(16), (package(1), package(0))),
        lambda: Packages(bytes(16), (package(0), package(0))),
        lambda: Packages(bytes(16), ("no package",)),  # type: ignore[arg-type]
        lambda: note(receiver=0),
        lambda: note(ciphertext=bytes(1087)),
        lambda: Confirmation(bytes(16), 1, bytes(32), (note(),)),
        lambda: Confirmation(bytes(16), 0, bytes(32), (note(), note())),
        lambda: Survivors(bytes(16), bytes(32), (digest(1), digest(0)), b""),
        lambda: Survivors(bytes(16), bytes(32), (digest(0),), bytes(47)),
        lambda: Certificate(bytes(16), survivors(), (consent(1), consent(1))),
        lambda: Certificate(b"r" * 16, survivors(), (consent(1),)),
        lambda: RoundRecord(header(), (digest(1), digest(1))),
        lambda: RoundRecord(header(), (digest(1),), (consent(1), consent(0))),
        lambda: Opening(bytes(16), 0, bytes(32), bytes(32), bytes(31), b"", bytes(64)),
        lambda: Opening(bytes(16), 0, bytes(32), bytes(32), b"", bytes(33), bytes(64)),
        lambda: Standing(bytes(32), bytes(32), bytes(32), "perhaps", bytes(64)),
        lambda: AuditRequest(0, ()),
        lambda: AuditReceipt(bytes(32), 0, bytes(32), bytes(32), 5, bytes(64)),
        lambda: AuditHead(bytes(32), 2, bytes(32), bytes(32), 1, bytes(64)),
        lambda: FoundFile("a/b/c", b""),
        lambda: Findings(bytes(32), (), bytes(64)),
    ):
        with pytest.raises(OurFault) as refused:
            make()
        assert refused.value.code == "internal.record-invalid"


def header(participants=(0, 1, 2), attempt=0) -> Header:
    return Header(bytes(16), bytes(32), "q", 0, attempt, participants, bytes(32), bytes(32))


def package(clinic: int) -> KeyPackage:
    front = bytes(16), clinic, bytes(32)
    return KeyPackage(*front, bytes(32), bytes(1184), bytes(32), MARK, bytes(64))


def note(receiver=1, ciphertext=b"") -> Note:
    return Note(0, receiver, ciphertext, (), bytes(64))


def digest(clinic: int) -> SignedDigest:
    return SignedDigest(clinic, bytes(32), MARK, bytes(64))


def consent(clinic: int) -> SignedConsent:
    return SignedConsent(clinic, bytes(64))


def survivors() -> Survivors:
    return Survivors(bytes(16), bytes(32), (digest(1),), b"")


def upload(**changes) -> Upload:
    plain = {
        **{"run": bytes(16), "clinic": 0, "header": bytes(32), "modulus_bits": 32},
        **{"vector": bytes(8), "commitment": bytes(32), "sealed": b"", "commitments": b""},
        **{"mark": MARK, "signature": bytes(64)},
    }
    return Upload(**(plain | changes))


def test_a_record_without_a_wire_format_cannot_be_used():
    @dataclass(frozen=True)
    class Loose(Record):
        number: int

    with pytest.raises(TypeError, match="no wire format"):
        Loose(1)


def test_text_holds_the_characters_that_the_spec_says():
    # SPEC 2.2, over all of Unicode: what could move a cursor or turn a line around is refused.
    text = Text(4)
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        kind = unicodedata.category(character)
        allowed = character in " \n" or kind[0] not in "CZ"
        try:
            text.check(character)
        except ValueError:
            assert not allowed, hex(number)
        else:
            assert allowed, hex(number)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, -0.0, 1, None])
def test_a_real_has_one_encoding(value):
    with pytest.raises(ValueError, match="must"):
        Real().check(value)


def test_a_context_says_what_cannot_be():
    good = {
        **{"study": bytes(32), "roster": bytes(32), "question": "q", "round": 0, "attempt": 0},
        **{"public_state": b"", "length": 1, "bound": None, "sigma": 0, "grid": 1.0},
        **{"reach": 1, "modulus_bits": 64},
    }
    assert Context.of(**good).bound == 0.0
    for change in (
        *({"length": 0}, {"length": 1 << 24}, {"grid": 0}, {"modulus_bits": 63}),
        {"attempt": 1000},
    ):
        with pytest.raises(OurFault):
            Context.of(**(good | change))


def test_every_part_of_a_context_changes_its_digest():
    good = {
        **{"study": bytes(32), "roster": bytes(32), "question": "q", "round": 0, "attempt": 0},
        **{"public_state": b"", "length": 1, "bound": 1.0, "sigma": 1.0, "grid": 1.0},
        **{"reach": 1, "modulus_bits": 64},
    }
    changes = {
        **{"study": b"1" * 32, "roster": b"1" * 32, "question": "r", "round": 1, "attempt": 1},
        **{"public_state": b"1234", "length": 2, "bound": 2.0, "sigma": 2.0, "grid": 2.0},
        **{"reach": 2, "modulus_bits": 32},
    }
    digests = {Context.of(**(good | {name: value})).digest for name, value in changes.items()}
    assert len(digests | {Context.of(**good).digest}) == len(good) + 1


def test_a_refusal_carries_the_error_and_cuts_what_is_too_long():
    error = CairnError("x" * 900, code="c", why="é" * 1500 + "\x07", hint="h")
    refusal = decode(Refusal.of(error).to_bytes())
    assert isinstance(refusal, Refusal)
    assert (len(refusal.what), refusal.code, refusal.hint) == (500, "error.c", "h")
    assert refusal.as_error().code == "peer.refused"
    assert "error.c" in refusal.as_error().why
