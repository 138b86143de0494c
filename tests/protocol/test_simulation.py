"""A run among chaos: whatever is lost, late, doubled, out of order or a lie, sums are plain sums.

Real clinics and a real server, every message as bytes. Besides the server's own questions the
machine replays any message that was ever sent, brings replies late and twice, restarts keepers,
makes new setups without some clinics, and shows clinics survivors and certificates that the server
never named. Clinic k contributes 10^k times a number of its attempt, so a clinic that is counted
twice, or not, or from another attempt shows in the digits.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cairn_protocol import states, survivors
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.context import state_bytes
from cairn_protocol.errors import CairnError
from cairn_protocol.fixed_point import encode
from cairn_protocol.history import History
from cairn_protocol.messages import (
    Certificate,
    Consent,
    Opening,
    SignedConsent,
    Survivors,
    Upload,
    decode,
)
from cairn_protocol.round_messages import consent_statement
from cairn_protocol.server_run import ServerRun
from cairn_protocol.states import State
from cairn_protocol.unmasking import Unmasking, sealed_for
from mutations import weaken
from simulated_keeper import Keeper
from split_view import Case, broken, determined, mask_of

POLICIES = [(4, 3, 3, 1), (4, 4, 3, 1), (5, 4, 4, 1), (5, 4, 4, 2), (6, 4, 4, 1), (6, 5, 4, 1)]
QUESTIONS = ("effect", "error")
LENGTH = 3
STATE = state_bytes(np.zeros(3))
BETWEEN = (State.ASKED, State.NAMED, State.CERTIFIED)
CLINIC = st.integers(0, 5)
SUBSET = st.one_of(st.just(set()), st.just(set()), st.sets(st.integers(0, 5), max_size=2))


class Simulation(RuleBasedStateMachine):
    """See the module."""

    federate = snapshots = None
    truthful = False  # a server that never lies must get its sums

    @initialize(
        policy=st.sampled_from(POLICIES), recovers=st.sampled_from([True, True, True, False])
    )
    def begin(self, policy, recovers):
        n, m, t, f = policy
        settings_ = {"dropout": "recovered", "survivors": m, "threshold": t} if recovers else {}
        self.federation = self.federate(n, colluding=f, **settings_)
        self.least, self.threshold, self.colluding = (m, t, f) if recovers else (n, n, f)
        self.colluders = frozenset(range(n - f, n))
        self.keepers = [Keeper(self, clinic) for clinic in range(n)]
        self.sent: list[bytes] = []  # every message of the server
        self.replies: list[tuple[int, bytes]] = []  # every reply of a clinic
        self.answers: dict[tuple[int, object, bytes], bytes] = {}
        self.vectors, self.uploaded, self.chosen, self.opened = {}, {}, {}, {}
        self.consents, self.headers = {}, {}
        self.question = self.round = self.attempt = 0
        self.sums = 0
        self.setup = -1
        self.server = None
        self.now: dict[int, bytes] = {}
        self.make_setup(())

    # What the server does.

    def make_setup(self, away) -> None:
        records = self.server.records if self.server else ()
        self.setup += 1
        self.server, opening = ServerRun.open(
            self.federation.opening.run,
            self.federation.signed,
            self.federation.signed_roster,
            setup=self.setup,
            records=records,
        )
        self.attempt += 1
        self.tell(dict.fromkeys(range(len(self.keepers)), opening))
        self.bring(away)

    def tell(self, messages) -> None:
        """These are the messages of the hour."""
        self.now = {clinic: message.to_bytes() for clinic, message in messages.items()}
        self.sent += self.now.values()

    def bring(self, lost) -> None:
        """Every clinic but the lost gets its message, and its reply comes back."""
        for clinic, data in self.now.items():
            if clinic not in lost:
                self.deliver(clinic, data)

    def deliver(self, clinic: int, data: bytes, *, back: bool = True) -> None:
        keeper = self.keepers[clinic]
        reply = keeper.answer(data)
        if reply is None:
            return
        self.replies.append((clinic, reply))
        if back:
            self.receive(clinic, reply)

    def receive(self, clinic: int, reply: bytes) -> None:
        before = self.snapshots(self.server)
        try:
            self.server.receive(clinic, decode(reply, self.server.reply_limit))
        except CairnError:
            assert self.snapshots(self.server) == before

    def context(self, question: str, round_: int, attempt: int):
        return self.federation.context(
            question=question, round_=round_, attempt=attempt, length=LENGTH
        )

    def vector(self, clinic: int, context):
        salt = 1 + len(self.vectors) % 7
        vector = [10**clinic, -(10**clinic), salt * 10**clinic]
        ring = encode(np.array(vector), reach=context.reach, modulus_bits=context.modulus_bits)
        return ring, vector

    def ask(self) -> None:
        context = self.context(QUESTIONS[self.question], self.round, self.attempt)
        self.tell(self.server.request(context, STATE))

    @rule(losses=st.lists(SUBSET, min_size=1, max_size=8), late=SUBSET)
    def go_on(self, losses, late):
        """So many steps of the protocol as there are losses."""
        for lost in losses:
            self.step(lost, late)

    @rule(losses=st.lists(SUBSET, min_size=4, max_size=12))
    def go_on_for_long(self, losses):
        self.ready()
        self.go_on(losses, set())

    def step(self, lost, late) -> None:
        """The next step of the protocol, if enough have answered the last one."""
        server = self.server
        try:
            if server.state is State.OPENED:
                packages = server.packages()
                self.tell(dict.fromkeys(server.participants, packages))
            elif server.state is State.AGREED:
                self.ask()
            elif server.state is State.ASKED and server.policy.recovers:
                self.tell(server.survivors())
            elif server.state is State.NAMED and not server._open.everyone:
                self.tell(server.certificate())
            else:
                self.finish(server.total().tolist())
        except CairnError as error:
            if error.code not in ("internal.incomplete", "peer.shares-wrong"):
                raise
            return
        self.bring(lost)
        for clinic in late:  # they got it, their replies are on their way
            if clinic in lost and clinic in self.now:
                self.deliver(clinic, self.now[clinic], back=False)

    def finish(self, total) -> None:
        record = self.server.records[-1]
        rows = [self.vectors[record.header.digest, clinic] for clinic in record.survivors]
        assert total == [sum(column) for column in zip(*rows, strict=True)]
        assert len(record.survivors) >= self.least
        self.sums += 1
        self.round, self.attempt = self.round + 1, 0
        self.ask()

    def ready(self) -> None:
        """As a coordinator would: where a keeper's memory is gone, all keys are made anew."""
        if any(keeper.run is None for keeper in self.keepers):
            self.make_setup(())
        for _ in ("keys", "notes"):
            if self.server.state in (State.OPENED, State.AGREED):
                self.bring(())
                self.step((), ())

    @rule(lost=CLINIC, silent=SUBSET)
    def lose_one(self, lost, silent):
        """A whole attempt without one clinic."""
        self.ready()
        self.try_again({lost % len(self.keepers)})
        for away in (silent, (), ()):
            self.step(away, ())

    @rule(anew=st.booleans())
    def nothing_befalls(self, anew):
        """A whole attempt without a loss; a truthful server then has its sum."""
        if anew or self.server.participants != tuple(range(len(self.keepers))):
            self.make_setup(())
        self.ready()
        self.try_again(())
        before = self.sums
        self.step((), ())
        self.step((), ())
        assert self.sums > before or not self.truthful, "no sum although nothing was lost"

    @rule(lost=SUBSET)
    def bring_again(self, lost):
        self.bring(lost)

    @rule(lost=SUBSET)
    def next_attempt(self, lost):
        self.try_again(lost)

    def try_again(self, lost) -> None:
        """The next attempt, up to its uploads."""
        if self.server.state in BETWEEN:
            self.attempt += 1
            self.ask()
            self.bring(lost)

    @rule(lost=SUBSET)
    def next_question(self, lost):
        if self.server.state in BETWEEN and not self.question:
            self.question, self.round, self.attempt = 1, 0, 0
            self.ask()
            self.bring(lost)

    @rule(away=SUBSET, restarted=SUBSET)
    def new_setup(self, away, restarted):
        for clinic in restarted:
            if clinic < len(self.keepers):
                self.keepers[clinic].restart()
        self.make_setup(away)

    # What goes wrong on the way.

    @rule(which=st.integers(0), clinic=CLINIC, back=st.booleans())
    def replay_any_message(self, which, clinic, back):
        if clinic < len(self.keepers):
            self.deliver(clinic, self.sent[-1 - which % len(self.sent)], back=back)

    @rule(which=st.integers(0))
    def bring_any_reply_again(self, which):
        if self.replies:
            self.receive(*self.replies[-1 - which % len(self.replies)])

    @rule(clinic=CLINIC)
    def restart_a_keeper(self, clinic):
        if clinic < len(self.keepers):
            self.keepers[clinic].restart()

    # What the server says to some clinics only.

    def named(self, clinic: int, without) -> Survivors | None:
        """A lie about who survived; None: there is none to tell."""
        asked = self.server.state in BETWEEN
        if not asked or not self.server.policy.recovers or clinic >= len(self.keepers):
            return None
        here = self.server._open
        chosen = {c: here.uploads[c] for c in sorted(here.uploads) if c not in without}
        if not chosen:
            return None
        sealed = sealed_for(here.header.participants, chosen).get(clinic, b"")
        digests = tuple(upload.signed_digest for upload in chosen.values())
        return Survivors(here.header.run, here.header.digest, digests, sealed)

    @rule(
        sets=st.lists(SUBSET, min_size=1, max_size=2),
        views=st.lists(st.tuples(CLINIC, st.integers(0, 1)), min_size=1, max_size=8),
        fresh=st.booleans(),
        sign=st.booleans(),
    )
    def split_views(self, sets, views, fresh, sign):
        """Clinics are told of one or the other loss; then, perhaps, they get certificates.

        The certificates hold every signature that was ever given, and the colluders'.
        """
        if self.truthful:
            return
        if fresh:
            self.ready()
            self.try_again(())
        shown = []
        for clinic, which in views:
            named = self.named(clinic, sets[which % len(sets)])
            if named is not None:
                shown.append((clinic, named))
                self.deliver(clinic, named.to_bytes(), back=False)
        for clinic, named in shown if sign else ():
            self.deliver(clinic, self.certificate(named).to_bytes(), back=False)

    def certificate(self, named: Survivors) -> Certificate:
        signed = dict(self.consents.get(named.survivors_digest, {}))
        for clinic in self.colluders:
            statement = consent_statement(named.run, clinic, named.header, named.survivors_digest)
            signed[clinic] = self.federation.identities[clinic].sign("survivors", statement)
        consents = tuple(SignedConsent(c, signature) for c, signature in sorted(signed.items()))
        return Certificate(named.run, named, consents)

    # What must hold of every reply.

    def witness(self, clinic: int, message, reply) -> None:
        keeper, request = self.keepers[clinic], message.to_bytes()
        again = (clinic, keeper.run, request)
        assert self.answers.setdefault(again, reply.to_bytes()) == reply.to_bytes()
        match reply:
            case Upload():
                self.headers[reply.header] = message.header
                made = self.uploaded.setdefault((clinic, reply.header), reply.upload_digest)
                assert made == reply.upload_digest, "two vectors under one header"
            case Consent():
                self.chose(clinic, reply)
                signed = self.consents.setdefault(reply.survivors, {})
                signed[clinic] = reply.signature
            case Opening():
                self.chose(clinic, reply)
                self.open(clinic, message, reply)

    def chose(self, clinic: int, reply: Consent | Opening) -> None:
        chosen = self.chosen.setdefault((clinic, reply.header), reply.survivors)
        assert chosen == reply.survivors, "two survivor sets answered"

    def open(self, clinic: int, message, reply: Opening) -> None:
        participants = self.headers[reply.header].participants
        named = message.survivors if isinstance(message, Certificate) else message
        here, gone = named.survivors, len(participants) - len(named.survivors)
        assert clinic in here
        assert set(here) <= set(participants)
        assert len(here) >= self.least, "opened for too few"
        assert (reply.opened, reply.revealed) == (len(here), gone), "both secrets of a clinic"
        if gone:
            assert isinstance(message, Certificate), "opened without a certificate"
            signers = {consent.clinic for consent in message.consents} & set(here)
            assert len(signers) >= self.threshold, "opened on a short certificate"
        sets = self.opened.setdefault(reply.header, {})
        assert sets.setdefault(clinic, here) == here
        self.one_sum(participants, sets)

    def one_sum(self, participants, sets) -> None:
        """The colluders are the last clinics, so honest participants come first, as in a case."""
        place = {clinic: at for at, clinic in enumerate(participants)}
        case = Case(
            *(len(self.keepers), self.least, self.threshold, self.colluding),
            participants=len(participants),
            inside=len(self.colluders & set(participants)),
        )
        opened = [
            frozenset({mask_of(place[c] for c in sets[clinic])}) if clinic in sets else frozenset()
            for clinic in participants[: len(case.honest)]
        ]
        assert not broken(case, determined(case, tuple(opened))), "more than one sum is open"


def simulate(
    federate, snapshots, examples: int, steps: int, *, truthful: bool = False, **more
) -> list[Simulation]:
    """The runs that were simulated."""
    made: list[Simulation] = []

    class Run(Simulation):
        def __init__(self) -> None:
            super().__init__()
            self.federate, self.snapshots, self.truthful = federate, snapshots, truthful
            made.append(self)

    run_state_machine_as_test(
        Run,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )
    return [run for run in made if hasattr(run, "sums")]


@pytest.mark.parametrize("truthful", [True, False])
def test_a_run_among_chaos(federate, snapshots, truthful):
    runs = simulate(federate, snapshots, 25, 25, truthful=truthful, derandomize=True)
    records = [record for run in runs for record in run.server.records]
    assert len(records) > 25, "nearly all was refused"
    assert any(record.consents for record in records), "nobody was lost"


@pytest.mark.soak
@pytest.mark.parametrize("truthful", [True, False])
def test_a_long_run_among_chaos(federate, snapshots, truthful):
    simulate(federate, snapshots, 200, 50, truthful=truthful)


LOOKUP = "TRANSITIONS[role].get((state, message))"
BUGS = {
    "a set of its own for each": [
        (survivors.consider, "opened=survivors == rules.participants", "opened=True")
    ],
    "another set after an answer": [
        (survivors.consider, "before is not None", "False"),
        (states.step, LOOKUP, f"{LOOKUP} or (State.NAMED if message is Survivors else None)"),
    ],
    "fewer than m": [(survivors.consider, "len(survivors) < rules.least", "False")],
    "the same request again": [
        (History._next, "(after.question, after.round, after.attempt) < here", "False")
    ],
    "one clinic does not turn its keys": [
        (ClinicRun.accept, "roots.turn(record.digest)", "self.index and roots.turn(record.digest)")
    ],
    "a left-over mask with the wrong sign": [
        (Unmasking._left_over, "-pair_sign(clinic, peer)", "pair_sign(clinic, peer)")
    ],
}


@pytest.mark.soak
@pytest.mark.parametrize("bug", BUGS)
def test_the_chaos_finds(bug, federate, snapshots, monkeypatch):
    for function, old, new in BUGS[bug]:
        weaken(monkeypatch, function, old, new)
    with pytest.raises((AssertionError, CairnError, BaseExceptionGroup)):
        simulate(federate, snapshots, 200, 25, phases=(Phase.generate,), database=None)
