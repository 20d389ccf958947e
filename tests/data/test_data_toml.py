"""The strict TOML tables."""

from __future__ import annotations

import pytest

from v2geq.data.readers.toml import read_toml
from v2geq.errors import DataError

STUDY = """\
# a study
[study]
case = "."
scenarios = ["base", "stress"]
v2g = [false, true]

[[study.variant]]
name = "cheap"
set = { voll = 3 }

[[study.variant]]
name = "more"
set = { "market.voll" = 4 }
"""


def table(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return read_toml(path)


def test_reads_a_study(tmp_path):
    top = table(tmp_path, STUDY)
    study = top.table("study")
    top.finish()
    assert study.text("case") == "."
    assert study.texts("scenarios") == ["base", "stress"]
    assert study.booleans("v2g", [False]) == [False, True]
    variants = study.tables("variant")
    assert [v.text("name") for v in variants] == ["cheap", "more"]
    assert [v.mapping("set") for v in variants] == [{"voll": 3}, {"market.voll": 4}]
    assert study.number("tolerance", 1e-6) == 1e-6
    assert study.tables("nothing") == []
    study.finish()


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda s: s.text("cas"), ["missing key 'cas'", "did you mean 'case'", "line 2"]),
        (lambda s: s.text("v2g"), ["line 5", "[study]", "v2g", "list", "must be text"]),
        (lambda s: s.number("case"), ["line 3", "case = '.'", "must be a number"]),
        (lambda s: s.texts("case"), ["line 3", "not a list"]),
        (lambda s: s.texts("v2g"), ["line 5", "must be text"]),
        (lambda s: s.table("case"), ["line 3", "not a table"]),
        (lambda s: s.tables("case"), ["line 3", "[[study.case]]"]),
        (lambda s: (s.text("cases", ""), s.finish()), ["unknown key 'case'", "line 3", "'cases'"]),
    ],
)
def test_errors_name_the_line(tmp_path, use, said):
    study = table(tmp_path, STUDY).table("study")
    with pytest.raises(DataError) as caught:
        use(study)
    for words in ["study.toml", *said]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = yes\n", ["not valid TOML", "line 2", "quotation"]),
        ("a = 1\na = 2\n", ["line 2", "twice"]),
        ("[s]\nx = 1\n[s]\n", ["line 3", "twice"]),
        ("a = [1,\n", ["not valid TOML"]),
    ],
)
def test_syntax_errors_name_the_line(tmp_path, text, said):
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize("value", ["inf", "nan", "true", "'1'"])
def test_numbers_are_finite_numbers(tmp_path, value):
    with pytest.raises(DataError, match="line 1"):
        table(tmp_path, f"a = {value}\n").number("a")
