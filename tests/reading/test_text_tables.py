"""Files of text as people have them: what is in them, what is said of the reading, what is refused."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode.data import TableOptions, load_data
from autoencode.data.formats.tables import read_table
from autoencode.data.formats.text_tables import facts_of
from autoencode.errors import DataError, OptionError
from autoencode.reading.meaning import read_meaning


def read(path, **said):
    """The columns of a file, and what is said of them."""
    options = TableOptions(**said)
    table, facts = facts_of(read_table(path, options))
    table, _, told = read_meaning(table, options.spelling, delimiter=facts.delimiter, part=path.name)
    return table.to_pydict(), "\n".join([*facts.notices, *told])


def day(text):
    return dt.date.fromisoformat(text)


NONE = None
# name: (bytes or text, options, columns, words of what is said; empty where nothing is)
FILES = {
    "plain": ("a,b\n1,2.5\n3,4\n", {}, {"a": [1, 3], "b": [2.5, 4.0]}, ""),
    "UTF-8 with a mark": ("\ufeffa,b\n1,ä\n3,b\n", {}, {"a": [1, 3], "b": ["ä", "b"]}, ""),
    "UTF-16": ("a,b\n1,ä\n3,b\n".encode("utf-16"), {}, {"a": [1, 3], "b": ["ä", "b"]}, "UTF-16"),
    "UTF-16 of Apple": (
        b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"),
        {},
        {"a": [1], "b": [2]},
        "UTF-16",
    ),
    "UTF-16 unmarked": ("a,b\n1,2\n".encode("utf-16-le"), {}, {"a": [1], "b": [2]}, "UTF-16"),
    "Latin-1": ("a,b\n1,Käse\n".encode("latin-1"), {}, {"a": [1], "b": ["Käse"]}, "Windows-1252"),
    "euro of Windows": ("p;b\n1,5 €;x\n".encode("cp1252"), {}, {"p": [1.5], "b": ["x"]}, "in €"),
    "Windows ends of lines": ("a,b\r\n1,2\r\n3,4\r\n", {}, {"a": [1, 3], "b": [2, 4]}, ""),
    "an old Mac": ("a,b\r1,2\r3,4\r", {}, {"a": [1, 3], "b": [2, 4]}, ""),
    "semicolons": ("a;b\n1;2\n3;4\n", {}, {"a": [1, 3], "b": [2, 4]}, ""),
    "tabs": ("a\tb\n1\t2\n3\t4\n", {}, {"a": [1, 3], "b": [2, 4]}, ""),
    "bars": ("a|b\n1|2\n3|4\n", {}, {"a": [1, 3], "b": [2, 4]}, ""),
    "German": ("a;b\n1,5;2,25\n3;4\n", {}, {"a": [1.5, 3.0], "b": [2.25, 4.0]}, "decimal comma"),
    "German, no names": ("1,5;2,5\n3,5;4\n", {}, {"f0": [1.5, 3.5], "f1": [2.5, 4.0]}, "decimal comma"),
    "sep= of Excel": ("sep=;\r\na;b\r\n1,5;2\r\n", {}, {"a": [1.5], "b": [2]}, "decimal comma"),
    "quotes": ('a,b\n"x, y",1\n"q""q",2\n', {}, {"a": ["x, y", 'q"q'], "b": [1, 2]}, ""),
    "a break in quotes": ('"a\nb",c\n1,2\n', {}, {"a\nb": [1], "c": [2]}, ""),
    "spaces": (" a , b \n 1 , 2 \n", {}, {"a": [1], "b": [2]}, ""),
    "blank lines": ("a,b\n\n1,2\n\n\n", {}, {"a": [1], "b": [2]}, ""),
    "blank rows": ("a,b\n1,2\n,\n,\n", {}, {"a": [1], "b": [2]}, "2 blank rows"),
    "trailing commas": ("a,b,\n1,2,\n3,4,\n", {}, {"a": [1, 3], "b": [2, 4]}, "1 column without name"),
    "a name that is empty": (",b\n7,2\n9,4\n", {}, {"Unnamed: 0": [7, 9], "b": [2, 4]}, ""),
    "R's names of rows": (
        '"r","x"\n"u",1,2\n"v",3,4\n',
        {},
        {"Unnamed: 0": ["u", "v"], "r": [1, 3], "x": [2, 4]},
        "",
    ),
    "rows without names": (
        "1.5,a\n2.5,b\n3.5,a\n",
        {},
        {"f0": [1.5, 2.5, 3.5], "f1": list("aba")},
        "--header",
    ),
    "numbers without names": ("1,2\n3,4\n", {}, {"f0": [1, 3], "f1": [2, 4]}, "--header"),
    "text with names": (
        "name,city\nAnna,Graz\nBert,Oslo\n",
        {},
        {"name": ["Anna", "Bert"], "city": ["Graz", "Oslo"]},
        "--no-header",
    ),
    "text without names": (
        "Anna,Graz\nBert,Oslo\nCarl,Graz\n",
        {},
        {"f0": ["Anna", "Bert", "Carl"], "f1": ["Graz", "Oslo", "Graz"]},
        "--header",
    ),
    "text told to have none": (
        "u,v\nx,y\n",
        {"header": False},
        {"f0": ["u", "x"], "f1": ["v", "y"]},
        "",
    ),
    "numbers told to be names": ("1,2\n3,4\n", {"header": True}, {"1": [3], "2": [4]}, ""),
    "years as names": (
        "2019,2020\n1.5,2.5\n3.5,4.5\n",
        {},
        {"2019": [1.5, 3.5], "2020": [2.5, 4.5]},
        "years",
    ),
    "years as values": (
        "2019,2020\n2021,2022\n",
        {},
        {"f0": [2019, 2021], "f1": [2020, 2022]},
        "--header",
    ),
    "thousands and points": (
        'v\n"1,234.50"\n"12"\n',
        {},
        {"v": [1234.5, 12.0]},
        "commas between thousands",
    ),
    "thousands and commas": (
        "v;w\n1.234,50;1\n12,00;2\n",
        {},
        {"v": [1234.5, 12.0], "w": [1, 2]},
        "points between",
    ),
    "thousands of thousands": ("v\n1.234.567\n12\n", {}, {"v": [1234567, 12]}, "points between"),
    "Swiss": ("v\n1'234.50\n12.00\n", {}, {"v": [1234.5, 12.0]}, "apostrophes"),
    "French": (
        "v;w\n1\u202f234,5;1\n12,0;2\n",
        {},
        {"v": [1234.5, 12.0], "w": [1, 2]},
        "spaces between",
    ),
    "Indian": ('v\n"1,00,000.5"\n"12.5"\n', {}, {"v": [100000.5, 12.5]}, "commas between"),
    "one column": ("v\n1,5\n2,25\n", {}, {"v": [1.5, 2.25]}, "decimal comma"),
    "ambiguous": (
        'v,w\n"1,234",a\n"5,678",b\n',
        {},
        {"v": [1234.0, 5678.0], "w": ["a", "b"]},
        "--decimal ,",
    ),
    "ambiguous, said": (
        'v,w\n"1,234",a\n',
        {"decimal": ","},
        {"v": [1.234], "w": ["a"]},
        "decimal comma",
    ),
    "ambiguous, semicolons": (
        "v;w\n1,234;a\n5,678;b\n",
        {},
        {"v": [1.234, 5.678], "w": ["a", "b"]},
        "--decimal .",
    ),
    "told by a neighbour": (
        "v;w\n1.234;1,5\n2.500;2,5\n",
        {},
        {"v": [1234.0, 2500.0], "w": [1.5, 2.5]},
        "points between",
    ),
    "three places": ("v,w\n1.234,1.5\n2.500,2.5\n", {}, {"v": [1.234, 2.5], "w": [1.5, 2.5]}, ""),
    "three places alone": (
        "v;w\n1.234;x\n2.500;y\n",
        {},
        {"v": [1.234, 2.5], "w": ["x", "y"]},
        "--decimal ,",
    ),
    "per cent": ("v,w\n12 %,1\n5.5%,2\n", {}, {"v": [12.0, 5.5], "w": [1, 2]}, "in %"),
    "dollars": ('v\n"$1,234.50"\n-$3\n', {}, {"v": [1234.5, -3.0]}, "in $"),
    "euros": ("v;w\n1.234,50 €;1\nEUR 3,00;2\n", {}, {"v": [1234.5, 3.0], "w": [1, 2]}, "in € and EUR"),
    "crowns": ("v,w\n120 kr,1\n5 kr,2\n", {}, {"v": [120, 5], "w": [1, 2]}, "in kr"),
    "units": ("v,w\n5 kg,1\n6.5 kg,2\n", {}, {"v": [5.0, 6.5], "w": [1, 2]}, "in kg"),
    "accounting": ("v,w\n(1.5),1\n2.5,2\n", {}, {"v": [-1.5, 2.5], "w": [1, 2]}, "brackets"),
    "minus signs": (
        "v,w\n\u22121.5,1\n2.5,2\n",
        {},
        {"v": [-1.5, 2.5], "w": [1, 2]},
        "",
    ),
    "exponents": ("v,w\n1e-3,1\n2.5E4,2\n", {}, {"v": [0.001, 25000.0], "w": [1, 2]}, ""),
    "missing": (
        "v,w\nNA,1\n2,n/a\n3,5\n",
        {},
        {"v": [NONE, 2, 3], "w": [1, NONE, 5]},
        "'NA', 'n/a' taken as missing",
    ),
    "marks of missing": (
        "v,w\n?,-\n2,7\n3,8\n",
        {},
        {"v": [NONE, 2.0, 3.0], "w": [NONE, 7.0, 8.0]},
        "'?' taken as missing",
    ),
    "zip codes": ("v,w\n01234,1\n99999,2\n", {}, {"v": ["01234", "99999"], "w": [1, 2]}, ""),
    "telephones": (
        "v,w\n+43 660 123456,1\n+43 1 58801,2\n",
        {},
        {"v": ["+43 660 123456", "+43 1 58801"], "w": [1, 2]},
        "",
    ),
    "20 digits": (
        "v,w\n12345678901234567890,1\n22345678901234567890,2\n",
        {},
        {"v": ["12345678901234567890", "22345678901234567890"], "w": [1, 2]},
        "",
    ),
    "addresses": (
        "v,w\n192.168.1.1,1\n10.0.0.1,2\n",
        {},
        {"v": ["192.168.1.1", "10.0.0.1"], "w": [1, 2]},
        "",
    ),
    "truth": ("v,w\ntrue,1\nFalse,2\n", {}, {"v": [True, False], "w": [1, 2]}, ""),
    "ISO dates": (
        "d,w\n2020-01-31,1\n2020-02-01,2\n",
        {},
        {"d": [day("2020-01-31"), day("2020-02-01")], "w": [1, 2]},
        "",
    ),
    "German dates": (
        "d,w\n31.12.2020,1\n1.2.2021,2\n",
        {},
        {"d": [day("2020-12-31"), day("2021-02-01")], "w": [1, 2]},
        "dates",
    ),
    "US dates": (
        "d,w\n12/31/2020,1\n2/1/2021,2\n",
        {},
        {"d": [day("2020-12-31"), day("2021-02-01")], "w": [1, 2]},
        "dates",
    ),
    "British dates": (
        "d,w\n31/12/2020,1\n2/1/2021,2\n",
        {},
        {"d": [day("2020-12-31"), day("2021-01-02")], "w": [1, 2]},
        "dates",
    ),
    "slashes that do not tell": (
        "d,w\n01/02/2020,1\n",
        {},
        {"d": [day("2020-01-02")], "w": [1]},
        "--date-order dmy",
    ),
    "slashes, said": (
        "d,w\n01/02/2020,1\n",
        {"date_order": "dmy"},
        {"d": [day("2020-02-01")], "w": [1]},
        "dates",
    ),
    "dates told by a neighbour": (
        "d,e\n01/02/2020,13/01/2020\n",
        {},
        {"d": [day("2020-02-01")], "e": [day("2020-01-13")]},
        "dates",
    ),
    "short years": (
        "d,w\n31.12.99,1\n1.2.05,2\n",
        {},
        {"d": [day("1999-12-31"), day("2005-02-01")], "w": [1, 2]},
        "two digits",
    ),
    "names of months": (
        'd,w\n"Jan 5, 2020",1\n7 March 2021,2\n',
        {},
        {"d": [day("2020-01-05"), day("2021-03-07")], "w": [1, 2]},
        "several forms",
    ),
    "German months": (
        "d,w\n5. Jänner 2020,1\n7. März 2021,2\n",
        {},
        {"d": [day("2020-01-05"), day("2021-03-07")], "w": [1, 2]},
        "dates",
    ),
    "two forms": (
        "d,w\n2020-01-31,1\n31.01.2021,2\n",
        {},
        {"d": [day("2020-01-31"), day("2021-01-31")], "w": [1, 2]},
        "several forms",
    ),
    "months": (
        "d,w\n2020-01,1\n2020-02,2\n",
        {},
        {"d": [day("2020-01-01"), day("2020-02-01")], "w": [1, 2]},
        "dates",
    ),
    "quarters": (
        "d,w\n2020-Q1,1\nQ2 2020,2\n",
        {},
        {"d": [day("2020-01-01"), day("2020-04-01")], "w": [1, 2]},
        "dates",
    ),
    "missing dates": (
        "d,w\n31.12.2020,1\n-,2\n1.1.2020,3\n",
        {},
        {"d": [day("2020-12-31"), NONE, day("2020-01-01")], "w": [1, 2, 3]},
        "'-' taken as missing",
    ),
    "times": (
        "d,w\n31.12.2020 13:30,1\n1.2.2021 4:15,2\n",
        {},
        {"d": [dt.datetime(2020, 12, 31, 13, 30), dt.datetime(2021, 2, 1, 4, 15)], "w": [1, 2]},
        "dates",
    ),
    "AM and PM": (
        "d,w\n12/31/2020 1:30 PM,1\n2/1/2021 12:15 am,2\n",
        {},
        {"d": [dt.datetime(2020, 12, 31, 13, 30), dt.datetime(2021, 2, 1, 0, 15)], "w": [1, 2]},
        "dates",
    ),
    "zones": (
        "d,w\n2020-01-01T10:00:00Z,1\n2020-01-01T12:00:00+02:00,2\n",
        {},
        {"d": [dt.datetime(2020, 1, 1, 10, tzinfo=dt.UTC)] * 2, "w": [1, 2]},
        "UTC",
    ),
    "times of a day": ("t,w\n10:30,1\n11:45,2\n", {}, {"t": [10.5, 11.75], "w": [1, 2]}, "hours"),
    "epochs are numbers": (
        "t,w\n1577836800,1\n1577923200,2\n",
        {},
        {"t": [1577836800, 1577923200], "w": [1, 2]},
        "",
    ),
    "names alone": ("a,b\n", {}, {"a": [], "b": []}, ""),
    "a header of comments": ("# a,b\n1,2\n", {}, {"# a": [1], "b": [2]}, ""),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_read_as_it_is_meant(tmp_path, case):
    content, said, columns, words = FILES[case]
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found, told = read(path, **said)
    assert found == columns
    assert (words in told) if words else not told


REFUSED = {
    "a German title": (
        "Umsatz 2023\n\nName;Wert\na;1,5\nb;2,5\n",
        {},
        "title or comment ('Umsatz 2023')",
    ),
    "a title": ("My export\n\na,b\n1,2\n3,4\n", {}, "title or comment ('My export')"),
    "a comment": ("# by X\na,b\n1,2\n3,4\n", {}, "delete what is above"),
    "a word": ("v,w\n1.5,1\noops,2\n2,3\n3,4\n", {}, "first 'oops' at row 1"),
    "another decimal sign": ("v,w\n1.5,1\n2.5,2\n", {"decimal": ","}, "first '1.5' at row 0"),
    "two signs": ('v,w\n"1,234.5",1\n"1.234,5",2\n', {}, "text, first"),
    "two currencies": ("v,w\n$5,1\n€6,2\n", {}, "amounts in 'EUR', 'USD'"),
    "shares and money": ("v,w\n5 %,1\n$6,2\n", {}, "cannot be compared"),
    "two orders": ("d,w\n31/12/2020,1\n12/31/2020,2\n", {}, "dates in two orders"),
    "no such day": ("d,w\n31.02.2020,1\n1.1.2020,2\n2.1.2020,3\n", {}, "first '31.02.2020' at row 0"),
    "no text": (b"a,b\n\xff\x81,2\n", {}, "save it as UTF-8"),
    "half of UTF-16": (b"\xff\xfea", {}, "save it as UTF-8"),
    "ragged": ("a,b\n1,2\n3\n", {}, "line 3: 1 cells"),
    "blank": ("\n\n  \n", {}, "empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, case):
    content, said, words = REFUSED[case]
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as refused:
        read(path, **said)
    message = str(refused.value)
    assert words in message
    assert "\n" not in message
    assert len(message.encode()) < 400


def test_the_line_of_what_is_refused_is_told(tmp_path):
    rows = "".join(f"{i},x\n" for i in range(20))
    (tmp_path / "x.csv").write_text('v,w\n\n1.5,"a\nb"\n' + rows + "oops,y\n" + rows)
    with pytest.raises(DataError, match=r"column 'v'.*'oops' at line 25 of .*x\.csv; "):
        load_data(tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text().split("\n")
    assert lines[25 - 1] == "oops,y"


def test_options_that_contradict_themselves_are_refused():
    for said in (
        {"decimal": ";"},
        {"thousands": "x"},
        {"decimal": ",", "thousands": ","},
        {"date_order": "dym"},
    ):
        with pytest.raises(OptionError):
            TableOptions(**said)


# Every spelling comes back


def spelled(value, decimal, thousands):
    whole, _, part = f"{abs(value):.2f}".partition(".")
    groups = f"{int(whole):,}".replace(",", thousands)
    return ("-" if value < 0 else "") + groups + decimal + part


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(-(10**8), 10**8).map(lambda n: n / 100), min_size=2, max_size=8),
    days=st.lists(st.dates(dt.date(1970, 1, 1), dt.date(2037, 12, 31)), min_size=8, max_size=8),
    signs=st.sampled_from(
        [(".", ""), (".", ","), (",", ""), (",", "."), (".", "'"), (",", " "), (".", " ")]
    ),
    order=st.sampled_from(
        ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d-%m-%Y", "%d %b %Y", "%d.%m.%y"]
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    unit=st.sampled_from(["", " %", " kr"]),
)
def test_every_spelling_comes_back(
    tmp_path_factory, numbers, days, signs, order, delimiter, encoding, end, unit
):
    days = days[: len(numbers)]
    rows = [
        [f'"{spelled(number, *signs)}{unit}"', f'"{one.strftime(order)}"', "ö"]
        for number, one in zip(numbers, days, strict=True)
    ]
    content = end.join(delimiter.join(row) for row in [["num", "when", "word"], *rows]) + end
    path = tmp_path_factory.mktemp("spelled") / "x.csv"
    path.write_bytes(content.encode(encoding))
    said = {"date_order": "mdy" if order.startswith("%m") else "dmy"}
    found, _ = read(path, **said, decimal=signs[0])
    assert found["num"] == pytest.approx(numbers)
    assert found["when"] == days
    assert set(found["word"]) == {"ö"}


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=2, max_size=20))
@settings(max_examples=40, deadline=None)
def test_numbers_that_programs_write_are_the_same_to_the_last_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("plain") / "x.csv"
    pd.DataFrame({"v": values, "w": "x"}).to_csv(path, index=False)
    assert read(path) == ({"v": values, "w": ["x"] * len(values)}, "")
