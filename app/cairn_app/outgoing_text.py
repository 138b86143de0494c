"""What `cairn clinic preview` and `cairn clinic sent` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cairn_app.clinic_text import SHORT, indented, when
from cairn_protocol.proto import outgoing_pb2 as pb

FEW: Final = 12  # numbers of a question that are listed where all questions are shown
LOCAL: Final = (
    "This clinic's own sums stand here as they are, without noise. They are for the people of this "
    "clinic: do not send or show them, or an example, to anybody else. What leaves in a round is "
    "noised anew, and masked."
)
HASH: Final = 16  # characters of a SHA-256 that a person sees
SENT: Final = (
    "Each is a noised and masked sum. ε is that of one upload by itself; together they cost less "
    "than these add up to: cairn clinic ledger. --json has the whole hashes, and the ledger's."
)
NOT_WRITTEN: Final = "A ? stands for what left before this clinic kept an audit log."
NOTHING_HERE: Final = (
    "No patient of this clinic is admitted now. In a round it would send noise alone, and nobody "
    "could tell."
)


def preview_text(reply: pb.PreviewReply, *, in_full: bool) -> str:
    """What would leave, question by question; `in_full`: every number is listed."""
    parts = ["\n".join(_head(reply))]
    parts += ["\n".join(_question(reply, q, in_full=in_full)) for q in reply.questions]
    return "\n\n".join(parts)


def sent_text(reply: pb.SentReply) -> str:
    """One line an upload, oldest first, and what they come to."""
    if not reply.uploads:
        return "Nothing has left this clinic for a study yet."
    head = ["left (UTC)", "study", "question", "round", "bytes", "ε", "SHA-256"]
    rows = [_sent(upload) for upload in reply.uploads]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    to_the_right = {"round", "bytes", "ε"}
    lines = []
    for row in (head, *rows):
        cells = (
            cell.rjust(width) if name in to_the_right else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    count, size = len(rows), sum(upload.bytes for upload in reply.uploads)
    lines += ["", f"{'1 upload' if count == 1 else f'{count:,} uploads'}, {size:,} bytes."]
    lines += indented(SENT, indent="")
    if any(not upload.bytes for upload in reply.uploads):
        lines += indented(NOT_WRITTEN, indent="")
    return "\n".join(lines)


def _sent(upload: pb.SentUpload) -> list[str]:
    again = f", attempt {upload.attempt + 1}" if upload.attempt else ""
    return [
        when(upload.at),
        upload.name or upload.study[:SHORT],
        upload.question,
        f"{upload.round + 1}{again}",
        f"{upload.bytes:,}" if upload.bytes else "?",
        f"{upload.epsilon:.3g}" if upload.epsilon else "–",
        upload.sha256[:HASH] or "?",
    ]


def _head(reply: pb.PreviewReply) -> Iterator[str]:
    mark = " (synthetic patients, not real people)" if reply.synthetic else ""
    yield f"{reply.line.title}{mark}"
    yield f"{reply.line.name}, {reply.line.state} here; sums are over {reply.clinics} clinics"
    if reply.noised:
        yield from indented(
            f"All questions together cost a patient at most ε = {reply.epsilon:.3g} (δ = "
            f"{reply.delta:g}). Whom that is charged to: {reply.admits}.",
            indent="  ",
        )
    if reply.no_records:
        yield from indented(
            f"What this clinic would add cannot be worked out: {reply.no_records}", indent="  "
        )
        if reply.remedy:
            yield from indented(f"hint: {reply.remedy}", indent="  ")
    else:
        yield f"  Worked out from {reply.records}. Nothing is charged or sent by looking."
        yield from indented(LOCAL, indent="  ")


def _question(reply: pb.PreviewReply, q: pb.QuestionPreview, *, in_full: bool) -> Iterator[str]:
    name, kind = q.view.name, q.view.kind
    yield name if name == kind else f"{name} ({kind})"
    for label, text in (("asked", q.view.asked), ("who", q.view.who), ("how", q.view.how)):
        yield from _labelled(label, text)
    yield from _labelled("leaves", _leaves(reply, q))
    yield from _labelled("size", _size(q))
    if q.HasField("own"):
        yield from _labelled("here", _here(reply, q.own))
    if q.not_own:
        yield from _labelled("" if q.HasField("own") else "here", q.not_own)
    yield from _numbers(reply, q, in_full=in_full)


def _leaves(reply: pb.PreviewReply, q: pb.QuestionPreview) -> str:
    view = q.view
    count = "1 number" if view.values == 1 else f"{view.values:,} numbers"
    if not reply.noised:
        return f"{count}, summed exactly: the study says that its data are public. Masked."
    return (
        f"{count}, summed over patients, noised, masked. One patient moves the sum by at most "
        f"{view.bound:.4g} (the length of that patient's numbers as a vector). This clinic adds "
        f"noise of standard deviation {view.noise_sd:.4g} to each; in the sum over all clinics it "
        f"is {view.sum_noise_sd:.4g}. ε = {view.epsilon:.3g}."
    )


def _size(q: pb.QuestionPreview) -> str:
    if q.view.rounds == 1:
        return f"{_bytes(q.round_bytes)}, once"
    return f"{_bytes(q.round_bytes)} a round, {q.view.rounds} rounds, {_bytes(q.all_bytes)} in all"


def _here(reply: pb.PreviewReply, own: pb.OwnSum) -> str:
    if not own.admitted:
        return NOTHING_HERE if reply.noised else "No patient of this clinic is admitted now."
    people = "1 patient is" if own.admitted == 1 else f"{own.admitted:,} patients are"
    told = [f"{people} admitted, {own.contributing:,} add something."]
    if reply.noised:
        share = own.clipped / own.contributing if own.contributing else 0.0
        told.append(f"The bound cuts {own.clipped:,} of them ({share:.0%}).")
    told.append(f"Their sum has the length {own.length:.4g}")
    told[-1] += (
        f"; with fresh noise, in one example, {own.example_length:.4g}." if reply.noised else "."
    )
    return " ".join(told)


def _numbers(reply: pb.PreviewReply, q: pb.QuestionPreview, *, in_full: bool) -> Iterator[str]:
    if not q.names:
        if q.view.values > 1 and q.HasField("own"):
            yield from _labelled("", "The numbers have no meaning one by one and are not listed.")
        return
    shown = len(q.names) if in_full or len(q.names) <= FEW else FEW
    sums: Sequence[float] = q.own.sum if q.HasField("own") else ()
    head = ["what each number is"]
    rows = [[name] for name in q.names[:shown]]
    if sums:
        head += ["sum here", "an example, noised"] if reply.noised else ["sum here"]
        for row, total, example in zip(rows, sums, q.own.example, strict=False):
            row.append(_figure(total))
            if reply.noised:
                row.append(_figure(example))
    yield ""
    yield from _table(head, rows)
    if sums and reply.noised:
        yield "  (an example: fresh noise every time; what leaves is this, masked)"
    if shown < len(q.names):
        yield _more(len(q.names) - shown, "number")
    if sums and q.own.cells:
        people = [[c.cell, _people(c.people)] for c in q.own.cells]
        told = [row for row in people if in_full or row[1] != _people(0.0)]
        more = 0 if in_full else max(0, len(told) - FEW)
        told = told[: len(told) - more]
        yield ""
        yield "  What the sum here says, cell by cell" + (
            "" if in_full else "; empty cells left out"
        )
        yield from _table(["cell", "here"], told or [["every cell", _people(0.0)]])
        if more:
            yield _more(more, "cell")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  " + "  ".join(cells).rstrip()


def _more(count: int, what: str) -> str:
    return f"  and {count:,} {what}{'s' * (count > 1)} more"


def _labelled(label: str, text: str) -> Iterator[str]:
    first, *rest = indented(text, indent=" " * 10)
    yield f"  {label:8}{first[10:]}"
    yield from rest


def _figure(value: float) -> str:
    return f"{value + 0.0:.3f}".removeprefix("-") if abs(value) < 5e-4 else f"{value:.3f}"


def _people(count: float) -> str:
    """To a tenth: sums stand on a grid, and its steps are not people."""
    return f"{round(count, 1) + 0.0:.1f}"


def _bytes(count: int) -> str:
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1000:,.0f} kB"
