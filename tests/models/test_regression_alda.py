"""The printed discrete-time hazards of Singer & Willett, through continuous covariates too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf

from cairn_models.records import ENGAGEMENT, Records
from regression_cases import (
    CLINICS,
    agrees,
    over,
    regression,
    split,
)

ALDA = Path(__file__).parents[1] / "data" / "alda" / "first_sex.csv"
ALDA_STUDY = """
cairn = 1
name = "alda"
title = "Age at first intercourse"
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 180
largest_clinic = 180
[privacy]
data = "public"
[variables.pt]
levels = ["0", "1"]
[variables.pas]
lowest = -2
highest = 4
[[questions]]
name = "first"
kind = "regression"
family = "hazard"
event = "programme"
ends = [1, 2, 3, 4, 5, 6]
formula = "hazard ~ 0 + time{terms}"
"""
PRINTED = {
    "A": ("", {}, [-2.3979, -3.1167, -1.7198, -1.2867, -1.1632, -0.7309], 651.96),
    "B": (" + pt", {"pt[T.1]": (0.8736, 0.2174)}, None, 634.66),
    "C": (" + pas", {"pas": (0.4428, 0.1140)}, None, 637.17),
    "D": (" + pt + pas", {"pt[T.1]": (0.6605, 0.2367), "pas": (0.2964, 0.1254)}, None, 629.15),
}


def alda() -> tuple[Records, pd.DataFrame]:
    """The boys: clock from the start of grade 7, in grades; and their person-periods."""
    frame = pd.read_csv(ALDA)
    frame["patient"] = [f"b{i:04d}" for i in frame["id"]]
    frame = frame.rename(columns={"parental_transition": "pt", "parental_antisociality": "pas"})
    used = []
    for who, grade, censored in zip(frame["patient"], frame["grade"], frame["censor"], strict=True):
        used.append((who, 0.0, "started", 1.0))
        used.append((who, grade - 6.5, "logins" if censored else "stopped", 1.0))
    people = pl.DataFrame(
        {
            "patient": frame["patient"].to_list(),
            "pt": frame["pt"].astype(float).to_list(),
            "pas": frame["pas"].to_list(),
        }
    ).with_columns(arm=pl.lit(None, pl.String), entry=pl.lit(None, pl.Date))
    records = Records(people, engagement=pl.DataFrame(used, schema=ENGAGEMENT, orient="row"))
    rows = frame.loc[frame.index.repeat(frame["grade"] - 6)].copy()
    rows["time"] = rows.groupby("patient").cumcount() + 7
    rows["event"] = ((rows["time"] == rows["grade"]) & (rows["censor"] == 0)).astype(float)
    rows["time"] = pd.Categorical([f"{t - 7}-{t - 6}" for t in rows["time"]])
    rows["pt"] = pd.Categorical(rows["pt"])
    return records, rows


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize("model", PRINTED)
def test_the_printed_hazards_of_alda_come_out(model: str, clinics: int) -> None:
    """Singer & Willett 2003, Table 11.3: 180 persons, 822 person-periods."""
    terms, printed, grades, deviance = PRINTED[model]
    records, rows = alda()
    assert len(rows) == 822
    answer = over(regression("", ALDA_STUDY.replace("{terms}", terms)), split(records, clinics))
    found = {e.name: e for e in answer.estimates}
    fitted = smf.logit(f"event ~ 0 + time{terms}", rows).fit(disp=0, tol=1e-12)
    agrees(answer, fitted)
    assert round(found["deviance"].value, 2) == deviance
    for name, (value, error) in printed.items():
        assert round(found[name].value, 4) == pytest.approx(value)
        assert round(found[name].standard_error, 4) == pytest.approx(error)
    if grades:
        times = [found[f"time[{k}-{k + 1}]"].value for k in range(6)]
        assert np.round(times, 4).tolist() == grades
