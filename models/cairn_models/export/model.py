"""`Model`: a released model read from its folder, checked, and what it foretells of records.

For research only. A patient's rows are a function of that patient's records and the model alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.export import arrays, files, preprocessing
from cairn_models.export import card as cards
from cairn_models.export.card import Card, Scale
from cairn_models.export.rows import COLUMNS, LAST_WEEK, At, Wanted, late, tidy
from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import Records
from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES
from cairn_models.trajectory.features import companion_of, weekly
from cairn_models.trajectory.network import predict
from cairn_protocol.errors import InputError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """(d,) float32 `parameters` in the order of `network.layout`, and the card."""

    parameters: Floats
    card: Card

    @classmethod
    def read(cls, folder: Path | str) -> Model:
        """The model in `folder`, after every checksum held.

        Raises:
            InputError: `input.model-…`: no model, not whole, changed, of another version, with a
                number that is not finite, or of an instrument that nobody knows.
        """
        return cls.of(files.read(Path(folder)), str(folder))

    @classmethod
    def of(cls, found: Mapping[str, bytes], where: str) -> Model:
        """The model in these files by name, whole as `files.read` gives them; `where` for messages.

        Raises:
            InputError: as `read`, but for what is missing.
        """
        parameters, named = arrays.parse(found[files.PARAMETERS], f"{where}/{files.PARAMETERS}")
        card = cards.parse(found[files.CARD], f"{where}/{files.CARD}")
        told = (named.instrument, named.study, named.question, named.network)
        same = (card.main.name, card.digest, card.trained.question, str(card.network))
        if told != same:
            raise InputError(
                f"card and parameters in {where} are of different models",
                code="model-mixed",
                why="they name another instrument, study, question or version",
                hint=files.AGAIN,
            )
        model = cls(parameters, card)
        model.instrument  # noqa: B018  refused here rather than at the first patient
        if not preprocessing.is_ours(found[files.PREPROCESSING]):
            raise InputError(
                f"the model in {where} was written for other columns than this version makes",
                code="model-version",
                why=f"{files.PREPROCESSING} names others",
                hint="use the version of Cairn that wrote it, or get the model exported anew",
            )
        return model

    @property
    def instrument(self) -> Instrument:
        """The main scale.

        Raises:
            InputError: `input.model-instrument`: its range is not that of the scale of this name.
        """
        main = self.card.main
        known = INSTRUMENTS.get(main.name)
        own = Instrument(main.name, main.lowest, main.highest, whole_numbers=False)
        companion = Scale.of(companion_of(known or own))
        if (known and Scale.of(known) != main) or companion != self.card.companion:
            raise InputError(
                f"the model is of an instrument that this version does not know: {main.name!r}",
                code="model-instrument",
                why="the range in its card is not that of the scale of this name",
                hint=f"known: {', '.join(INSTRUMENTS)}",
            )
        if not main.lowest < main.highest:
            raise InputError(
                f"the range of {main.name!r} in the model's card is empty",
                code="model-instrument",
                hint=files.AGAIN,
            )
        return known or own

    def predict(
        self,
        records: Records,
        horizons: tuple[int, ...] | None = None,
        as_of: int | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> pl.DataFrame:
        """One row a patient, output and horizon (`rows.COLUMNS`), in the order of the patients.

        `q10` to `q90` are points of the scale named in `output`, `probability` is that of an
        outcome. Where the model may say nothing they are null and `missing` says why; where it may
        say a score's median alone, `bands_missing` does. Foretold from the week of the patient's
        last score, which `basis` names.

        Args:
            horizons: weeks ahead; None: those of the heads that may be used.
            as_of: what was recorded after this week is not looked at; None: all weeks count.
            outputs: scales, outcomes and dropouts by name; None: those that may be used.

        Raises:
            InputError: a horizon, week or output that the network does not have, or no score of
                the instrument.
        """
        if horizons is not None and (not horizons or not set(horizons) <= set(HORIZONS)):
            raise InputError(
                "the model does not foretell what is asked",
                code="horizon-unknown",
                why=f"it was trained for {', '.join(map(str, HORIZONS))} weeks ahead; anything "
                "else would be a guess",
                hint=f"ask for some of {', '.join(map(str, HORIZONS))}",
            )
        if as_of is not None and not 0 <= as_of <= LAST_WEEK:
            raise InputError(
                f"the model knows weeks 0 to {LAST_WEEK}",
                code="week-unknown",
                hint="give one of these weeks since entry",
            )
        self._require_outputs(outputs)
        self._require_scores(records)
        weeks = weekly(records, self.instrument)
        found = At.last_score(
            weeks,
            predict(self.parameters, weeks.features),
            LAST_WEEK if as_of is None else as_of,
        )
        after = late(records, self.instrument) if as_of is None else frozenset()
        rows = tidy(self.card, weeks, found, Wanted(horizons, outputs), after)
        return pl.DataFrame(rows, schema=COLUMNS, orient="row")

    def _require_outputs(self, outputs: tuple[str, ...] | None) -> None:
        known = (self.card.main.name, self.card.companion.name, *OUTCOMES, *DROPOUTS)
        if outputs is not None and (not outputs or not set(outputs) <= set(known)):
            raise InputError(
                "the model has no such output",
                code="output-unknown",
                why=f"it has {', '.join(known)}",
                hint="ask for some of these",
            )

    def _require_scores(self, records: Records) -> None:
        named = sorted(records.scores.get_column("instrument").unique().to_list())
        if len(records) and self.card.main.name not in named:
            raise InputError(
                f"the records hold no score of {self.card.main.name}, which the model foretells",
                code="model-no-scores",
                why=f"they hold {', '.join(named) or 'no scores'}",
                hint="map that instrument in mapping.toml, or use a model of one that is there",
            )
