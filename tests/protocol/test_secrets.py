"""What a keeper's memory, its objects' words and its errors do not hold."""

from __future__ import annotations

import logging
import traceback
import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from cairn_protocol import shares
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import Certificate, Packages

COORDINATE = 987654321  # of a clinic's vector
ONES = np.ones((4, 3), dtype=np.int64)
OPAQUE = (type, type(np), type(np.zeros), type(lambda: 0), str, int, float, bool, type(None))


def held(thing: object, seen: set[int] | None = None) -> Iterator[bytes]:
    """Every byte string that can be reached from an object."""
    seen = set() if seen is None else seen
    if isinstance(thing, OPAQUE) or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, bytes | bytearray):
        yield bytes(thing)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from held(key, seen)
            yield from held(value, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for item in thing:
            yield from held(item, seen)
    else:
        yield from held(getattr(thing, "__dict__", None), seen)


def secrets_of(run) -> dict[str, bytes]:
    """What opens the upload that a clinic has just made, by name."""
    here = run._round
    found = {"self mask": here._mask.stream, "own share": here._mask.own_share}
    for peer, root in here._roots._roots.items():
        found[f"root with {peer}"] = bytes(root)
        found[f"seed with {peer}"] = here._roots.seed(peer, here.header.digest)
        found[f"sealing {peer}"] = here._roots.sealing(peer, here.header.digest)
        found[f"unsealing {peer}"] = here._roots.unsealing(peer, here.header.digest)
    return found


@pytest.fixture
def four(federate):
    """Four clinics of which three must survive, with their keys."""
    return federate(4, dropout="recovered", survivors=3).agreed()


class TestMemory:
    def test_the_search_finds_what_is_there(self, four):
        four.ask(ONES)
        held_now = list(held(four.runs[0]))
        secrets = secrets_of(four.runs[0])
        kept = [name for name in secrets if "seed" not in name and "seal" not in name]
        assert len(kept) == 2 + 3
        assert all(any(secrets[name] in piece for piece in held_now) for name in kept)

    @pytest.mark.parametrize("lost", [(), (3,)])
    def test_a_round_that_was_asked_leaves_nothing_of_those_before(self, four, lost):
        before: dict[str, bytes] = {}
        for round_ in range(4):
            four.ask(ONES, lost=lost if round_ == 1 else (), round_=round_)
            memory = [list(held(run)) for run in four.runs]
            for clinic in (0, 1, 2):
                for name, secret in before.items():
                    whose = int(name.split()[0])
                    if whose == clinic:
                        assert not any(secret in piece for piece in memory[clinic]), name
            for clinic, run in enumerate(four.runs):
                if not (clinic in lost and round_ == 1):
                    news = secrets_of(run)
                    before |= {f"{clinic} round {round_} {k}": v for k, v in news.items()}
            four.unmask()
        assert len(before) > 100

    def test_an_attempt_that_was_void_leaves_its_roots_but_not_its_self_mask(self, four):
        # Roots turn when a round closes: until then the same clinics may be asked again.
        four.ask(ONES, lost=(2, 3))
        void = secrets_of(four.runs[0])
        four.ask(ONES, attempt=1)
        memory = list(held(four.runs[0]))
        assert not any(void["self mask"] in piece for piece in memory)
        assert not any(void["own share"] in piece for piece in memory)
        assert any(void["root with 1"] in piece for piece in memory)

    def test_keys_of_the_setup_are_gone_once_there_are_roots(self, federate):
        federation = federate(4, dropout="recovered", survivors=3).agreed()
        greeted, pair = federation.runs[0]._greeted, weakref.ref(federation.runs[0]._greeted._pair)
        exchanged = [*greeted._x25519.values(), *(secret for secret, _ in greeted._mlkem.values())]
        del greeted
        federation.ask(ONES)
        memory = list(held(federation.runs[0]))
        assert pair() is None
        assert len(exchanged) >= 4
        assert not any(secret in piece for secret in exchanged for piece in memory)
        assert federation.runs[0]._agreement is federation.runs[0]._greeted is None

    def test_an_abandoned_setup_has_no_keys(self, federate):
        run, _ = federate(3).open(0)
        pair = weakref.ref(run._agreement.pair)
        run.erase()
        assert pair() is None

    def test_a_closed_run_holds_no_secret(self, four):
        four.ask(ONES)
        secrets = secrets_of(four.runs[0])
        four.unmask()
        four.runs[0].close(four.server.close("done")[0])
        memory = list(held(four.runs[0]))
        assert not any(secret in piece for secret in secrets.values() for piece in memory)

    def test_memory_of_a_later_round_derives_other_masks(self, four):
        four.ask(ONES)
        first = four.runs[0]._round.header.digest
        seeds = four.runs[0]._roots.seeds(first)
        four.unmask()
        four.ask(ONES, round_=1)
        assert not set(four.runs[0]._roots.seeds(first).values()) & set(seeds.values())


def spelled(secret: bytes) -> list[str]:
    """How a secret could be read in a text."""
    return [secret.hex(), repr(secret)[2:-1], str(int.from_bytes(secret, "big"))]


class TestWords:
    def test_no_object_of_a_keeper_says_a_secret(self, four):
        federation = four
        private = [identity.private_bytes() for identity in federation.identities]
        federation.ask(ONES)
        run = federation.runs[0]
        mask = run._round._mask
        texts = "\n".join(
            text
            for thing in (run, run._round, run._roots, mask, federation.identities[0])
            for text in (repr(thing), str(thing))
        )
        for secret in [*private, *secrets_of(run).values()]:
            assert not any(word in texts for word in spelled(secret))

    def test_no_refusal_and_no_log_says_a_secret(self, four, caplog):
        caplog.set_level(logging.DEBUG)
        four.ask(ONES)
        run, server = four.runs[0], four.server
        secrets = [*secrets_of(run).values(), *(i.private_bytes() for i in four.identities)]
        named = server.survivors()[0]
        again = four.requests_again[0]
        said = [
            text
            for provoke in (
                lambda: run.accept(again, four.context(), bool),
                lambda: run.upload(again, np.full(3, COORDINATE, dtype=np.uint64), four.mark(0)),
                lambda: run.upload(again, np.full(4, COORDINATE, dtype=np.uint64), four.mark(0)),
                lambda: run.survivors(replace(named, uploads=named.uploads[:2])),
                lambda: run.survivors(replace(named, sealed=b"")),
                lambda: run.survivors(replace(named, header=bytes(32))),
                lambda: run.certify(Certificate(named.run, named, ())),
                lambda: run.confirm(Packages(named.run, run._agreed().packages), {}),
                lambda: shares.from_bytes(b"\xff" * 32),
                lambda: run._roots.seed(9, bytes(32)),
            )
            for text in refusal(provoke)
        ]
        assert len(said) == 10
        texts = "\n".join(said) + caplog.text
        assert str(COORDINATE) not in texts
        for secret in secrets:
            assert not any(word in texts for word in spelled(secret))


def refusal(provoke) -> list[str]:
    """The whole traceback of what is refused."""
    with pytest.raises(CairnError) as refused:
        provoke()
    return ["".join(traceback.format_exception(refused.value))]
