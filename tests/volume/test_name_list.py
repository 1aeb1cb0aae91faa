"""Lists of names: commas separate, quotes hold a name together, and what is known is found without quotes."""

from __future__ import annotations

import pytest

from iris_core.errors import InputError
from iris_core.volume.name_list import read_names, write_names

KNOWN = {"liver", "lobe, left", "a", "b", "a, b", "left, upper, lobe", 'the "big" one'}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (None, []),
        ("", []),
        (" , ,", []),
        ("liver", ["liver"]),
        ("liver,spleen , liver", ["liver", "spleen"]),
        ('"lobe, left", liver', ["lobe, left", "liver"]),
        ('liver,"lobe, left"', ["liver", "lobe, left"]),
        ("liver, lobe, left", ["liver", "lobe, left"]),
        ("left, upper, lobe,liver", ["left, upper, lobe", "liver"]),
        ("a, b", ["a", "b"]),
        ('"a, b"', ["a, b"]),
        ('"the ""big"" one"', ['the "big" one']),
        ("lobe, right", ["lobe", "right"]),
        ("lobe, left, spleen", ["lobe, left", "spleen"]),
        ("liver, x\\, y, a", ["liver", "x, y", "a"]),
        (["lobe, left", " liver ", ""], ["lobe, left", "liver"]),
    ],
)
def test_names_are_read_as_they_are_meant(given, names):
    assert read_names(given, KNOWN.__contains__) == names


@pytest.mark.parametrize("given", ['"lobe, left', '"a" b', '"'])
def test_a_broken_quote_is_told(given):
    with pytest.raises(InputError, match="quote"):
        read_names(given)


def test_many_parts_take_no_time():
    """Names that overlap in every way would take for ever if all ways were tried."""
    assert len(read_names(",".join("a" for _ in range(2000)), {"a", "a,a", "a,a,a"}.__contains__)) == 1


def test_what_is_written_is_read_again():
    names = [*sorted(KNOWN), '"', "x"]
    assert read_names(write_names(names)) == names
