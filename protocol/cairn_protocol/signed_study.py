"""`SignedStudy`: the study file's bytes with the research team's key and signature.  # SPEC 4"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from cairn_protocol.codec import Blob, Fixed, refuse
from cairn_protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES, Identity, verify
from cairn_protocol.record import Record
from cairn_protocol.study import LARGEST_STUDY_FILE, Study


@dataclass(frozen=True)
class SignedStudy(Record):
    """`source` is the TOML file, byte for byte; its digest is the study's identity."""

    source: Annotated[bytes, Blob(LARGEST_STUDY_FILE)]
    team: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    @classmethod
    def sign(cls, study: Study, team: Identity) -> Self:
        """`study` as `team` signs it."""
        return cls(study.source, team.public, team.sign("study", study.source))

    @cached_property
    def _parsed(self) -> Study:
        return Study.parse(self.source)

    def study(self) -> Study:
        """The parsed study.

        Raises:
            InputError: the file cannot be used (whoever signed it).
        """
        return self._parsed

    @cached_property
    def digest(self) -> bytes:
        """The digest of the study, as `Study.digest` gives it, without parsing."""
        return study_digest(self.source)

    def verified(self, team_public: bytes) -> Study:
        """The parsed study, if `team_public` is the team that it names and signed it.

        Raises:
            PeerFault: `peer.study-forged`.
            InputError: the file cannot be used.
        """
        if self.team != team_public or not verify(
            team_public, "study", self.source, self.signature
        ):
            refuse(
                "study-forged",
                "the study is not signed by the research team that this clinic knows",
                hint="compare the team's fingerprint with the team, by telephone",
            )
        return self.study()


def study_digest(source: bytes) -> bytes:
    """SHA-256 that names a study file; the same bytes that `Study.digest` gives."""
    return Study.model_construct(source=source).digest
