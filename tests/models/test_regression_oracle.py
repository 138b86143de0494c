"""Regressions without noise against statsmodels on the pooled rows, over 1, 5 and 20 clinics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.special import expit

from cairn_models.life_table import hazard
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.timed import Timed
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.study import Study
from regression_cases import (
    ARMS,
    CLINICS,
    STUDY,
    agrees,
    over,
    pooled,
    regression,
    simulated,
    split,
)


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated()


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
