"""Synthetic models and cards for the tests of what becomes of a trained model."""

from __future__ import annotations

from cairn_models.export.card import Card, Scale, Spent, Tested, Trained
from cairn_models.export.heads import Head, Held, Judged, Measured, Number, Told, heads_of
from cairn_models.export.model import Model
from cairn_models.measures import INSTRUMENTS
from cairn_models.trajectory import artefact
from cairn_models.trajectory.features import companion_of
from cairn_models.trajectory.network import VERSION, parameter_count

GOOD, VAGUE = Number(-0.8, -1.2, -0.4), Number(-0.3, -0.9, 0.3)


def judged(horizon: int | None, minus_last: Number | None) -> Judged:
    some = Number(3.0, 2.5, 3.5) if minus_last else None
    return Judged(horizon, 120.4, some, some, some, some and Number(-0.1, -0.2, 0.0), minus_last)


HELD = Held("bands", "PHQ-9", (4, 8), Number(0.81, 0.77, 0.85))
JUDGED = (judged(1, None), judged(2, VAGUE), judged(4, GOOD), judged(8, GOOD))


def card(
    instrument: str = "PHQ-9",
    heads: tuple[Head, ...] | None = None,
    found: tuple[Judged, ...] = JUDGED,
    held: tuple[Held, ...] = (HELD,),
    told: tuple[Told, ...] = (),
) -> Card:
    main = INSTRUMENTS[instrument]
    companion, measured = companion_of(main), Measured(found, held, told)
    return Card(
        study="synthetic-study",
        title="A synthetic study",
        digest="ab" * 32,
        purpose="To try.",
        run="00" * 16,
        code_version="0.1",
        synthetic=True,
        public=False,
        main=Scale.of(main),
        companion=Scale.of(companion),
        network=VERSION,
        parameters=parameter_count(),
        trained=Trained(
            "course", 20, 0.1, 0.3, "synthetic-prior-v2", "worlds", 48, ("waiting",), 5, 900
        ),
        judged=found,
        heads=heads_of(instrument, companion.name, measured) if heads is None else heads,
        held=held,
        told=told,
        epsilon=2.55,
        delta=1e-6,
        spent=(Spent("course", 2.0, 20, "shared"), Spent("error", 1.0, 1, "shared")),
        tested=(Tested("course", 2.0, 1.5, 3000),),
    )


def model(**settings) -> Model:  # type: ignore[no-untyped-def]
    """The shipped prior in a model's clothes."""
    return Model(artefact.read().parameters, card(**settings))


def all_usable() -> tuple[Head, ...]:
    """Every head, as if each had been shown to be above its floor."""
    return tuple(Head(h.output, h.horizon, True, "") for h in card().heads)
