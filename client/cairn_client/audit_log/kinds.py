"""`KINDS`: every kind of entry, its fields, and the sentence that it is told in.

What is not here cannot be written. Fields hold digests, names of studies, questions and clinics,
counts, codes of Cairn's own errors, versions, and the names of the clinic's own people; no kind
has a field for a patient's value or identifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cairn_protocol.errors import OurFault
from cairn_protocol.identity import fingerprint

Value = str | int
LONGEST: Final = 500  # characters of a value


@dataclass(frozen=True)
class Kind:
    """Fields with their types, and words with `{field}` in them; `:.8` shortens a digest."""

    fields: Mapping[str, type]
    words: str


@dataclass(frozen=True)
class Event:
    """Something that happened, of a kind in `KINDS`.

    Args:
        once: what names it where it may be told twice; the second time is not written.

    Raises:
        OurFault: `internal.audit-event`, it has other fields than its kind.
    """

    kind: str
    fields: Mapping[str, Value]
    once: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if fault := fault_of(self.kind, self.fields):
            raise OurFault("this cannot be an entry", code="audit-event", why=fault)


def event(kind: str, *, once: str = "", **fields: Value) -> Event:
    """An event whose texts are made fit for a log: one line, at most `LONGEST` characters."""
    return Event(
        kind, {k: fit(v) if isinstance(v, str) else int(v) for k, v in fields.items()}, once
    )


def fit(text: str) -> str:
    """`text` in one line of printable characters, cut to `LONGEST`."""
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST]


def fault_of(kind: str, fields: Mapping[str, object]) -> str:
    """What is wrong with an entry's fields, in words; empty: nothing."""
    known = KINDS.get(kind)
    if known is None:
        return "its kind is not known"
    if {name: type(value) for name, value in fields.items()} != dict(known.fields):
        return f"it has other fields than {kind!r} has"
    for value in fields.values():
        if isinstance(value, int) and not 0 <= value < 1 << 63:
            return "a number is out of range"
        if isinstance(value, str) and value != fit(value):
            return "a text is not one line, or too long"
    return ""


def in_words(kind: str, fields: Mapping[str, Value]) -> str:
    """The entry in a sentence."""
    return KINDS[kind].words.format_map({**fields, **_derived(kind, fields)})


def _derived(kind: str, fields: Mapping[str, Value]) -> dict[str, str]:
    """Words that depend on a value."""
    match kind:
        case "team":
            return {"mark": fingerprint(bytes.fromhex(str(fields["team"])))}
        case "member":
            return {"becomes": "is verified" if fields["stands"] else "is verified no longer"}
        case "registry":
            return {"becomes": "count" if fields["pinned"] else "count no longer"}
        case "upload":
            charge = fields["charge"]
            return {"paid": f"ledger entry {charge}" if charge else "public data, no charge"}
        case "policy":
            digest = str(fields["digest"])
            return {"stands": f"has the SHA-256 {digest:.8}" if digest else "is not there"}
    return {}


_SENT: Final = {"name": str, "study": str, "run": str, "bytes": int, "sha256": str}
KINDS: Final[Mapping[str, Kind]] = {
    "begun": Kind({"clinic": str, "identity": str}, "This log of {clinic} begins"),
    "started": Kind(
        {"boot": int, "mark": str, "version": str, "data": str},
        "The keeper started, boot {boot}, Cairn {version}; the clinic says its data are {data}",
    ),
    "stopped": Kind({"boot": int}, "The keeper stopped, boot {boot}"),
    "team": Kind({"team": str}, "The research team with the fingerprint {mark} was pinned"),
    "offered": Kind(
        {"study": str, "name": str, "roster": str, "clinics": int},
        "Study {name} ({study:.8}) was offered, to {clinics} clinics (roster {roster:.8})",
    ),
    "decided": Kind(
        {"study": str, "name": str, "roster": str, "state": str, "person": str, "when": str},
        "{person} decided: study {name} ({study:.8}) is {state} (roster {roster:.8})",
    ),
    "member": Kind(
        {"clinic": str, "fingerprint": str, "source": str, "stands": int, "person": str},
        "Clinic {clinic} {fingerprint} {becomes}, by {person} ({source})",
    ),
    "registry": Kind(
        {"name": str, "fingerprint": str, "issue": int, "pinned": int, "person": str},
        "Lists of the registry {name} {fingerprint} {becomes}, by {person} (newest {issue})",
    ),
    "import": Kind(
        {"number": int, "records": str, "counts": str},
        "Import {number} was kept (records {records:.8}): {counts}",
    ),
    "sent": Kind(
        {"what": str, **_SENT},
        "{what} left for study {name}: {bytes} bytes, SHA-256 {sha256:.8}; nothing of a patient",
    ),
    "upload": Kind(
        {
            **_SENT,
            **{"question": str, "round": int, "attempt": int, "upload": str},
            **{"charge": int, "units": int},
        },
        "A masked sum left for study {name}, question {question}, round {round}, attempt "
        "{attempt}: {bytes} bytes, SHA-256 {sha256:.8} ({paid})",
    ),
    "opened": Kind(
        {"what": str, **_SENT, "header": str},
        "{what} left for study {name}, so that a sum over survivors can be opened: {bytes} bytes, "
        "SHA-256 {sha256:.8}",
    ),
    "findings": Kind(
        {"study": str, "findings": str, "bytes": int},
        "Results of study {study:.8} came back: {bytes} bytes, digest {findings:.8}",
    ),
    "refused": Kind(
        {"code": str, "times": int}, "The server was refused: {code} (the {times}. time today)"
    ),
    "more": Kind(
        {"of": str, "times": int}, "{times} entries of kind '{of}' today: not each is written"
    ),
    "restore-proposed": Kind(
        {"person": str}, "{person} answered for what a restored ledger may lack"
    ),
    "restored": Kind(
        {"persons": str}, "A restored ledger was taken up again, on the word of {persons}"
    ),
    "policy": Kind({"digest": str}, "The clinic's policy is now that with the digest {digest:.8}"),
    "signed-in": Kind({"person": str}, "{person} signed in"),
    "not-signed-in": Kind(
        {"code": str, "times": int}, "A sign-in was refused: {code} (the {times}. time today)"
    ),
    "signed-out": Kind({"person": str}, "{person} signed out"),
    "account": Kind(
        {"act": str, "person": str, "by": str}, "The account of {person} was {act}, by {by}"
    ),
    "left": Kind(
        {"what": str, "person": str}, "{person} left {what}: nothing more is answered there"
    ),
    "patient-view": Kind(
        {"person": str, "view": str},
        "{person} opened {view}, which shows single patients of this clinic",
    ),
    "own-view": Kind(
        {"person": str, "view": str}, "{person} opened {view}: own figures, without noise"
    ),
    "import-asked": Kind({"person": str}, "{person} asked for an import"),
    "head": Kind(
        {"number": int, "nonce": str}, "The log was shown to the research team, number {number}"
    ),
    "gap": Kind(
        {"number": int, "head": str},
        "The research team holds a receipt, number {number}, for a log that this one does not "
        "continue: it was restored, lost or begun anew",
    ),
}
