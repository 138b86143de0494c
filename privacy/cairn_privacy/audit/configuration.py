"""`Configuration`: exactly what was tested, as one digest that a release gate can compare.

It holds the study's bytes, the question's terms and the code that answers. A changed study, another
noise or one changed line of the code gives another digest, so an old result cannot stand for it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import OurFault

PACKAGES: Final = ("cairn_protocol", "cairn_privacy", "cairn_models", "cairn_client")


class Configuration(BaseModel):
    """One question's terms and the code that answers it, all public.

    Lengths are coordinates, `clamp`, `reach` and `grid` steps, `bound` the question's own units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    question: str
    length: int
    bound: float
    sigma: float
    grid: int
    releases: int
    clinics: int
    survivors: int
    colluding: int
    delta: float
    clamp: int
    reach: int
    modulus_bits: int
    code: str

    @classmethod
    def of(cls, terms: QuestionTerms) -> Configuration:
        """The configuration of a question with `terms`, answered by the code that runs here."""
        noise, scale, study = terms.noise, terms.scale, terms.study
        if noise is None or scale.bound is None:
            raise OurFault("public data have no privacy to configure", code="no-configuration")
        return cls(
            study=study.digest.hex(),
            question=terms.question,
            length=terms.length,
            bound=scale.bound,
            sigma=noise.sigma,
            grid=noise.grid,
            releases=noise.rounds,
            clinics=study.policy.clinics,
            survivors=study.policy.survivors,
            colluding=study.policy.colluding,
            delta=study.privacy.delta,
            clamp=scale.clamp,
            reach=scale.reach,
            modulus_bits=scale.modulus_bits,
            code=code_version(),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        form = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"cairn configuration v1\0" + form.encode()).hexdigest()


@cache
def code_version() -> str:
    """Cairn's version and a digest of every source file that has a part in an answer."""
    digest = hashlib.sha256(b"cairn code v1\0")
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise OurFault("a package of Cairn is missing", code="package-missing", why=package)
        folder = Path(spec.origin).parent
        for file in sorted(folder.rglob("*.py")):
            content = file.read_bytes()
            name = f"{package}/{file.relative_to(folder).as_posix()}"
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    try:
        number = version("cairn-federated")
    except PackageNotFoundError:
        number = "0"
    return f"{number}+{digest.hexdigest()[:32]}"
