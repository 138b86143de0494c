"""What a clinic opens, for which survivors: the whole decision, as two functions without I/O.

After the uploads the server names the survivors U of the participants P. A clinic then opens, for
each clinic of U, its share of that clinic's self mask, and for each of P∖U the pair seed that it
has with it: never both for one clinic.

    U1  U is a part of P, holds this clinic, and at least m clinics, h of them verified here.
    U2  Under one header a clinic answers one U, once. Naming U to sign it is answering it.
    U3  U = P is opened at once: only self masks, no seed.
    U4  Any other U is signed first, and opened when at least t clinics of U have signed the same.

**Why one sum opens, and it is large enough.** Let 2t > n + f ≥ |P| + f. Two sets U ≠ U′ that are
both certified need t signers each, so at least 2t − |P| > f signers in common, one of them honest:
against U2. If P is opened by honest clinics A and some U′ is certified, at least t − f honest
clinics signed U′, so |A| + f ≤ (|P| − f) − (t − f) + f = |P| + f − t < t: the self mask of no
clinic that P has and U′ lacks can be rebuilt. Opened is the sum over P or over one U′; both hold
at least m − f honest clinics. `tests/protocol/test_split_view.py` checks all of it for n ≤ 6 by
asking this very module.  # SPEC 12, R16 to R19
"""

from __future__ import annotations

from dataclasses import dataclass

from cairn_protocol.codec import refuse
from cairn_protocol.errors import PolicyRefusal

Clinics = tuple[int, ...]


@dataclass(frozen=True)
class SurvivorRules:
    """Facts of one header at one clinic.

    `participants` P, ascending · `own` this clinic's index · `least` m · `threshold` t ·
    `verified_least` h · `verified` indices that this clinic's operator verified, its own included;
    None: not counted, for public data.
    """

    participants: Clinics
    own: int
    least: int
    threshold: int
    verified_least: int
    verified: frozenset[int] | None


@dataclass(frozen=True)
class Answered:
    """What this clinic has said under one header: the set, its digest, whether it was opened."""

    survivors: Clinics
    digest: bytes
    opened: bool


def consider(
    rules: SurvivorRules, before: Answered | None, survivors: Clinics, digest: bytes
) -> Answered:
    """What this clinic answers to U = `survivors` (ascending): opened if U = P, else signed.

    Raises:
        PeerFault: U1 or U2 is broken.
        PolicyRefusal: too few of U are verified here.
    """
    if before is not None:  # U2, R18
        refuse("second-survivors", "this clinic has answered for other survivors already")
    if not set(survivors) <= set(rules.participants):  # U1, R16
        refuse("survivors-foreign", "a survivor is no participant")
    if rules.own not in survivors:
        refuse("not-a-survivor", "the survivors do not hold this clinic")
    if len(survivors) < rules.least:  # R17
        refuse(
            "too-few-survivors",
            f"{len(survivors)} survivors are fewer than the study's {rules.least}",
        )
    check_verified(rules, survivors, rules.verified_least)  # R17
    return Answered(survivors, digest, opened=survivors == rules.participants)  # U3, U4


def certify(
    rules: SurvivorRules,
    before: Answered | None,
    survivors: Clinics,
    digest: bytes,
    signers: frozenset[int],
) -> Answered:
    """What this clinic has said once it opened a certified set.

    Args:
        before: what it answered under this header; None where it was not asked, or did not hear.
        survivors, digest: of the set that the certificate is about.
        signers: clinics whose signatures on that set were verified.

    Raises:
        PeerFault: U1, U2 or U4 is broken.
        PolicyRefusal: too few of the set are verified here.
    """
    said = before or consider(rules, None, survivors, digest)  # U1
    if said.opened or said.digest != digest:  # U2, R18
        refuse("second-survivors", "this clinic has answered for other survivors already")
    if len(signers & set(said.survivors)) < rules.threshold:  # U4, R19
        refuse("certificate-short", f"fewer than {rules.threshold} survivors signed")
    return Answered(said.survivors, digest, opened=True)


def check_verified(rules: SurvivorRules, clinics: Clinics, least: int) -> None:
    """Refuses a sum over too few clinics that this clinic's operator knows to be real.

    Raises:
        PolicyRefusal: `policy.too-few-verified`.
    """
    if rules.verified is None:
        return
    known = len(rules.verified & set(clinics))
    if known < least:
        raise PolicyRefusal(
            f"{known} of the clinics are verified here, the study needs {least}",
            code="too-few-verified",
            why="a team could fill a roster with clinics of its own",
            hint="compare fingerprints with other clinics by telephone: `cairn clinic verify`",
        )
