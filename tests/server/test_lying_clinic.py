"""A clinic whose keys or notes nobody can use leaves the run; those who could not use them stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from cairn_models.questions import KINDS
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES, Mark
from cairn_protocol.messages import Confirmation, KeyPackage, decode
from recovery_bench import KNOWN, Clinics, study_of

LIAR = "elm"


@pytest.fixture(autouse=True)
def walks() -> Iterator[None]:
    with patch.dict(KINDS, KNOWN):
        yield


def weak_key(liar: Identity, others: bytes, message: KeyPackage | Confirmation) -> bytes:
    """An X25519 key that gives everybody the same secret."""
    assert isinstance(message, KeyPackage)
    bad = replace(message, x25519=bytes(32))
    return bad.with_signature(liar.sign("key package", bad.signed)).to_bytes()


def no_ciphertext(liar: Identity, others: bytes, message: KeyPackage | Confirmation) -> bytes:
    """Notes without the ciphertexts that they should bring."""
    assert isinstance(message, Confirmation)
    notes = tuple(
        replace(note, ciphertext=b"").signed_by(liar, message.run, message.t1)
        for note in message.notes
    )
    return replace(message, notes=notes).to_bytes()


def forged_witness(liar: Identity, others: bytes, message: KeyPackage | Confirmation) -> bytes:
    """A mark that another clinic never signed."""
    assert isinstance(message, Confirmation)
    mark = replace(Mark.sign(liar, 9, bytes(BOOT_BYTES), bytes(32)), identity=others)
    first = replace(message.notes[0], witness=(mark,))
    notes = (first.signed_by(liar, message.run, message.t1), *message.notes[1:])
    return replace(message, notes=notes).to_bytes()


@pytest.mark.parametrize(
    ("stage", "lie"),
    [("open", weak_key), ("confirm", no_ciphertext), ("confirm", forged_witness)],
)
def test_a_clinic_that_signs_what_others_must_refuse_leaves_and_they_stay(
    tmp_path: Path, stage: str, lie: Callable[..., bytes]
) -> None:
    clinics = Clinics(tmp_path / "c", study_of(rounds=1))
    liar, ash = (clinics.keepers[name].identity for name in (LIAR, "ash"))

    def meddle(at: str, name: str, reply: bytes) -> bytes:
        return lie(liar, ash.public, decode(reply)) if (at, name) == (stage, LIAR) else reply

    clinics.meddle = meddle
    run = clinics.run()
    clinics.execute(run)
    assert clinics.names_in(run, "effect") == ["afoy"]
    assert [(i.kind, i.clinic) for i in run.incidents()] == [("left", LIAR)]
