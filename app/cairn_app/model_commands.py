"""`cairn model`: a trained model out of a study's results, its card, and what it foretells."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from cairn_models.export import Card
    from cairn_models.export.heads import Head
    from cairn_privacy.audit.result import Result
    from cairn_protocol.study import Study

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ModelFolder = Annotated[Path, typer.Argument(help="The folder that `cairn model export` wrote.")]

model_app = typer.Typer(no_args_is_help=True, help="Trained models: for research use only.")


@model_app.command("export")
def model_export(  # noqa: PLR0917
    results: Annotated[Path, typer.Argument(help="What a run wrote, or a release of it.")],
    to: Annotated[Path, typer.Option("--to", help="A new folder for the model.")],
    question: Annotated[
        str | None, typer.Option(help="The question that trained it; left out: the only one.")
    ] = None,
    tested: Annotated[
        Path | None,
        typer.Option(help="Result of `cairn privacy test`; made now, if needed and left out."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="The server's folder, whose team key signs the model.")
    ] = None,
    onnx: Annotated[bool, typer.Option(help="Also as ONNX, for programs without Cairn.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write a trained model with its card, behind the same gate as a release."""
    from cairn_privacy.audit.result import Result
    from cairn_server.home import ServerHome
    from cairn_server.model_export import export_model

    def proof(study: Study) -> Result | None:
        from cairn_app.privacy_command import test_study

        if tested is not None:
            return Result.read(tested)
        if not study.noised:
            return None
        if not as_json:
            print("Testing every question's code against its claim …", flush=True)
        return test_study(study, lambda found: None)

    team = ServerHome.open(home).team() if home else None
    card = export_model(results, question, to, tested=proof, team=team, onnx=onnx).card
    if as_json:
        unused = _by_output(head for head in card.heads if not head.usable)
        told = {"model": str(to), "study": card.study, "usable": _usable(card), "missing": unused}
        print(json.dumps(told))
        return
    print(f"Exported  '{card.trained.question}' of {card.study} to {to}. {_use(card)}")
    print(f"  may be used: {_said(card)}")
    print(f"  missing: {_unsaid(card)} (why: see the card)")
    print(f"  receipt.json names every file; {'signed by the team' if team else 'not signed'}")
    print(f"Next      read its card            cairn model card {to}")
    print(f"          anyone can check it      cairn study check-release {to}")


@model_app.command("card")
def model_card(model: ModelFolder, as_json: AsJson = False) -> None:
    """Show what a model is, what it rests on and what it may be used for."""
    from cairn_models.export import Model
    from cairn_models.export.bundle import contents
    from cairn_models.export.files import CARD, CARD_TEXT

    files = contents(Model.read(model), onnx=False)
    print(files[CARD if as_json else CARD_TEXT].decode(), end="")


@model_app.command("predict")
def model_predict(  # noqa: PLR0917
    model: ModelFolder,
    records: Annotated[
        Path, typer.Option("--records", help="A folder with mapping.toml and a clinic's files.")
    ],
    out: Annotated[Path, typer.Option("--out", help="A new CSV file.")],
    horizon: Annotated[
        list[int] | None, typer.Option(help="Weeks ahead; may be repeated. Left out: all usable.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(help="A scale, an outcome or a dropout; may be repeated. Left out: usable."),
    ] = None,
    as_of: Annotated[
        int | None, typer.Option(help="Look at nothing after this week since entry.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Foretell each patient's scores, for research only: a CSV file that stays with you."""
    import polars as pl

    from cairn_client.readers import read_clinic
    from cairn_models.export import Model
    from cairn_models.measures import INSTRUMENTS

    _require_new(out)
    read = Model.read(model)
    own = () if read.instrument.name in INSTRUMENTS else (read.instrument,)
    found = read_clinic(records, instruments=own)
    frame = read.predict(
        found.records,
        tuple(horizon) if horizon else None,
        as_of,
        tuple(output) if output else None,
    )
    _write(out, frame, read.card, synthetic=found.synthetic)
    foretold = frame.filter(pl.col("missing").is_null())
    told, all_ = foretold["patient"].n_unique(), len(found.records)
    reasons = _reasons(frame)
    if as_json:
        print(json.dumps({"out": str(out), "patients": all_, "foretold": told, "missing": reasons}))
        return
    who = "synthetic patients" if found.synthetic else "patients"
    print(f"{_use(read.card)}")
    print(f"{told:,} of {all_:,} {who} have a prediction, in {out}")
    print(f"  usable: {_said(read.card)}")
    print(f"  missing: {_unsaid(read.card)}")
    for why, count in reasons.items():
        print(f"  {count:,} {who} without: {why}")
    if found.findings:
        print(f"  rows set aside or noted by the import: {sum(found.counts.values()):,}")
    print(f"The file names patients: keep it as you keep {records}.")


def _reasons(frame: pl.DataFrame) -> dict[str, int]:
    """Patients about whom nothing at all is foretold, by reason."""
    import polars as pl

    silent = (
        frame.group_by("patient", maintain_order=True)
        .agg(pl.col("missing").first(), none=pl.col("missing").is_not_null().all())
        .filter("none")
    )
    return dict(sorted(silent["missing"].value_counts().rows()))


def _write(out: Path, frame: pl.DataFrame, card: Card, *, synthetic: bool) -> None:
    """The CSV, readable by its owner alone; lines with # say what it is."""
    lines = [
        _use(card),
        f"model: '{card.trained.question}' of {card.study}, study digest {card.digest}",
        *(["SYNTHETIC patients"] if synthetic else []),
        f"may be used: {_said(card)}",
        f"missing, since not shown to be good enough: {_unsaid(card)}",
        f"q10 to q90: quantiles in points of the scale named in output; {card.main.name} "
        f"{card.main.lowest:g} to {card.main.highest:g}",
    ]
    text = "".join(f"# {line}\n" for line in lines) + frame.write_csv(float_precision=3)
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _taken(out) from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _require_new(out: Path) -> None:
    if out.exists():
        raise _taken(out)


def _taken(out: Path) -> InputError:
    return InputError(
        f"{out} exists and is not overwritten", code="file-exists", hint="choose another name"
    )


def _use(card: Card) -> str:
    from cairn_models.export.arrays import ONLY_RESEARCH
    from cairn_models.export.card import KEPT_HERE

    parts = [f"{ONLY_RESEARCH.capitalize()}."]
    if card.synthetic:
        parts.append("The model was trained on SYNTHETIC patients.")
    if card.personal:
        parts.append(KEPT_HERE)
    return " ".join(parts)


def _usable(card: Card) -> dict[str, list[int]]:
    return _by_output(card.usable)


def _by_output(heads: Iterable[Head]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for head in heads:
        found.setdefault(head.output, []).extend([head.horizon] if head.horizon else [])
    return found


def _said(card: Card) -> str:
    parts = _in_words(_usable(card))
    return "; ".join(parts) or "nothing: no head was shown to be above its floor (see the card)"


def _unsaid(card: Card) -> str:
    """The heads of which nothing is foretold; why stands on the card."""
    missing = (head for head in card.heads if not head.usable)
    return "; ".join(_in_words(_by_output(missing))) or "nothing"


def _in_words(found: dict[str, list[int]]) -> list[str]:
    return [
        f"{output.replace('_', ' ')}"
        + (f" {', '.join(map(str, weeks))} weeks ahead" if weeks else "")
        for output, weeks in found.items()
    ]
