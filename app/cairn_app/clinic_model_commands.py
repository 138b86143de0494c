"""`cairn clinic model`: a released model, judged and tuned by a clinic's own patients."""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cairn_app.keeper_calls import AsJson, Folder, json_of, keeper_at
from cairn_app.results_command import RESULTS, Person, session_of
from cairn_app.sign_in import PasswordFile

if TYPE_CHECKING:
    from cairn_client.readers import Import
    from cairn_models.export import Model
    from cairn_models.trajectory.personal import OwnError

clinic_model_app = typer.Typer(
    no_args_is_help=True, help="A released model by your own patients; nothing leaves."
)
TUNE_SECONDS: Final = 3600.0
Released = Annotated[Path, typer.Argument(help="The folder of the released model.")]


@clinic_model_app.command("error")
def model_error(model: Released, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Show how far a model is off for your own patients who never trained it. Charges nothing."""
    from cairn_models.export import Model
    from cairn_models.export.own import errors_here

    read = Model.read(model)
    imported = _records(folder, read)
    found = errors_here(read, imported.records, _name(folder))
    if as_json:
        print(json.dumps({name: _plain(error) for name, error in found.items()}))
        return
    _show(found, read, imported)
    print(
        "\nOnly you see this: nothing was sent, so nothing was charged. Do not send it on by hand."
    )


@clinic_model_app.command("tune")
def model_tune(  # noqa: PLR0917
    model: Annotated[
        Path,
        typer.Argument(
            help="A study whose model came back, by name; or a released model's folder."
        ),
    ],
    folder: Folder = Path(),
    to: Annotated[
        Path | None, typer.Option("--to", help="Where to keep it; left out: in .cairn.")
    ] = None,
    question: Annotated[
        str, typer.Option(help="Of a study: the question that trained the model.")
    ] = "",
    person: Person = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Fit a model further to your own patients; keep it if it errs less on others of them."""
    if not model.exists() and to is None:
        _tune_returned(str(model), question, folder, (person, password_file), as_json=as_json)
        return
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_models.export import Model
    from cairn_models.export.own import tune_here

    read = Model.read(model)
    imported = _records(folder, read)
    found, better = tune_here(read, imported.records, clinic=_name(folder))
    place = None
    if found.helped:
        name = f"{read.card.digest[:12]}-{read.card.trained.question}"
        place = to or ClinicFolder.open(folder).state / "models" / name
        _keep(better, place)
    low, high = found.gain[1:]
    if as_json:
        errors = {"before": _plain(found.before), "after": _plain(found.after)}
        print(json.dumps({"helped": found.helped, "kept": place and str(place)} | errors))
        return
    _show({"as released": found.before, "tuned": found.after}, read, imported)
    print(
        f"\nTuned on {found.trained} {_who(imported)}: the error fell by {found.gain[0]:.2f} "
        f"points (95 % interval {low:.2f} to {high:.2f})".replace("-", "−")
        + ("." if low > 0 or high < 0 else "; that could be chance.")
    )
    if place is None:
        print("The released model is the better one here and stays. Nothing was kept.")
        return
    print(
        f"The tuned one is kept in {place}. It chose itself on these patients, so its error reads"
    )
    print("a little low. It learnt from your patients without privacy noise: it must not leave.")
    print(f"Next      use it    cairn model predict {place} --records {folder} --out FILE")


def _name(folder: Path) -> str:
    from cairn_client.clinic_folder import ClinicFolder

    return ClinicFolder.open(folder).config.name


def _tune_returned(
    study: str, question: str, folder: Path, who: tuple[str, Path | None], *, as_json: bool
) -> None:
    """Has the keeper tune the model that came back from `study`, and keep it sealed."""
    from contextlib import ExitStack

    from cairn_protocol.proto import results_pb2 as pb

    with keeper_at(folder) as keeper, ExitStack() as stack:
        session = session_of(keeper, stack, *who)
        asked = pb.TuneModelRequest(study=study, question=question, session=session)
        reply = keeper.admin("TuneModel", asked, pb.TuneModelReply, TUNE_SECONDS, RESULTS)
    if as_json:
        print(json_of(reply))
        return
    gain = f"{reply.gain:.2f} points (95 % interval {reply.gain_low:.2f} to {reply.gain_high:.2f})"
    chance = reply.gain_low <= 0 <= reply.gain_high
    print(reply.caption)
    print(
        f"\nTuned on {reply.trained} of your patients, judged on {reply.judged} others: the mean "
        f"error was {reply.error_before:.2f} points and became {reply.error_after:.2f}.\n"
        f"It fell by {gain}".replace("-", "−")
        + ("; that could be chance." if chance else ".")
    )
    if not reply.helped:
        print("The released model is the better one here and stays. Nothing was kept.")
        return
    print("The tuned one is kept, sealed, and expected courses are by it from now on.")
    print("It learnt from your patients without privacy noise: it must not leave.")


def _records(folder: Path, model: Model) -> Import:
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_models.measures import INSTRUMENTS

    own = () if model.instrument.name in INSTRUMENTS else (model.instrument,)
    return ClinicFolder.open(folder).read(own)


def _keep(model: Model, place: Path) -> None:
    """The tuned model in place of an earlier one; readable by its owner alone."""
    from cairn_models.export import Model
    from cairn_models.export.bundle import save

    if place.exists():
        Model.read(place)  # whatever else lies there is not taken away
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    try:
        save(model, draft, onnx=False, private=True)
        if place.exists():
            shutil.rmtree(place)
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _show(found: Mapping[str, OwnError], model: Model, imported: Import) -> None:
    from cairn_models.trajectory.columns import HORIZONS

    first = next(iter(found.values()))
    print("Research use only; not a prediction for any person's care.")
    print(
        f"Mean absolute error in {model.card.main.name} points on {len(first.patients)} of your "
        f"{_who(imported)} who never trained the model; lower is better.\n"
    )
    print("weeks ahead".ljust(14) + "".join(name.rjust(13) for name in found))
    for k, horizon in enumerate(HORIZONS):
        cells = (_cell(error.by_horizon[k]) for error in found.values())
        print(str(horizon).ljust(14) + "".join(cell.rjust(13) for cell in cells))
    print("all".ljust(14) + "".join(_cell(e.overall).rjust(13) for e in found.values()))


def _cell(value: float) -> str:
    return "nobody" if math.isnan(value) else f"{value:.2f}"


def _plain(error: OwnError) -> dict[str, object]:
    from cairn_models.trajectory.columns import HORIZONS

    by = {
        str(h): None if math.isnan(v) else v
        for h, v in zip(HORIZONS, error.by_horizon, strict=True)
    }
    return {"overall": error.overall, "patients": len(error.patients), "by_horizon": by}


def _who(imported: Import) -> str:
    return "synthetic patients" if imported.synthetic else "patients"
