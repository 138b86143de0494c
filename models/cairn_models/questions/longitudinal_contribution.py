"""What one patient adds to a model of repeated scores, in words; for public data alone."""

from __future__ import annotations

from cairn_models.contribution import Contribution


def contribution(formula: str, what: str) -> Contribution:
    """Sums and products of the patient's own rows; `what` names the kind of model."""
    return Contribution(
        asked=f"{what}: {formula}.",
        who="Patients with scores and every covariate that the formula names. Everybody else adds "
        "zeros.",
        how="Sums and products of this person's own scores, times and covariates, as the model "
        "needs them. They have no bound, which is why only public data may be asked.",
    )
