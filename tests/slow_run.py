"""A whole run of the slow protocol: every message of it, and the sums.

`Run(scenario).sent` are all messages, in order, as (from or to, bytes). Written from SPEC.md; no
code of the package is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import slow_mlkem
from slow_primitives import ed25519_public, x25519
from slow_protocol import (
    Clinic,
    Values,
    encode,
    fixed,
    frame,
    h,
    masked,
    packed,
    ratcheted,
    rebuilt,
    root,
    seed,
    self_mask_parts,
    share_key,
    sign,
    signed,
    stream,
    survivors_digest,
    upload_digest,
)

STUDY = """cairn = 1
name = "vectors"
title = "Synthetic: a run for the test vectors"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 400
largest_clinic = 100
[policy]
clinics = {clinics}
survivors = {survivors}
threshold = {threshold}
colluding = 1
dropout = "{dropout}"
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
"""
TEAM = fixed("team")
RUN = fixed("run", 16)
STATE = b"\0\0\x80\x3f" * 3  # 1.0, three times, little-endian float32


@dataclass(frozen=True)
class Scenario:
    """So many clinics, and who is lost in each attempt at a round.

    An attempt that too few survive is void, and the next one is at the same round.
    """

    clinics: int = 4
    survivors: int = 3
    threshold: int = 3
    bits: int = 20
    lost: tuple[tuple[int, ...], ...] = ((), (2,))
    recovers: bool = True

    @property
    def study(self) -> bytes:
        """The study's file."""
        dropout = "recovered" if self.recovers else "forbidden"
        numbers = {name: getattr(self, name) for name in ("clinics", "survivors", "threshold")}
        return STUDY.format(dropout=dropout, **numbers).encode()

    @property
    def reach(self) -> int:
        """B, the largest that n clinics may have in the ring."""
        return (2 ** (self.bits - 1) - 1) // self.clinics

    def vector(self, clinic: int) -> list[int]:
        """What a clinic has, in every round: whoever is counted twice shows as a digit."""
        digit = min(10**clinic, self.reach)
        return [digit, -digit, self.reach, -self.reach, clinic]

    def head(self, clinic: int, number: int) -> bytes:
        """The clinic's ledger head: 0 at the start, k + 1 after the k-th attempt."""
        return fixed(f"head {clinic} {number}")

    def void(self, number: int) -> bool:
        """Whether too few survive the `number`-th attempt."""
        least = self.survivors if self.recovers else self.clinics
        return self.clinics - len(self.lost[number]) < least


class Run:
    """Everything that is sent. Each method is one message's section of SPEC."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        self.scenario = scenario = scenario or Scenario()
        self.sent: list[tuple[int, bytes]] = []
        self.sums: list[list[int]] = []
        self.pieces: dict[tuple[int, int], dict[int, bytes]] = {}
        self.clinics = [Clinic(i) for i in range(scenario.clinics)]
        self.opening = self._opening()
        self._send(-1, "OpenRun", self.opening)
        self._keys()
        self.records: list[Values] = []
        self.headers: list[Values] = []
        self.attempt = 0
        self.last = dict.fromkeys(range(scenario.clinics), 0)
        for number in range(len(scenario.lost)):
            self._round(number)
        for i in range(scenario.clinics):
            closing = {"run": RUN, "reason": "done", "records": self.records[self.last[i] :]}
            self._send(i, "CloseRun", closing)
        for clinic in self.clinics:
            closed = {
                "run": RUN,
                "clinic": clinic.index,
                "transcript": self.headers[-1]["previous"],
            }
            self._send(clinic.index, "Closed", signed(clinic.secret, "closed", "Closed", closed))

    def _send(self, clinic: int, message: str, values: Values) -> None:
        self.sent.append((clinic, frame(message, values)))

    def _opening(self) -> Values:
        self.study = h("study", self.scenario.study)
        roster = {
            **{"study": self.study, "version": 0, "previous": bytes(32)},
            "entries": [
                {"clinic": f"clinic-{c.index}", "identity": c.public} for c in self.clinics
            ],
        }
        body = encode("Roster", roster)
        self.roster = h("roster", body)
        return {
            **{"run": RUN, "setup": 0},
            "study": {
                **{"source": self.scenario.study, "team": ed25519_public(TEAM)},
                "signature": sign(TEAM, "study", self.scenario.study),
            },
            "roster": {"roster": roster, "signature": sign(TEAM, "roster", body)},
        }

    def _keys(self) -> None:
        opening = h("open run", encode("OpenRun", self.opening))
        packages = []
        for c in self.clinics:
            package = {
                **{"run": RUN, "clinic": c.index, "opening": opening},
                **{"x25519": c.keys[:32], "mlkem": c.ek, "nonce": c.nonce},
                "mark": c.mark(1, self.scenario.head(c.index, 0)),
            }
            packages.append(signed(c.secret, "key package", "KeyPackage", package))
            self._send(c.index, "KeyPackage", packages[-1])
        message = {"run": RUN, "packages": packages}
        self._send(-1, "Packages", message)
        self.t1 = h("T1", encode("Packages", message))
        self.roots: dict[tuple[int, int], bytes] = {}
        self.notes: dict[tuple[int, int], Values] = {}
        for sender in self.clinics:
            for receiver in self.clinics:
                if sender is not receiver:
                    self.notes[sender.index, receiver.index] = self._note(sender, receiver)
        for c in self.clinics:
            mine = [note for (sender, _), note in self.notes.items() if sender == c.index]
            values = {"run": RUN, "clinic": c.index, "t1": self.t1, "notes": mine}
            self._send(c.index, "Confirmation", values)

    def _note(self, sender: Clinic, receiver: Clinic) -> Values:
        low, high = sorted((sender, receiver), key=lambda c: c.index)
        giver, taker = (low, high) if (low.index + high.index) % 2 else (high, low)
        ciphertext = b""
        if giver is sender:
            m = fixed(f"mlkem {giver.index} {taker.index}")
            secret, ciphertext = slow_mlkem.encapsulate(taker.ek, m)
            assert slow_mlkem.decapsulate(taker.dk, ciphertext) == secret
            secrets = secret, x25519(giver.x25519, taker.keys[:32])
            ends = (low.index, low.keys), (high.index, high.keys)
            self.roots[low.index, high.index] = root(self.t1, RUN, secrets, ends, ciphertext)
        witness = [receiver.mark(0, self.scenario.head(receiver.index, 0))]
        note = {
            **{"sender": sender.index, "receiver": receiver.index, "ciphertext": ciphertext},
            "witness": witness
            if (sender.index + 1) % self.scenario.clinics == receiver.index
            else [],
        }
        body = encode("Note", note | {"signature": bytes(64)})[:-64]
        return note | {"signature": sign(sender.secret, "note", RUN + self.t1 + body)}

    def context(self, round_: int, attempt: int = 0) -> Values:
        """SPEC 6."""
        return {
            **{"study": self.study, "roster": self.roster, "question": "effect", "round": round_},
            **{"attempt": attempt, "state": h("public state", STATE), "length": 5},
            **{"bound": 1.0, "sigma": 4.25, "grid": 2.0**-10, "reach": self.scenario.reach},
            "modulus_bits": self.scenario.bits,
        }

    def _root(self, i: int, j: int) -> bytes:
        return self.roots[min(i, j), max(i, j)]

    def _round(self, number: int) -> None:
        transcript, round_ = h("genesis", RUN), len(self.records)
        if self.records:
            transcript = h("transcript", encode("RoundRecord", self.records[-1]))
        if self.records and not self.attempt:  # a void attempt turns nothing
            self.roots = {pair: ratcheted(key, transcript) for pair, key in self.roots.items()}
        everyone = list(range(self.scenario.clinics))
        header = {
            **{"run": RUN, "t1": self.t1, "question": "effect", "round": round_},
            **{"attempt": self.attempt, "participants": everyone, "previous": transcript},
            "context": h("context", encode("Context", self.context(round_, self.attempt))),
        }
        self.headers.append(header)
        self.digest = h("header", encode("Header", header))
        for i in everyone:
            notes = [self.notes[j, i] for j in everyone if j != i]
            values = {
                **{"header": header, "public_state": STATE},
                **{
                    "notes": [] if self._greeted(i) else notes,
                    "records": self.records[self.last[i] :],
                },
            }
            self._send(i, "RoundRequest", values)
        uploads = {
            i: self._upload(number, i) for i in everyone if i not in self.scenario.lost[number]
        }
        for i, upload in uploads.items():
            self._send(i, "Upload", upload)
        if self.scenario.void(number):
            self.attempt += 1
            return
        signed_uploads = [
            {
                "clinic": i,
                "upload": upload_digest(u),
                "mark": u["mark"],
                "signature": u["signature"],
            }
            for i, u in uploads.items()
        ]
        record = {"header": header, "uploads": signed_uploads, "consents": []}
        openings = self._unmask(number, uploads, record) if self.scenario.recovers else {}
        self.sums.append(self._sum(uploads, openings))
        self.records.append(record)
        self.attempt = 0
        for i in uploads:
            self.last[i] = round_

    def _greeted(self, i: int) -> bool:
        return any(i == one["clinic"] for record in self.records for one in record["uploads"])

    def _upload(self, number: int, i: int) -> Values:
        count, bits = self.scenario.clinics, self.scenario.bits
        clinic, others = self.clinics[i], [j for j in range(count) if j != i]
        mask = {"commitment": bytes(32), "sealed": b"", "commitments": b"", "stream": None}
        if self.scenario.recovers:
            keys = {j: share_key(self._root(i, j), i, j, self.digest) for j in others}
            polynomial = clinic.polynomial(number, self.scenario.threshold)
            mask = self_mask_parts(i, list(range(count)), polynomial, keys, self.digest)
            self.pieces[number, i] = mask["pieces"]
        seeds = {j: seed(self._root(i, j), self.digest) for j in others}
        y = masked(self.scenario.vector(i), i, seeds, mask["stream"], bits)
        upload = {
            **{"run": RUN, "clinic": i, "header": self.digest, "modulus_bits": bits},
            **{"vector": packed(y, bits), "commitment": mask["commitment"]},
            **{"sealed": mask["sealed"], "commitments": mask["commitments"]},
            "mark": clinic.mark(1, self.scenario.head(i, number + 1)),
        }
        mark = h("mark", encode("Mark", upload["mark"]))
        said = RUN + i.to_bytes(2, "big") + self.digest + upload_digest(upload) + mark
        return upload | {"signature": sign(clinic.secret, "upload", said)}

    def _unmask(self, number: int, uploads: dict[int, Values], record: Values) -> dict[int, Values]:
        """What the survivors open; `record` gets their consents."""
        here, signed_uploads, consents = list(uploads), record["uploads"], record["consents"]
        gone = [i for i in record["header"]["participants"] if i not in here]
        named = survivors_digest(self.digest, signed_uploads)
        survivors = {}
        for i in here:
            sealed = b"".join(
                uploads[j]["sealed"][48 * (i - (i > j)) :][:48]
                + uploads[j]["commitments"][16 * i :][:16]
                for j in here
                if j != i
            )
            survivors[i] = {
                **{"run": RUN, "header": self.digest, "uploads": signed_uploads},
                "sealed": sealed,
            }
            self._send(i, "Survivors", survivors[i])
        if gone:
            for i in here:
                said = RUN + i.to_bytes(2, "big") + self.digest + named
                signature = sign(self.clinics[i].secret, "survivors", said)
                consents.append({"clinic": i, "signature": signature})
                values = {"run": RUN, "header": self.digest, "survivors": named}
                self._send(i, "Consent", values | consents[-1])
            for i in here:
                values = {"run": RUN, "survivors": survivors[i], "consents": consents}
                self._send(i, "Certificate", values)
        openings = {}
        for i in here:
            values = {
                **{"run": RUN, "clinic": i, "header": self.digest, "survivors": named},
                "shares": b"".join(self.pieces[number, j][i] for j in here),
                "seeds": b"".join(seed(self._root(i, j), self.digest) for j in gone),
            }
            openings[i] = signed(self.clinics[i].secret, "opening", "Opening", values)
            self._send(i, "Opening", openings[i])
        return openings

    def _sum(self, uploads: dict[int, Values], openings: dict[int, Values]) -> list[int]:
        """SPEC 8.3, from what the server holds; of all openings the last t."""
        bits, length = self.scenario.bits, 5
        gone = [i for i in range(self.scenario.clinics) if i not in uploads]
        total = [0] * length
        for column, (i, upload) in enumerate(uploads.items()):
            y, masks = unpacked(upload["vector"], length, bits), []
            if openings:
                opened = {
                    opener + 1: int.from_bytes(opening["shares"][32 * column :][:32], "big")
                    for opener, opening in list(openings.items())[-self.scenario.threshold :]
                }
                b = rebuilt(opened).to_bytes(32, "big")
                assert h("self seed", self.digest, i.to_bytes(2, "big"), b) == upload["commitment"]
                masks.append((1, h("self mask", self.digest, b)))
            for place, j in enumerate(gone):
                revealed = openings[i]["seeds"][32 * place :][:32]
                masks.append((1 if j > i else -1, revealed))
            for sign_, key in masks:
                y = [a - sign_ * b for a, b in zip(y, stream(key, length, bits), strict=True)]
            total = [a + b for a, b in zip(total, y, strict=True)]
        half = 2 ** (bits - 1)
        return [(value + half) % 2**bits - half for value in total]


def unpacked(data: bytes, length: int, bits: int) -> list[int]:
    """SPEC 9.2."""
    together = 2 if bits < 32 else 1
    size, values = together * bits // 8, []
    for at in range(0, len(data), size):
        group = int.from_bytes(data[at : at + size], "little")
        values += [(group >> (bits * k)) % 2**bits for k in range(together)]
    return values[:length]
