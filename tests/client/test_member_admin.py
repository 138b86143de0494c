"""Who counts as verified, as a clinic's people say it to their keeper; and what that allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cairn_client import passwords
from cairn_client.keeper_admin import KeeperAdmin
from cairn_client.member_admin import MemberAdmin
from cairn_client.passwords import Cost
from cairn_client.reviewers import Reviewers
from cairn_protocol.errors import CairnError, InputError, PolicyRefusal
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.member_list import MemberList
from cairn_protocol.messages import KeyPackage, Offer, Refusal
from cairn_protocol.proto import keeper_pb2 as pb
from keeper_bench import RECOVERED, Bench

Make = Callable[..., Bench]
BOARD = Identity.generate()


class Desk:
    """A clinic's people, over its keeper, without sockets. Five clinics, three needed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.store = bench.boot(0)
        self.keeper = bench.keepers[0]
        reviewers = self.reviewers = Reviewers(self.store, lambda: 1)
        self.admin = KeeperAdmin(self.keeper, self.store, reviewers)
        own = self.keeper.identity.public
        self.members = MemberAdmin(self.store, own, self.admin.lines, reviewers)
        self.store.pin_team(bench.signed.team)
        bench.ask(Offer(bench.signed, bench.roster))
        self.marks = {e.clinic: fingerprint(e.identity) for e in bench.roster.roster.entries}

    def verify(self, clinic: str, heard: str = "", **more: object) -> pb.VerifyReply:
        heard = heard or self.marks[clinic]
        request = pb.VerifyRequest(clinic=clinic, fingerprint=heard, person="Ada", **more)  # type: ignore[arg-type]
        return self.members.verify(request)

    def view(self) -> pb.StudyView:
        return self.admin.show(pb.ShowRequest(study="tiny"))

    def decide(self, state: str = "approved") -> None:
        view = self.view()
        self.admin.decide(
            pb.Decision(
                study=view.line.digest, roster=view.roster_digest, state=state, person="Ada"
            )
        )

    def list(self, issue: int, *clinics: str) -> str:
        members = {name: self.marks[name] for name in clinics}
        return MemberList.sign(BOARD, "Ethics board", issue, members).to_text()

    def pin(self, heard: str, text: str) -> pb.RegistryReply:
        return self.members.pin_registry(
            pb.RegistryRequest(fingerprint=heard, text=text, person="Ada")
        )


@pytest.fixture
def desk(bench: Make) -> Iterator[Desk]:
    d = Desk(bench(text=RECOVERED))
    yield d
    d.keeper.close()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(CairnError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


def test_a_clinic_is_verified_by_what_was_heard_of_it(desk: Desk) -> None:
    line = desk.view().line
    assert (line.verified, line.members, line.needed) == (1, 5, 3)
    reply = desk.verify("elm")
    assert (reply.studies[0].verified, list(reply.studies[0].unverified)) == (
        2,
        ["oak", "sloe", "yew"],
    )
    assert desk.verify("oak", desk.marks["oak"].upper().replace("-", " "))
    view = desk.view()
    assert view.line.verified == 3
    assert not view.obstacle
    assert {m.clinic: m.verified[:15] for m in view.roster if m.verified} == {
        "elm": "compared by Ada",
        "oak": "compared by Ada",
    }


def test_what_was_heard_and_differs_is_refused_and_counts_nothing(desk: Desk) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        desk.verify("elm", desk.marks["oak"])
    assert caught.value.code == "policy.fingerprint-differs"
    assert desk.marks["elm"] in caught.value.why
    assert desk.marks["oak"] in caught.value.why
    assert "telephone elm again" in caught.value.hint
    assert desk.view().line.verified == 1


def test_slips_are_named(desk: Desk) -> None:
    assert code_of(lambda: desk.verify("elm", "abcd")) == "input.fingerprint-mistyped"
    assert code_of(lambda: desk.verify("elm", desk.marks["elm"][:-1])).endswith("mistyped")
    assert code_of(lambda: desk.verify("fir", desk.marks["elm"])) == "policy.member-unknown"
    assert code_of(lambda: desk.verify("ash")) == "input.own-fingerprint"
    assert code_of(lambda: desk.verify("elm", study="other")) == "policy.study-unknown"
    assert desk.view().line.verified == 1


def test_without_a_name_nobody_is_verified(desk: Desk) -> None:
    for person in ("", "  ", "\x07"):
        request = pb.VerifyRequest(clinic="elm", fingerprint=desk.marks["elm"], person=person)
        assert code_of(lambda request=request: desk.members.verify(request)) == "input.person"


def test_where_a_clinic_has_accounts_whoever_verifies_has_signed_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "COST", Cost(memory_kib=64, passes=1, lanes=1))
    desk.reviewers.add("anna", "annual turnip parade")
    text = desk.list(1, "elm", "oak", "yew")
    for act in (
        lambda: desk.verify("elm"),
        lambda: desk.members.take_list(pb.ListRequest(text=text, person="anna")),
        lambda: desk.pin(BOARD.fingerprint, text),
    ):
        assert code_of(act) == "policy.session-needed"
    session = desk.reviewers.sign_in("anna", "annual turnip parade")[0]
    desk.verify("elm", session=session)
    assert "anna" in next(m.verified for m in desk.view().roster if m.clinic == "elm")


def test_a_run_is_refused_until_enough_are_verified_and_again_after_a_revocation(
    desk: Desk,
) -> None:
    desk.verify("elm")
    assert code_of(desk.decide) == "policy.study-unanswerable"
    b = desk.bench
    desk.verify("oak")
    desk.decide()
    desk.verify("oak", revoke=True)
    reply = b.ask(b.opening)
    assert isinstance(reply, Refusal)
    assert reply.code == "policy.too-few-verified"
    assert "cairn clinic verify" in reply.hint
    desk.verify("oak")
    assert isinstance(b.ask(b.opening), KeyPackage)
    desk.verify("oak", revoke=True)
    b.reopen(1)
    reply = b.ask(b.opening)
    assert isinstance(reply, Refusal)
    assert reply.code == "policy.too-few-verified"


def test_survivors_that_are_mostly_unknown_get_nothing(desk: Desk) -> None:
    """Three of five are verified; one of them drops out, and two are too few."""
    desk.verify("elm")
    desk.verify("yew")
    desk.decide()
    b = desk.bench
    b.set_up()
    b.everyone(b.requests(), but=(4,))
    reply = b.ask(b.server.survivors())
    assert isinstance(reply, Refusal)
    assert reply.code == "policy.too-few-verified"


def test_a_registrys_list_counts_once_its_key_was_compared(desk: Desk) -> None:
    text = desk.list(1, "elm", "oak", "yew")
    taken = pb.ListRequest(text=text, person="Ada")
    with pytest.raises(PolicyRefusal) as caught:
        desk.members.take_list(taken)
    assert "cairn clinic registry pin" in caught.value.hint
    other = Identity.generate().fingerprint
    assert code_of(lambda: desk.pin(other, text)) == "policy.fingerprint-differs"
    assert code_of(lambda: desk.pin("abc", text)) == "input.fingerprint-mistyped"
    assert desk.pin(BOARD.fingerprint, text).registry == "Ethics board"
    reply = desk.members.take_list(taken)
    assert (reply.added, reply.dropped, reply.studies[0].verified) == (3, 0, 4)
    status = desk.admin.status(pb.StatusRequest())
    assert list(status.registries) == [f"Ethics board  {BOARD.fingerprint}"]
    assert "on the list of Ethics board" in {m.verified for m in desk.view().roster}
    assert desk.pin(BOARD.fingerprint, "").registry == "Ethics board"
    assert desk.view().line.verified == 1
    assert code_of(lambda: desk.pin(BOARD.fingerprint, "")) == "policy.registry-unknown"


def test_a_list_that_was_changed_on_its_way_is_refused(desk: Desk) -> None:
    text = desk.list(1, "elm")
    desk.pin(BOARD.fingerprint, text)
    for bad in (text[:-6], text.replace("1\n", "1\nAA", 1), "", "junk"):
        request = pb.ListRequest(text=bad, person="Ada")
        with pytest.raises(InputError):
            desk.members.take_list(request)
    assert desk.view().line.verified == 1
