"""Two studies are compared as one study of both ways would compare them."""

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.laws.options import FitOptions
from rankscale.laws.variants.between_studies import Way, compare_ways
from rankscale.laws.variants.variant_laws import compare_variants, variant_tasks
from rankscale.storage import tables
from tests.unit.synthetic import write_study

SIZES, SUBSETS = np.geomspace(1e4, 1e6, 3), (500, 1000, 2000)
OPTIONS = FitOptions(bootstrap=100)


def written(folder, variants, queries=200):
    write_study(folder, SIZES, SUBSETS, queries=queries, variants=variants)
    return tables.read("metrics", folder / "metrics.parquet").to_pandas()


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two studies of one way each, and their ways by name."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    ways = zip(("zero", "better"), folders, (1.0, 1.5), strict=True)
    return [Way(name, written(folder, {"base": times}), folder) for name, folder, times in ways]


def test_the_numbers_are_those_of_one_study_of_both(studies, tmp_path):
    together = written(tmp_path, {"zero": 1.0, "better": 1.5})
    expected = [compare_variants(task) for task in variant_tasks(together, tmp_path, OPTIONS)]
    compared = compare_ways(*studies, OPTIONS)
    for name in ("multipliers", "exponents"):
        rows = [row for part in expected for row in getattr(part, name)]
        assert len(getattr(compared, name)) == len(rows)
        for row, wanted in zip(getattr(compared, name), rows, strict=True):
            assert row == pytest.approx(wanted)


def test_other_queries_and_other_candidates_are_refused(studies, tmp_path):
    first, second = studies
    fewer = Way("fewer", written(tmp_path, {"base": 1.0}, queries=100), tmp_path)
    with pytest.raises(StudyError, match="n_queries is 200 in zero and 100 in fewer"):
        compare_ways(first, fewer, OPTIONS)
    with pytest.raises(StudyError, match="n_candidates is 64 in zero and 9 in better"):
        compare_ways(first, second._replace(finals=second.finals.assign(n_candidates=9)), OPTIONS)
    with pytest.raises(StudyError, match="the queries of zero and fewer are others"):
        compare_ways(first, fewer._replace(finals=fewer.finals.assign(n_queries=200)), OPTIONS)
