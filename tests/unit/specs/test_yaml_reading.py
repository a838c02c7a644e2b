"""What isn't YAML, or isn't YAML that a spec may be, is refused early, where it is, and in plain words."""

from __future__ import annotations

from itertools import pairwise

import pytest

from specs.problems import Problem
from specs.syntax import builder
from specs.syntax.reader import MAX_FILE_BYTES, Reading, read_yaml
from tests.support.specs.texts import marked


def read(text: str) -> Reading:
    return read_yaml("k.yaml", text.encode())


def only(reading: Reading) -> Problem:
    [problem] = reading.problems
    return problem


NOT_YAML = {
    "a colon in text": ("a: b‸: c\n", "Text with ': ' in it needs quotes"),
    "a deeper line below a value": ("a: 1\n  b‸: 2\n", "the indentation of this line or the one above is wrong"),
    "a line without a colon": ("a: 1\nb‸\n", "A name without its ':'"),
    "a bracket left open": ("a: [1, 2‸\n", "A '[' above is not closed, or a ',' is missing."),
    "a brace left open": ("a: {b: 1‸\n", "A '{' above is not closed, or a ',' is missing."),
    "a quote left open": ("a: 'x‸\n", "a closing quote is missing"),
    "a key below a list": ("- a\n‸b: 1\n", "Items start with '- ' at one column."),
    "a sign that needs quotes": ("a: ‸@x\n", "Text that starts with this character needs quotes."),
    "an unknown escape": ('a: "‸\\q"\n', "In double quotes a backslash starts an escape."),
    "text after the end": ("---\na: 1\n...\n‸foo\n", "More text follows where the document had ended already."),
}


@pytest.mark.parametrize(("text", "detail"), NOT_YAML.values(), ids=NOT_YAML.keys())
def test_what_is_not_yaml_is_explained(text: str, detail: str) -> None:
    plain, line, column = marked(text)
    reading = read(plain)
    problem = only(reading)
    assert not reading.complete
    assert problem.summary == "Not valid YAML"
    assert detail in problem.detail
    assert problem.place is not None
    assert problem.place.line == line
    assert abs(problem.place.column - column) <= 1, problem.render()


REFUSED = {
    "a tab": ("a:\n‸\tb: 1\n", "Tab used for indentation", "Replace the tab."),
    "a tag": ("a: ‸!!str 1.10\n", "A tag", "are not allowed"),
    "a tag of our own": ("a: ‸!python/object:os.system x\n", "A tag", "'!python/object:os.system'"),
    "a tag on a mapping": ("a: ‸!!map {}\n", "A tag", "are not allowed"),
    "a key twice": ("a: 1\nb: 2\n‸a: 3\n", "A name defined twice", "'a' is already defined at line 1."),
    "a key twice in braces": ("{a: 1, ‸a: 2}\n", "A name defined twice", "'a' is already defined at line 1."),
    "a list as key": ("? ‸[a]\n: b\n", "A key that is not text", "Is a ':' or quote missing?"),
    "an alias as key": ("a: &x y\n‸*x : b\n", "A key that is not text", "An alias can't be a key."),
    "an alias without its anchor": ("a: ‸*x\n", "Unusable alias", "'*x' repeats an anchor that is not there"),
    "an alias inside of its anchor": ("a: &x [‸*x]\n", "Unusable alias", "which would never end"),
    "a merge of nothing": ("a: {‸<<: 3}\n", "Nothing to merge", "takes a mapping"),
    "a number as key": (
        "‸1.10: a\n",
        "Name without quotes",
        'YAML takes 1.10 for the number 1.1. Write it in quotes: "1.10".',
    ),
    "an octal number as key": ("‸0777: a\n", "Name without quotes", "YAML takes 0777 for a number."),
    "a boolean as key": ("‸off: a\n", "Name without quotes", "YAML takes off for a boolean."),
    "a date as key": ("‸2024-02-29: a\n", "Name without quotes", "YAML takes 2024-02-29 for a date."),
    "a time as key": ("‸12:30: a\n", "Name without quotes", "YAML takes 12:30 for a number."),
    "nothing as key": ("? ‸&x\n: a\n", "Name without quotes", "Nothing is before the ':'."),
    "a control character": ("a: ‸\x1b[31m\n", "Character that YAML doesn't allow", "U+001B can't stand in YAML."),
    "brackets without end": ("‸" + "[" * 50_000, "Nested too deeply", "At most 32 levels"),
    "dashes without end": ("‸" + "- " * 50_000, "Nested too deeply", "At most 32 levels"),
}


@pytest.mark.parametrize(("text", "summary", "detail"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_spec_may_not_be_is_refused(text: str, summary: str, detail: str) -> None:
    plain, line, column = marked(text)
    problem = only(read(plain))
    assert problem.summary == summary
    assert detail in problem.detail
    assert problem.place is not None
    if summary != "Nested too deeply":
        assert (problem.place.line, problem.place.column) == (line, column)


def test_a_bomb_of_300_bytes_is_refused_without_being_expanded() -> None:
    levels = "".join(f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in pairwise("abcdefghi"))
    bomb = f"a: &a [x,x,x,x,x,x,x,x,x]\n{levels}"
    assert len(bomb) < 400
    problem = only(read(bomb))
    assert problem.summary == "Aliases repeat too much"
    assert problem.place is not None
    assert problem.place.line == 6  # 9^5 is below the limit, 9^6 is not


def test_a_bomb_of_merges_is_refused_too() -> None:
    wide = ", ".join(f"k{n}: {n}" for n in range(1000))
    problem = only(read(f"a: &a {{{wide}}}\nb: [{', '.join(['{<<: *a}'] * 1000)}]\n"))
    assert problem.summary == "Aliases repeat too much"


def test_honest_aliases_and_merges_are_welcome() -> None:
    reading = read("a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc: {q: 4, <<: [*a, {r: 5, p: 6}]}\nd: *a\n")
    assert reading.problems == ()
    assert reading.documents[0].data == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 3},
        "c": {"p": 1, "q": 4, "r": 5},
        "d": {"p": 1, "q": 2},
    }


def test_a_problem_behind_an_alias_is_shown_where_it_is_written() -> None:
    document = read("a: &a {p: 1}\nb: *a\nc: {<<: *a}\n").documents[0]
    assert [document.places.place((name, "p")).line for name in "abc"] == [1, 1, 1]


def test_a_file_that_is_too_large_is_not_even_decoded() -> None:
    problem = only(read_yaml("k.yaml", b"\xff" * (MAX_FILE_BYTES + 1)))
    assert problem.summary == "File is too large"
    assert "at most 10 MiB" in problem.detail


def test_too_many_documents_are_refused() -> None:
    assert read("--- a\n" * builder.MAX_DOCUMENTS).complete
    assert only(read("--- a\n" * (builder.MAX_DOCUMENTS + 1))).summary == "Too many documents"


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MAX_NODES", 100)
    assert read(f"a: [{'1,' * 98}]").complete
    assert only(read(f"a: [{'1,' * 99}]")).summary == "Too many values"


def test_a_mapping_with_too_many_entries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MAX_FIELDS", 10)
    entries = ", ".join(f"k{n}: 1" for n in range(11))
    assert read(f"a: {{{entries}}}").complete, "the top of a file has a limit of its own"
    assert only(read(f"a: {{b: {{{entries}}}}}")).summary == "Too many entries"
    monkeypatch.setattr(builder, "MAX_ENTRIES", 10)
    assert only(read(f"a: {{{entries}}}")).summary == "Too many entries"


def test_a_flood_of_duplicate_keys_is_bounded() -> None:
    assert len(read(f"{{{'a: 1, ' * 1000}}}").problems) == builder.MAX_PROBLEMS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
def test_other_encodings_are_refused_at_the_first_bad_byte(encoding: str) -> None:
    problem = only(read_yaml("k.yaml", "a: 1\nb: é\n".encode(encoding)))
    assert problem.summary in ("Not UTF-8", "Character that YAML doesn't allow")
    if encoding == "latin-1":
        assert str(problem.place) == "k.yaml:2:4"
        assert problem.detail == "The byte 0xe9 is not UTF-8. Save it as UTF-8."
    if encoding == "utf-16":
        assert problem.detail == "The file looks like UTF-16. Save it as UTF-8."


def test_a_byte_order_mark_and_windows_line_ends_are_no_problem() -> None:
    reading = read_yaml("k.yaml", b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: x\r\n")
    assert reading.documents[0].data == {"a": 1, "b": {"c": "x"}}
    assert str(reading.documents[0].places.place(("b", "c"))) == "k.yaml:3:6"


def test_columns_count_characters() -> None:
    document = read("ä: {ö: 1, 日本: x}\n").documents[0]
    assert document.places.place(("ä", "日本")).column == 15


def test_values_follow_yaml_1_2() -> None:
    text = "[1, -2, +3, 1.5, 1e3, .5, true, False, null, ~, yes, on, 2024-01-01, 0777, 0x1F, 1_000, 12:30, '1', x]"
    assert read(text).documents[0].data == [
        *[1, -2, 3, 1.5, 1000.0, 0.5, True, False, None, None],
        *["yes", "on", "2024-01-01", "0777", "0x1F", "1_000", "12:30", "1", "x"],
    ]


def test_a_number_of_a_thousand_digits_is_text() -> None:
    assert read("9" * 1000).documents[0].data == "9" * 1000


def test_a_long_line_is_shown_around_the_place() -> None:
    text = f"{{{', '.join(f'key{n}: {n}' for n in range(500))}, key7: 1}}"
    problem = only(read(text))
    assert len(problem.excerpt) <= 120 + len("… ")
    assert problem.excerpt.startswith("… ")
    assert problem.excerpt.endswith("key7: 1}")
    assert problem.excerpt[problem.caret :].startswith("key7: 1")


def test_an_excerpt_marks_where_a_line_goes_on() -> None:
    keys = ", ".join(f"key{n}: {n}" for n in range(500))
    first, middle = (
        only(read(f"{{a: 1, a: 2, {keys}}}")),
        only(read(f"{{{keys}, key7: 1, {keys.replace('key', 'k')}}}")),
    )
    assert first.excerpt.startswith("{a: 1, a: 2, key0: 0")
    assert first.excerpt.endswith(" …")
    assert (middle.excerpt[:2], middle.excerpt[-2:]) == ("… ", " …")
    assert middle.excerpt[middle.caret :].startswith("key7: 1")
    assert "…" not in only(read(f"{{a: 1, a: 2}}{' ' * 500}")).excerpt


def test_nothing_that_a_terminal_would_obey_is_shown() -> None:
    problem = only(read("a: 1\nb: \x1b[2Jx\n"))
    assert "\x1b" not in problem.render()
