"""Harmed configs and files give a right result or a StudyError. A small draw, always the same; more on request:

python -m tests.benchmarks.damage --configs 10000 --files 2000
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit import damage

FEW = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)


@settings(FEW, max_examples=120)
@given(damage.configs())
def test_a_harmed_config_is_refused_or_every_stage_takes_it(study):
    damage.check_config(study)


def test_the_config_that_is_harmed_is_accepted_as_it_is():
    assert damage.check_config(damage.BASE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("harmed")


def test_a_harmed_file_is_refused_or_read_to_what_it_held(folder):
    kinds = damage.kinds(folder)
    assert all(damage.check_file(kind, [], folder) for kind in kinds)

    @settings(FEW, max_examples=250)
    @given(st.sampled_from(kinds), damage.harms())
    def check(kind, deeds):
        damage.check_file(kind, deeds, folder)

    check()
