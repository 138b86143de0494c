"""Regressions without noise against statsmodels on the pooled rows, over 1, 5 and 20 clinics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.special import expit

from cairn_models.answers import Answer
from cairn_models.life_table import hazard
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.regression import Regression
from cairn_models.questions.timed import Timed
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_models.synthetic import World, generate
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
AGES = ("16-25", "26-45", "46+")
CLINICS = (1, 5, 20)
SCALES = ("PHQ-9", "GAD-7")
ALDA = Path(__file__).parents[1] / "data" / "alda" / "first_sex.csv"
STUDY = """
cairn = 1
name = "simulated"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 400
largest_clinic = 400
[privacy]
data = "public"
[variables.age_band]
levels = ["16-25", "26-45", "46+"]
[variables.sex]
levels = ["female", "male"]
[variables.age]
lowest = 16
highest = 99
[[questions]]
name = "who"
kind = "regression"
"""


def regression(more: str, study: str = STUDY) -> Regression:
    parsed = Study.parse((study + more).encode())
    return Regression(parsed.questions[0], parsed)


def simulated(patients: int = 400, seed: int = 3) -> Records:
    rng = np.random.default_rng(seed)
    people, scores, used = [], [], []
    for i in range(patients):
        who = f"s{i:04d}"
        arm = str(rng.choice(ARMS))
        age, sex = str(rng.choice(AGES)), str(rng.choice(["female", "male"]))
        years = float(rng.integers(16, 99))
        people.append((who, arm if i % 17 else None, None, age if i % 23 else "?", sex, years))
        gain = {"waiting": 1.0, "dmhi_unguided": 3.0, "dmhi_guided": 5.0}[arm] + (age == "46+")
        for name, top, start in (("PHQ-9", 27, 15), ("GAD-7", 21, 12)):
            first = float(np.clip(start + 5 * rng.normal(), 0, top))
            last = float(np.clip(first - gain + 4.5 * rng.normal(), 0, top))
            scores.append((who, 0.0, name, first))
            if i % 11:
                scores.append((who, 8.0 + float(rng.uniform(-1, 1)), name, last))
        if rng.random() < 0.8:
            used.append((who, 0.0, "started", 1.0))
            end = float(rng.exponential(8.0 + 3 * (arm == "dmhi_guided"))) + 0.05
            how = str(rng.choice(["stopped", "completed", "logins"], p=[0.6, 0.3, 0.1]))
            used.append((who, end, how, 1.0))
    schema = {**PATIENT_COLUMNS, "age_band": pl.String, "sex": pl.String, "age": pl.Float64}
    return Records(
        pl.DataFrame(people, schema=schema, orient="row"),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(used, schema=ENGAGEMENT, orient="row"),
    )


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated()


def split(records: Records, clinics: int) -> list[Records]:
    names = records.patients["patient"]
    return [records.only(names.gather_every(clinics, k)) for k in range(clinics)]


def over(asked: Regression, clinics: Sequence[Records]) -> Answer:
    """The answer from the integer sums of every round, as the engine adds them."""
    public = asked.start({})
    for round_ in range(asked.shape.rounds):
        steps = np.zeros(asked.shape.length, dtype=np.int64)
        for clinic in clinics:
            blocks = list(asked.contributions(asked.prepare(clinic), public))
            steps += exact_sum(blocks, asked.shape.length)
        total = steps / PUBLIC_SCALE
        if round_ + 1 < asked.shape.rounds:
            public = asked.advance(public, total, round_)
    return asked.estimate(public, total, SumNoise(0.0))


def pooled(records: Records) -> pd.DataFrame:
    """One row a patient with what statsmodels needs, by pandas alone."""
    scores = pd.DataFrame(records.scores.to_dicts())
    wide = {
        (name, late): part.groupby("patient")["value"].first()
        for name in SCALES
        for late in (False, True)
        for part in [scores[(scores["instrument"] == name) & ((scores["time"] > 1) == late)]]
    }
    frame = pd.DataFrame(records.patients.drop("entry").to_dicts()).set_index("patient")
    frame["baseline"], frame["outcome"] = wide["PHQ-9", False], wide["PHQ-9", True]
    frame["change"] = frame["outcome"] - frame["baseline"]
    first = np.floor(
        np.stack([wide[n, False].reindex(frame.index) for n in ("PHQ-9", "GAD-7")], 1) + 0.5
    )
    last = np.floor(
        np.stack([wide[n, True].reindex(frame.index) for n in ("PHQ-9", "GAD-7")], 1) + 0.5
    )
    fell, rose = first - last >= [6, 4], last - first >= [6, 4]
    better = fell.any(1) & ~rose.any(1)
    case = (first >= [10, 8]).any(1)
    well = (last < [10, 8]).all(1)
    known = np.isfinite(last).all(1)
    frame["reliable_improvement"] = np.where(known, better, np.nan)
    frame["reliable_recovery"] = np.where(known & case, better & well, np.nan)
    frame["arm"] = pd.Categorical(frame["arm"], categories=ARMS)
    frame["age_band"] = pd.Categorical(frame["age_band"].replace("?", None), categories=AGES)
    frame["sex"] = pd.Categorical(frame["sex"], categories=["female", "male"])
    return frame


def agrees(answer: Answer, fitted: Any, names: Sequence[str] | None = None) -> None:
    found = {e.name: e for e in answer.estimates}
    interval = fitted.conf_int()
    for name in names or fitted.params.index:
        e = found[name]
        assert e.value == pytest.approx(fitted.params[name], rel=1e-6, abs=1e-9)
        assert e.standard_error == pytest.approx(fitted.bse[name], rel=1e-6)
        assert e.low == pytest.approx(interval.loc[name, 0], rel=1e-6, abs=1e-6)
        assert e.high == pytest.approx(interval.loc[name, 1], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize(
    "formula",
    [
        "reliable_improvement ~ arm + C(age_band)",
        "reliable_recovery ~ arm*sex + C(age_band)",
        "reliable_improvement ~ 0 + arm + sex",
        "reliable_improvement ~ C(arm):C(age_band)",
    ],
)
def test_logistic_is_that_of_statsmodels(formula: str, clinics: int, records: Records) -> None:
    answer = over(
        regression(f'family = "logistic"\nformula = "{formula}"'), split(records, clinics)
    )
    need = [formula.split(" ~", maxsplit=1)[0], "arm", *(["age_band"] if "age" in formula else [])]
    fitted = smf.logit(formula, pooled(records).dropna(subset=need)).fit(disp=0, tol=1e-12)
    agrees(answer, fitted)
    deviance = next(e for e in answer.estimates if e.name == "deviance")
    assert deviance.value == pytest.approx(-2 * fitted.llf, rel=1e-8)


def test_the_marginal_risk_difference_is_that_of_statsmodels(records: Records) -> None:
    formula = "reliable_improvement ~ arm + C(age_band)"
    two = 'arms = ["waiting", "dmhi_guided"]'
    asked = regression(f'family = "logistic"\nformula = "{formula}"\n{two}')
    e = next(
        e
        for e in over(asked, split(records, 5)).estimates
        if e.name == "risk_difference-dmhi_guided-waiting"
    )
    frame = pooled(records).dropna(subset=["reliable_improvement", "arm", "age_band"])
    frame = frame[frame["arm"] != "dmhi_unguided"]
    frame["arm"] = frame["arm"].cat.remove_unused_categories()
    fitted = smf.logit(formula, frame).fit(disp=0, tol=1e-12)
    margins = fitted.get_margeff(at="overall", dummy=True).summary_frame()
    row = margins.loc["arm[T.dmhi_guided]"]
    assert e.value == pytest.approx(row["dy/dx"], rel=1e-6)
    assert e.standard_error == pytest.approx(row["Std. Err."], rel=1e-6)


def test_marginal_risk_differences_of_three_arms_exchange_the_arm(records: Records) -> None:
    formula = "reliable_improvement ~ arm*sex"
    answer = over(regression(f'family = "logistic"\nformula = "{formula}"'), split(records, 5))
    frame = pooled(records).dropna(subset=["reliable_improvement", "arm"])
    fitted = smf.logit(formula, frame).fit(disp=0, tol=1e-12)
    shares = {
        arm: fitted.predict(frame.assign(arm=pd.Categorical([arm] * len(frame), ARMS))).mean()
        for arm in ARMS
    }
    for arm in ARMS[1:]:
        e = next(x for x in answer.estimates if x.name == f"risk_difference-{arm}-waiting")
        assert e.value == pytest.approx(shares[arm] - shares["waiting"], rel=1e-6)


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("formula", ["change ~ arm*sex + C(age_band)", "outcome ~ arm"])
def test_linear_from_cells_is_that_of_statsmodels(
    formula: str, robust: bool, clinics: int, records: Records
) -> None:
    more = f'family = "linear"\nformula = "{formula}"\n'
    more += 'standard_errors = "robust"' if robust else ""
    answer = over(regression(more), split(records, clinics))
    need = ["change", "arm"] if formula == "outcome ~ arm" else ["change", "arm", "age_band"]
    frame = pooled(records).dropna(subset=need)
    kind = {"cov_type": "HC1", "use_t": True} if robust else {}
    agrees(answer, smf.ols(formula, frame).fit(**kind))


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize(
    "formula", ["outcome ~ baseline + arm", "change ~ baseline*arm + C(age_band) + age"]
)
def test_linear_from_moments_is_that_of_statsmodels(
    formula: str, clinics: int, records: Records
) -> None:
    answer = over(regression(f'family = "linear"\nformula = "{formula}"'), split(records, clinics))
    need = ["change", "arm"] + (["age_band"] if "age" in formula else [])
    fitted = smf.ols(formula, pooled(records).dropna(subset=need)).fit()
    found = {e.name: e for e in answer.estimates}
    order = {frozenset(name.split(":")): name for name in found}
    for name in fitted.params.index:
        e = found[order[frozenset(name.split(":"))]]
        assert e.value == pytest.approx(fitted.params[name], rel=1e-6, abs=1e-8)
        assert e.standard_error == pytest.approx(fitted.bse[name], rel=1e-6)


@pytest.mark.parametrize("limit", [4, 60])
@pytest.mark.parametrize(
    ("formula", "line"),
    [
        ("change ~ arm", lambda f: -3.2 + 0 * f["change"]),
        ("outcome ~ arm + sex", lambda f: 14.2 - 3.2 + 0 * f["change"]),
        ("change ~ arm + baseline", lambda f: -3.2 - 0.36 * (f["baseline"] - 14.2)),
        ("outcome ~ arm*baseline", lambda f: 14.2 - 3.2 + 0.64 * (f["baseline"] - 14.2)),
    ],
)
def test_a_limit_cuts_at_a_public_line_and_changes_nothing_else(
    formula: str, line: Any, limit: float, records: Records
) -> None:
    asked = regression(f'family = "linear"\nformula = "{formula}"\nlimit = {limit}')
    frame = pooled(records).dropna(subset=["change", "arm", "sex"])
    name = formula.split(" ~", maxsplit=1)[0]
    frame[name] = line(frame) + (frame[name] - line(frame)).clip(-limit, limit)
    agrees(over(asked, split(records, 5)), smf.ols(formula, frame).fit())


def periods(records: Records, ends: Sequence[float]) -> pd.DataFrame:
    """One row a patient and interval at risk, from the engagement table alone."""
    rows = []
    people = pooled(records)
    for who, part in pd.DataFrame(records.engagement.to_dicts()).groupby("patient"):
        last = part[part["measure"] != "started"].iloc[0]
        for j, end in enumerate(ends):
            inside = last["time"] < end
            left = inside and last["measure"] == "stopped"
            start = 0.0 if j == 0 else ends[j - 1]
            rows.append((who, f"{start:g}-{end:g}", float(left)))
            if inside:
                break
    frame = pd.DataFrame(rows, columns=["patient", "time", "event"]).set_index("patient")
    frame["time"] = pd.Categorical(
        frame["time"], categories=[f"{a:g}-{b:g}" for a, b in zip((0, *ends), ends, strict=False)]
    )
    return frame.join(people[["arm", "age_band", "sex"]])


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_hazard_is_that_of_statsmodels(link: str, clinics: int, records: Records) -> None:
    asked = regression(
        'family = "hazard"\nevent = "programme"\nends = [2, 4, 8, 12]\n'
        f'link = "{link}"\nformula = "hazard ~ 0 + C(time) + arm + sex"'
    )
    frame = periods(records, (2, 4, 8, 12)).dropna(subset=["arm", "sex"])
    binomial = sm.families.Binomial(
        sm.families.links.Logit() if link == "logit" else sm.families.links.CLogLog()
    )
    fitted = smf.glm("event ~ 0 + C(time) + arm + sex", frame, family=binomial).fit(tol=1e-13)
    agrees(over(asked, split(records, clinics)), fitted)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("retention", "measurement"),
        ("retention", "programme"),
        ("time_to_event", "deterioration"),
        ("time_to_event", "step_up"),
    ],
)
def test_hazards_by_interval_are_those_of_the_curves(kind: str, event: str) -> None:
    """With an interval's coefficient alone, the model is the life table of the other kinds."""
    one = "dmhi_unguided" if event == "programme" else "waiting"  # who waits has no programme
    common = f'arms = ["{one}", "dmhi_guided"]\nends = [3, 6, 9]\n'
    asked = regression(
        f'family = "hazard"\nevent = "{event}"\nformula = "hazard ~ 0 + time:arm"\n' + common
    )
    text = STUDY.replace('kind = "regression"', f'kind = "{kind}"\nevent = "{event}"\nat = 6\n')
    study = Study.parse((text + common).encode())
    curves = build(study.questions[0], study)
    assert isinstance(curves, Timed)
    clinics = generate(World(), [120, 130], seed=3, weeks=14)
    total = sum(
        block.sum(axis=0)
        for records in clinics
        for block in curves.contributions(curves.prepare(records), curves.start({}))
    )
    found = {e.name: e for e in over(asked, clinics).estimates}
    seen = 0
    for arm, table in zip(curves.arms, curves.tables(total, SumNoise(0.0)), strict=True):
        for label, share in zip(
            asked.intervals.labels, hazard(curves.grid, table.table), strict=True
        ):
            e = next(
                e for n, e in found.items() if f"[{label}]" in n and arm in n and "-arm" not in n
            )
            if e.value is not None:
                seen += 1
                assert expit(e.value) == pytest.approx(share, rel=1e-6)
    assert seen >= 3


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
