"""`check_kept` and `check_named`: what still has to hold before a kept reply leaves.

A kept reply outlives the keys under which it was made: those of a restart are gone, and a new
setup may have others among fewer clinics. So the clinics are counted that the request itself
names, which is the very one that was answered. Who they are stands on the run's roster; where the
run is gone, on the one that was offered last, if it is the run's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from cairn_client.active_runs import run_unknown
from cairn_client.keeper_state import Approval, KeeperState, Place
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.messages import Certificate, RoundRequest, Survivors
from cairn_protocol.progress import NOTHING
from cairn_protocol.record import Message
from cairn_protocol.roster import Roster
from cairn_protocol.study import Study
from cairn_protocol.survivors import Clinics, SurvivorRules, check_verified


def check_roster(approval: Approval, roster: bytes) -> None:
    """Refuses a run under another roster (a digest) than the one that was approved.

    Raises:
        PolicyRefusal: `policy.roster-changed`.
    """
    if approval.roster not in (None, roster):
        raise PolicyRefusal(
            "this clinic has acknowledged another roster since the run was opened",
            code="roster-changed",
            hint="a new run, under the new roster, can ask what is left",
        )


def check_kept(state: KeeperState, approval: Approval, place: Place, message: Message) -> None:
    """Refuses to send again what was kept at `place` as the reply to `message`.

    Raises:
        PolicyRefusal: another roster was approved, or too few are verified now.
        PeerFault: `peer.run-unknown`, where this cannot be told; the server then opens new keys.
    """
    if place.roster == NOTHING:
        raise run_unknown()
    check_roster(approval, place.roster)
    study, roster = approval.study.study(), state.roster(place.study)
    verified = state.verified(roster)
    if verified is None or not study.noised:
        return
    if roster is None or roster.digest != place.roster:
        raise run_unknown()
    check_named(study, roster, verified, message, own=place.clinic)


def check_named(
    study: Study,
    roster: Roster,
    verified: frozenset[bytes] | None,
    message: Message,
    *,
    own: int,
    asked: bytes = b"",
) -> None:
    """Refuses `message` where too few of the clinics that it names are verified. Changes nothing.

    Messages that agree on keys name nobody: they are good for nothing without these keys.

    Args:
        verified: public keys; None: not counted.
        own: this clinic's index.
        asked: digest of the header whose participants the run has counted already.

    Raises:
        PolicyRefusal: too few are.
    """
    if verified is None or not study.noised:
        return
    policy, known = study.policy, roster.indices_of(verified)
    for clinics, needed in _sums(study, roster, message, asked):
        rules = SurvivorRules(
            participants=clinics,
            own=own,
            least=policy.survivors,
            threshold=policy.threshold,
            verified_least=needed,
            verified=known,
        )
        check_verified(rules, clinics, needed)


def _sums(
    study: Study, roster: Roster, message: Message, asked: bytes
) -> Iterator[tuple[Clinics, int]]:
    """Clinics, and how many of them have to be verified."""
    policy = study.policy
    named = message.survivors if isinstance(message, Certificate) else message
    if isinstance(named, RoundRequest):
        clinics = named.header.participants
        yield clinics, policy.verified_needed(len(clinics))
    elif isinstance(named, Survivors):
        yield named.survivors, policy.honest
        if named.header != asked:
            # Who took part does not stand in it. What a roster needs is enough for any of them:
            # a clinic less takes one from the verified at most, and two from what is needed.
            yield tuple(range(len(roster))), policy.verified_needed(len(roster))
