"""`Policy`: how many clinics, survivors, shares and colluders; stands in the signed study.

n clinics on the roster, m fewest survivors whose sum may be opened, t share threshold, f clinics
assumed to collude with the server, h = m − f honest survivors. The noise of one clinic is
σ²C²/h, so any sum that can be opened carries at least σ²C² that the adversary does not know.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST_ROSTER = 1000


class Policy(BaseModel):
    """Validated on construction: a policy that breaks a rule cannot exist.

    `clinics` n · `survivors` m · `threshold` t · `colluding` f. With `dropout = "forbidden"`
    every clinic must answer (m = t = n): pairwise masks alone, one exchange a round. `loss` is the
    expected share of messages that a clinic does not answer in time; plans reckon with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clinics: int = Field(default=3, ge=1, le=LARGEST_ROSTER)
    survivors: int = Field(default=3, ge=1)
    threshold: int = Field(default=3, ge=1)
    colluding: int = Field(default=1, ge=0)
    dropout: Literal["forbidden", "recovered"] = "forbidden"
    loss: float = Field(default=0.01, ge=0, lt=0.5)

    @property
    def honest(self) -> int:
        """h = m − f: the divisor of the noise."""
        return self.survivors - self.colluding

    def verified_needed(self, participants: int) -> int:
        """How many of so many participants a clinic's people must have verified.

        h, so that a sum holds h clinics that are real. Where survivors can be certified also
        enough that 2t exceeds the participants and those that are not verified together: else
        made-up clinics, however many, could sign two sets of survivors.  # SPEC 4.5
        """
        return max(self.honest, 2 * (participants - self.threshold) + 1 if self.recovers else 0)

    @property
    def recovers(self) -> bool:
        """Whether a round survives the loss of clinics."""
        return self.dropout == "recovered"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        n, m, t = self.clinics, self.survivors, self.threshold
        if not t <= m <= n:
            raise ValueError("threshold ≤ survivors ≤ clinics must hold")
        if self.dropout == "forbidden" and m != n:
            raise ValueError('dropout = "forbidden" needs survivors = clinics')
        return self

    def faults(self) -> list[str]:
        """What a clinic refuses in this policy when the data are patients' (empty: nothing)."""
        n, m, t, f = self.clinics, self.survivors, self.threshold, self.colluding
        rules = (
            (
                f >= 1,
                f"colluding = {f}: a clinic that sees the result knows its own noise",
            ),
            (
                m - f >= 2,
                f"survivors − colluding = {m - f}: a sum needs 2 honest clinics",
            ),
            (2 * t > n + f, f"2·threshold = {2 * t} must exceed clinics + colluding = {n + f}"),
        )
        return [words for holds, words in rules if not holds]
