"""The package against a second implementation, byte for byte; and the frozen vectors of both.

The second one (`slow_protocol`, `slow_run`, `slow_mlkem`, `slow_primitives`) is written from
SPEC.md and the standards alone. What the package draws at random is replaced here by what the
other has fixed: keys, nonces, encapsulations, polynomials.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol_vectors
import slow_protocol
import slow_run
from cairn_protocol import self_mask, shares
from cairn_protocol.context import Context, state_digest
from cairn_protocol.countersigning import Shown, countersigned, due
from cairn_protocol.errors import CairnError, PeerFault
from cairn_protocol.fixed_point import RINGS, from_wire, to_wire, word
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.keys import (
    KeyPair,
    encapsulate,
    pair_root,
    pair_seed,
    ratcheted,
    share_key,
)
from cairn_protocol.mark import Mark
from cairn_protocol.masks import masked
from cairn_protocol.messages import (
    AuditReceipt,
    Findings,
    Header,
    OpenRun,
    RoundRecord,
    SignedDigest,
    decode,
    genesis,
)
from cairn_protocol.roots import Roots
from cairn_protocol.roster import Roster
from cairn_protocol.round_messages import survivors_digest, upload_digest
from cairn_protocol.signed_study import SignedStudy, study_digest
from package_run import FastRun, differences
from slow_protocol import PRIME
from slow_run import Scenario


@pytest.fixture(scope="module")
def vectors() -> dict[str, dict]:
    return protocol_vectors.vectors()


SCENARIOS = {
    "frozen": Scenario(),
    "forbidden": Scenario(3, 3, 3, bits=32, lost=((), ()), recovers=False),
    "first and last lost": Scenario(5, 4, 4, bits=24, lost=((0,), (4,), ())),
    "away for two rounds": Scenario(6, 4, 4, bits=56, lost=((), (1, 5), (1,), ())),
    "two attempts are void": Scenario(lost=((0,), (1, 2), (2, 3), (3,), ())),
    "a void attempt without recovery": Scenario(
        3, 3, 3, bits=40, lost=((1,), (), ()), recovers=False
    ),
    "more than t survive": Scenario(7, 5, 5, bits=64, lost=((3,), (), (0, 6))),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_byte_of_a_run_is_the_same(name):
    scenario = SCENARIOS[name]
    slow = slow_run.Run(scenario)
    with pytest.MonkeyPatch.context() as patch:
        fast = FastRun(patch, scenario)
    for number, (one, other) in enumerate(zip(fast.sent, slow.sent, strict=True)):
        assert one == other, f"message {number}, a {type(decode(other[1])).__name__}"
    assert fast.sums == slow.sums
    plain = np.array([scenario.vector(i) for i in range(scenario.clinics)])
    finished = [lost for number, lost in enumerate(scenario.lost) if not scenario.void(number)]
    for total, lost in zip(slow.sums, finished, strict=True):
        assert total == np.delete(plain, lost, axis=0).sum(axis=0).tolist()


def test_the_frozen_run_holds_a_message_of_every_kind_of_a_run(vectors):
    kinds = {type(decode(one["message"])).__name__ for one in vectors["run"]["sent"]}
    assert set(slow_protocol.KINDS) - kinds == {
        "Refusal",
        "Offer",
        "Standing",
        "AuditRequest",
        "AuditHead",
        "Findings",
        "Received",
    }


def test_the_frozen_files_are_those_that_are_computed_and_no_others(vectors):
    files = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert sorted(files) == sorted(vectors)
    for name, vector in vectors.items():
        assert files[name] == protocol_vectors.written(vector), name


FOLDER = protocol_vectors.FOLDER


def frozen(*kinds: str) -> list:
    paths = sorted(path for kind in kinds for path in FOLDER.glob(f"{kind}.json"))
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths]


unhex = bytes.fromhex


@pytest.mark.parametrize("vector", frozen("root-*"))
def test_frozen_root(vector):
    low, high = (
        KeyPair.from_private_bytes(unhex(vector[f"x25519_{side}"]), unhex(vector[f"mlkem_{side}"]))
        for side in ("low", "high")
    )
    taker = high if (vector["low"] + vector["high"]) % 2 else low
    ciphertext = unhex(vector["ciphertext"])
    secrets = taker.decapsulate(ciphertext), low.agree(high.x25519)
    assert secrets[1] == high.agree(low.x25519)
    found = pair_root(
        unhex(vector["t1"]),
        unhex(vector["run"]),
        secrets,
        low=(vector["low"], low.x25519 + low.mlkem),
        high=(vector["high"], high.x25519 + high.mlkem),
        ciphertext=ciphertext,
    )
    assert found.hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("seed"))
def test_frozen_seed(vector):
    assert pair_seed(unhex(vector["root"]), unhex(vector["header"])).hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("ratchet"))
def test_frozen_ratchet(vector):
    assert ratcheted(unhex(vector["root"]), unhex(vector["transcript"])).hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("share-key"))
def test_frozen_share_key(vector):
    header = unhex(vector["header"])
    key = share_key(unhex(vector["root"]), vector["from"], vector["to"], header)
    assert key.hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("self-mask"))
def test_frozen_self_mask(vector, monkeypatch):
    drawn = differences([int(a, 16) for a in vector["polynomial"]])
    monkeypatch.setattr(shares, "_random", lambda count: [drawn.pop(0) for _ in range(count)])
    own = vector["clinic"]
    held = Roots(own, {int(c): bytearray(unhex(key)) for c, key in vector["roots"].items()})
    made = self_mask.make(own, vector["participants"], 3, held, unhex(vector["header"]))
    names = {"stream_seed": "stream"}
    found = {name: getattr(made, names.get(name, name)).hex() for name in vector["expect"]}
    assert found == vector["expect"]


@pytest.mark.parametrize("vector", frozen("shares"))
def test_frozen_shares(vector, monkeypatch):
    polynomial = [int(a, 16) for a in vector["polynomial"]]
    secret, *drawn = differences(polynomial)
    monkeypatch.setattr(shares, "_random", lambda count: drawn[:count])
    points = vector["points"]
    dealt = shares.deal(secret, len(polynomial), points)
    assert [shares.to_bytes(share).hex() for share in dealt] == vector["expect"]
    for chosen in (points[:4], points[2:]):
        opened = [dealt[points.index(x)] for x in chosen]
        assert shares.rebuild(opened, shares.coefficients(chosen)) == polynomial[0]


@pytest.mark.parametrize("vector", frozen("mask-*"))
def test_frozen_mask(vector):
    bits = vector["modulus_bits"]
    values = np.array([int(value) for value in vector["values"]], dtype=word(bits))
    seeds = {int(peer): unhex(seed) for peer, seed in vector["seeds"].items()}
    found = masked(values, vector["clinic"], seeds, unhex(vector["self"]))
    assert to_wire(found, bits).hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("packed-*"))
def test_frozen_packed_vector(vector):
    bits, numbers = vector["modulus_bits"], [int(value) for value in vector["values"]]
    assert to_wire(np.array(numbers, dtype=word(bits)), bits).hex() == vector["expect"]
    assert from_wire(unhex(vector["expect"]), bits, len(numbers)).tolist() == numbers


RECORDS = (OpenRun, Header, Context, Mark, Roster, RoundRecord, Findings)


@pytest.mark.parametrize("vector", frozen("digest-*"))
def test_frozen_digest(vector):
    match vector:
        case {"record": name, "body": body}:
            cls = next(cls for cls in RECORDS if cls.__name__ == name)
            found = cls.from_body(unhex(body)).digest
        case {"modulus_bits": bits, **parts}:
            names = ("vector", "commitment", "sealed", "commitments")
            found = upload_digest(bits, *(unhex(parts[name]) for name in names))
        case {"uploads": uploads, "header": header}:
            one = tuple(SignedDigest.from_body(unhex(body)) for body in uploads)
            found = survivors_digest(unhex(header), one)
        case {"run": run}:
            found = genesis(unhex(run))
        case {"public_state": state}:
            found = state_digest(unhex(state))
        case {"source": source}:
            found = study_digest(unhex(source))
    assert found.hex() == vector["expect"]


@pytest.mark.parametrize("vector", frozen("fingerprint"))
def test_frozen_fingerprint(vector):
    assert fingerprint(unhex(vector["public"])) == vector["expect"]


@pytest.mark.parametrize("vector", frozen("message-*"))
def test_frozen_message(vector):
    data, limit = unhex(vector["message"]), vector.get("limit", 1 << 20)
    if vector["expect"].startswith("peer."):
        with pytest.raises(PeerFault) as refused:
            decode(data, limit)
        assert refused.value.code == vector["expect"]
    else:
        message = decode(data, limit)
        assert type(message).__name__ == vector["expect"]
        assert message.to_bytes() == data


def judge(vector) -> None:
    """Does with the vector what the package does with such a thing."""
    data = unhex(vector.get("data", ""))
    match vector["of"]:
        case "share":
            shares.from_bytes(data)
        case "vector":
            from_wire(data, vector["modulus_bits"], vector["length"])
        case "x25519":
            KeyPair.generate().agree(data)
        case "mlkem":
            encapsulate(data)
        case "study":
            team = unhex(vector["team"])
            signed = SignedStudy(unhex(vector["source"]), team, unhex(vector["signature"]))
            signed.verified(team)
        case "audit request":
            heads = {int(number): unhex(head) for number, head in vector["heads"].items()}
            shown = Shown(vector["newest"], heads, vector["receipted"])
            keys = {name: unhex(vector[name]) for name in ("team", "identity")}
            due(decode(unhex(vector["request"])), shown, **keys)
        case "audit head":
            messages = [decode(unhex(vector[name])) for name in ("request", "reply")]
            last = AuditReceipt.from_body(unhex(vector["last"]))
            identity, team = unhex(vector["identity"]), Identity.generate()
            countersigned(*messages, identity=identity, last=last, at=0, team=team)


@pytest.mark.parametrize("vector", frozen("audit-exchange"))
def test_frozen_countersigning(vector):
    team = Identity.from_private_bytes(unhex(vector["team_secret"]))
    identity, last = unhex(vector["identity"]), None
    for one, expected in zip(vector["exchanges"], vector["expect"], strict=True):
        asked, reply = decode(unhex(one["request"])), decode(unhex(one["reply"]))
        last = countersigned(asked, reply, identity=identity, last=last, at=one["at"], team=team)
        assert last.body.hex() == expected
        assert last.genuine(team.public)


@pytest.mark.parametrize("vector", frozen("fault-*"))
def test_frozen_fault(vector):
    with pytest.raises(CairnError) as refused:
        judge(vector)
    assert refused.value.code == vector["expect"]


keys = st.binary(min_size=32, max_size=32)


@given(keys, keys, st.integers(0, 999), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_any_key_schedule_is_the_slow_one(root, header, i, j):
    assert pair_seed(root, header) == slow_protocol.seed(root, header)
    assert ratcheted(root, header) == slow_protocol.ratcheted(root, header)
    assert share_key(root, i, j, header) == slow_protocol.share_key(root, i, j, header)


@given(st.integers(0, 6), st.dictionaries(st.integers(7, 40), keys, max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_any_masked_vector_is_the_slow_one(index, seeds, data):
    bits = data.draw(st.sampled_from(RINGS))
    seeds |= data.draw(st.dictionaries(st.integers(0, 6), keys, max_size=2))
    seeds.pop(index, None)
    own = data.draw(st.none() | keys)
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=9))
    fast = to_wire(masked(np.array(values, dtype=word(bits)), index, seeds, own), bits)
    slow = slow_protocol.masked(values, index, seeds, own, bits)
    assert fast == slow_protocol.packed(slow, bits)


@given(st.lists(st.integers(0, PRIME - 1), min_size=1, max_size=6), st.data())
@settings(max_examples=40, deadline=None)
def test_any_shares_are_the_slow_ones(polynomial, data):
    least = len(polynomial)
    spread = st.lists(st.integers(1, 1000), min_size=least, max_size=least + 3, unique=True)
    points = data.draw(spread)
    secret, *drawn = differences(polynomial)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_random", lambda count: drawn[:count])
        dealt = shares.deal(secret, least, points)
    assert dealt == slow_protocol.shares(polynomial, points)
    few = dict(list(zip(points, dealt, strict=True))[:least])
    assert slow_protocol.rebuilt(few) == polynomial[0]
    assert shares.rebuild(list(few.values()), shares.coefficients(list(few))) == polynomial[0]
