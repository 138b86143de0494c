"""`errors_here`, `tune_here`: one clinic judges a model by its own patients, and tunes it.

Both stay at the clinic. They charge nothing, because nothing is sent; what they return is exact, so
it must not be sent by hand either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.export.card import Personal
from cairn_models.export.model import Model
from cairn_models.records import Records
from cairn_models.trajectory import artefact
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.personal import PULL, OwnError, Tuned, divided, own_error, tune
from cairn_protocol.errors import InputError

Floats = NDArray[np.float32]

DIRECTIONS: Final = 48  # where the model was trained in all parameters and the card names no number
NO_PRIOR: Final = "none"
JUDGE_HERE: Final = 0.3  # of the patients of a clinic that did not train at all


def errors_here(model: Model, records: Records, clinic: str = "") -> Mapping[str, OwnError]:
    """Errors in points on the held-out patients in `records`: 'model', 'prior', 'last value'.

    There is no 'prior' where the model had none.

    Args:
        clinic: whose records they are, by its name in the study.

    Raises:
        InputError: nobody in `records` can judge it.
    """
    weeks = weekly(records, model.instrument)
    judges = weeks
    if not _held_out_whole(model, clinic):
        digest = bytes.fromhex(model.card.digest)
        _, judges = divided(weeks, digest, model.card.trained.held_out)
    predictors: dict[str, Floats | None] = {"model": model.parameters}
    if model.card.trained.prior != NO_PRIOR:
        predictors["prior"] = artefact.read(model.card.trained.prior).parameters
    predictors["last value"] = None
    return {
        name: own_error(parameters, judges, model.instrument)
        for name, parameters in predictors.items()
    }


def tune_here(
    model: Model, records: Records, pull: float = PULL, clinic: str = ""
) -> tuple[Tuned, Model]:
    """What tuning gave, and the better model; the very same `model` where tuning did not help.

    Args:
        clinic: whose records they are, by its name in the study.

    Raises:
        InputError: it was tuned before, has no directions, or there are too few patients.
    """
    card = model.card
    if card.personal is not None:
        raise InputError(
            "this model was tuned by a clinic already",
            code="model-tuned",
            why="tuning again would judge it on patients by whom it was chosen",
            hint="give the folder of the model as it was released",
        )
    weeks = weekly(records, model.instrument)
    found = tune(
        model.parameters,
        _directions(model),
        weeks,
        model.instrument,
        study=bytes.fromhex(card.digest),
        held_out=JUDGE_HERE if _held_out_whole(model, clinic) else card.trained.held_out,
        pull=pull,
    )
    if not found.helped:
        return found, model
    personal = Personal(
        patients=found.trained,
        held_out=len(found.before.patients),
        pull=pull,
        before=found.before.overall,
        after=found.after.overall,
    )
    return found, Model(found.parameters, replace(card, personal=personal))


def _held_out_whole(model: Model, clinic: str) -> bool:
    """Whether none of the patients of `clinic` trained the model; False: a keyed share did not.

    Raises:
        InputError: all of them did.
    """
    trained = model.card.trained
    if not trained.held_out_group:
        return False
    if clinic in trained.held_out_clinics:
        return True
    raise InputError(
        "this clinic's patients cannot judge the model",
        code="model-no-judges",
        why="all of them trained it: it held out the clinics of the group "
        f"'{trained.held_out_group}'",
        hint="clinics of that group can; or use a model that held out a share of patients",
    )


def _directions(model: Model) -> Floats:
    """(k, d), of the model's prior."""
    trained = model.card.trained
    if trained.prior == NO_PRIOR:
        raise InputError(
            "this model cannot be tuned",
            code="model-no-directions",
            why="it was trained without a prior, so there are no public directions to move in",
            hint="use it as it is, or ask for a model with a prior",
        )
    return artefact.read(trained.prior).directions[: trained.directions or DIRECTIONS]
