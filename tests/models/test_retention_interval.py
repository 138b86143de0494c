"""Whether retention's intervals mean 95 %, and what noise costs; tables are simulated."""

import numpy as np
import pytest

from cairn_models.endings import How
from cairn_models.life_table import (
    Grid,
    LifeTable,
    gradient,
    incidence,
    log_hazard_ratio,
    minus,
    restricted_mean,
    survival,
)
from cairn_models.retention_plan import shaping_for, typical_table
from cairn_models.shaping import Shaping

AT = 8.0
# σ for ε = 1 at δ = 1e-6, six of ten clinics honest, all ten answering: the design's table
NOISE_SD = 4.23 * np.sqrt(10 / 6)
MEASUREMENT = Grid((2.0, 4.0, 6.0, 8.0, 12.0), 1)
PROGRAMME = Grid((1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0), 3)
GRIDS = [pytest.param(MEASUREMENT, id="measurement"), pytest.param(PROGRAMME, id="programme")]
RATIO = 1.4
REFERENCE = 0.8  # kept at week 8; the public guess is another


def tables(grid, patients, studies, seed, noise_sd=NOISE_SD, told_sd=None, kept=REFERENCE):
    """Noised tables of many studies with two arms, and the cells' true chances in each."""
    rng, shaping = np.random.default_rng(seed), shaping_for(grid, AT, 0.75)
    told = noise_sd if told_sd is None else told_sd
    chances = [typical_table(grid, AT, kept**h) for h in (1.0, RATIO)]
    found = []
    for chance in chances:
        cells = rng.multinomial(patients // 2, chance, studies).astype(float)
        sums = cells @ shaping.seen.T + noise_sd * rng.standard_normal(cells.shape)
        covariance = shaping.covariance * told**2
        found.append(LifeTable(grid, shaping.table(sums), covariance, 10))
    return found, chances


def covered(fitted, truth):
    assert fitted.readable.mean() > 0.99
    reach = 1.959964 * fitted.standard_error
    return (np.abs(fitted.value - truth) <= reach).mean(axis=0)


def results(grid, patients, studies, seed, **noise):
    """Coverage of each kind of result."""
    (reference, arm), (low, high) = tables(grid, patients, studies, seed, **noise)

    def curve(cells):
        return survival(grid, cells)

    def area(cells):
        return restricted_mean(grid, cells)

    found = {
        "kept": covered(arm.fit(curve), curve(high)),
        "difference": covered(
            minus(arm.fit(curve), reference.fit(curve)), curve(high) - curve(low)
        ),
        "mean": covered(arm.fit(area), area(high)),
        "ratio": covered(log_hazard_ratio(arm, reference), np.log(RATIO)),
    }
    for way in (How.LEFT, How.COMPLETED) if grid.ways > 1 else ():

        def ended(cells, way=way):
            return incidence(grid, cells, way)

        found[way.name] = covered(arm.fit(ended), ended(high))
    return found


@pytest.mark.parametrize("patients", [1000, 3000])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_intervals_cover_95_of_100_studies_with_noise(grid, patients):
    """2,000 studies have a standard error of 0.5 points; eight ends are looked at at once."""
    for name, share in results(grid, patients, 2000, 7).items():
        assert share.min() > 0.93, name
        assert share.max() < 0.97, name


@pytest.mark.soak
@pytest.mark.parametrize("patients", [1000, 3000, 10_000])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_intervals_cover_95_of_100_in_10_000_studies(grid, patients):
    for name, share in results(grid, patients, 10_000, 8).items():
        assert share.min() > 0.94, name
        assert share.max() < 0.965, name


def test_intervals_that_forget_the_noise_cover_too_little():
    found = results(PROGRAMME, 1000, 1000, 9, told_sd=0.0)
    assert found["kept"].max() < 0.93
    assert found["kept"].mean() < 0.87
    assert found["ratio"][0] < 0.92


@pytest.mark.parametrize("patients", [400, 600, 1000])
def test_few_studies_show_a_wrong_point_where_too_few_are_left(patients):
    """Whether a point is shown depends on the noise, so what is seldom shown is often high."""
    (_, arm), (_, chance) = tables(PROGRAMME, patients, 2000, 3, kept=0.4)
    kept = arm.fit(lambda t: survival(PROGRAMME, t))
    off = np.abs(kept.value - survival(PROGRAMME, chance)) > 1.959964 * kept.standard_error
    assert (kept.readable & off).mean(axis=0).max() < 0.065
    assert kept.readable[:, -1].mean() < 0.5


@pytest.mark.parametrize("grid", GRIDS)
def test_without_noise_the_variance_is_greenwoods(grid):
    rng = np.random.default_rng(2)
    cells = rng.multinomial(400, typical_table(grid, AT, 0.7)).astype(float)
    table = LifeTable(grid, cells, np.zeros((grid.cells, grid.cells)), 1)
    n, d = table.at_risk[:-1], grid.ended(cells, How.LEFT)
    curve = survival(grid, cells)
    greenwood = curve * np.sqrt(np.cumsum(d / (n * (n - d))))
    fitted = table.fit(lambda t: survival(grid, t))
    np.testing.assert_allclose(fitted.standard_error, greenwood, rtol=1e-12)


def test_a_complex_step_is_the_slope():
    cells = 500 * typical_table(PROGRAMME, AT, 0.7)

    def measure(table):
        return incidence(PROGRAMME, table, How.LEFT)

    slope = gradient(measure, cells)
    for c in range(PROGRAMME.cells):
        up, down = (cells + s * 1e-4 * np.eye(PROGRAMME.cells)[c] for s in (1, -1))
        np.testing.assert_allclose(slope[c], (measure(up) - measure(down)) / 2e-4, atol=1e-9)


def inflation(grid, shaping, per_arm):
    cells = per_arm * typical_table(grid, AT, 0.75)
    table = LifeTable(grid, cells, shaping.covariance * NOISE_SD**2, 0)
    kept = table.fit(lambda t: survival(grid, t))
    ratio = log_hazard_ratio(table, table)
    return tuple(f.standard_error / np.sqrt(f.sampling) - 1 for f in (kept, ratio))


@pytest.mark.parametrize("grid", GRIDS)
def test_noise_costs_less_than_15_percent_at_the_named_week_and_35_elsewhere(grid):
    """3,000 patients in two arms, ε = 1; one-hot rows cost more where it counts."""
    named = grid.ends.index(AT)
    kept, ratio = inflation(grid, shaping_for(grid, AT, 0.75), 1500)
    plain, plain_ratio = inflation(grid, Shaping.plain(grid.cells), 1500)
    assert kept[named] < 0.10 < plain[named]
    assert kept.max() < 0.35
    assert ratio[0] < 0.10
    assert ratio[0] < 0.6 * plain_ratio[0]


@pytest.mark.parametrize("intervals", range(1, 9))
@pytest.mark.parametrize("ways", [1, 3])
@pytest.mark.parametrize("kept", [0.05, 0.75, 0.98])
def test_shaped_columns_have_norm_one_and_give_the_table_back(intervals, ways, kept):
    grid = Grid(tuple(float(e) for e in range(2, 2 * intervals + 1, 2)), ways)
    shaping = shaping_for(grid, grid.ends[-1], kept)
    norms = np.linalg.norm(shaping.seen, axis=0)
    assert norms.max() <= 1.0
    assert norms.min() > 0.99  # nothing of the bound is left unused
    assert np.linalg.cond(shaping.seen) < 100
    np.testing.assert_array_equal(shaping.seen, np.trunc(shaping.seen * 2**20) / 2**20)
    cells = np.random.default_rng(1).poisson(20, grid.cells).astype(float)
    np.testing.assert_allclose(shaping.table(shaping.seen @ cells), cells, atol=1e-9)


def test_no_other_columns_of_norm_one_serve_the_wish_better():
    """The fixed point against random neighbours: the least of tr(W G⁻¹)."""
    rng = np.random.default_rng(6)
    wish = rng.standard_normal((6, 9))
    wish = wish @ wish.T + 0.1 * np.eye(6)
    best = Shaping.toward(wish)
    least = np.trace(wish @ best.covariance)
    for _ in range(300):
        other = best.seen + rng.normal(0, 0.03, (6, 6))
        other /= np.linalg.norm(other, axis=0)
        assert np.trace(wish @ np.linalg.inv(other.T @ other)) > least * (1 - 1e-5)
