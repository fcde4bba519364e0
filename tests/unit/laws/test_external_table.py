"""Tables from elsewhere: names belong to the columns below them, or the table is refused."""

import pytest

from rankscale.core.errors import StudyError
from rankscale.laws.external_table import numbers, read


@pytest.fixture
def table(tmp_path):
    def go(text):
        path = tmp_path / "runs.csv"
        path.write_text(text)
        return read(path)

    return go


def test_rows_that_end_in_a_comma_do_not_shift_names(table):
    with pytest.raises(StudyError, match=r"runs\.csv: row 1 has 4 cells, the header 3; take away the comma"):
        table("N,D,loss\n1,2,3,\n4,5,6,\n")
    with pytest.raises(StudyError, match=r"runs\.csv: row 2 has 4 cells, the header 3$"):
        table("N,D,loss\n1,2,3\n4,5,6,7\n")
    with pytest.raises(StudyError, match=r"row 1 has 4 cells, the header 3$"):  # which of the four has no name?
        table("N,D,loss\n100,2,3,4\n200,5,6,7\n")


def test_a_header_that_ends_in_a_comma_too_names_what_is_below(table):
    assert table("N,D,loss,\n1,2,3,\n4,5,6,\n")["loss"].tolist() == [3, 6]


@pytest.mark.parametrize("names", [("1", "2"), ('"small"', '"large"')])
def test_row_names_as_r_writes_them_are_none_of_the_columns(table, names):
    read = table(f'"N","loss"\n{names[0]},100,2.9\n{names[1]},200,2.5\n')
    assert (read["N"].tolist(), read["loss"].tolist()) == ([100, 200], [2.9, 2.5])


def test_a_name_that_stands_twice_is_refused_by_name(table):
    with pytest.raises(StudyError, match=r"runs\.csv: column N stands twice$"):
        table("N,loss,N\n1,2,3\n")


def test_a_number_that_no_float_holds_is_named(table, tmp_path):
    read = table(f"N,loss\n{10**400},2.9\n200,2.5\n")
    with pytest.raises(StudyError, match=r"runs\.csv: column N, row 1: '10+' is no finite number"):
        numbers(read, "N", "--size", tmp_path / "runs.csv")
