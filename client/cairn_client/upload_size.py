"""`upload_bytes`: how large a clinic's upload of one round is; it follows from the study alone."""

from __future__ import annotations

from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.fixed_point import wire_bytes
from cairn_protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES
from cairn_protocol.mark import BOOT_BYTES, NO_HEAD, Mark
from cairn_protocol.messages import Upload
from cairn_protocol.round_messages import COMMITMENT_BYTES, SEALED_BYTES
from cairn_protocol.wire_types import RUN_BYTES, UNSIGNED


def upload_bytes(terms: QuestionTerms, clinics: int) -> int:
    """Bytes of the message that carries one sum, where `clinics` take part."""
    shares = clinics if terms.study.policy.recovers else 0
    return len(
        Upload(
            run=bytes(RUN_BYTES),
            clinic=0,
            header=bytes(32),
            modulus_bits=terms.scale.modulus_bits,
            vector=bytes(wire_bytes(terms.length, terms.scale.modulus_bits)),
            commitment=bytes([shares > 0] * 32),
            sealed=bytes(SEALED_BYTES * max(shares - 1, 0)),
            commitments=bytes(COMMITMENT_BYTES * shares),
            mark=Mark(bytes(PUBLIC_BYTES), 0, bytes(BOOT_BYTES), NO_HEAD, bytes(SIGNATURE_BYTES)),
            signature=UNSIGNED,
        ).to_bytes()
    )
