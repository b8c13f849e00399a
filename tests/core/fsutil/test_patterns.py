from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.fsutil.patterns import Matcher, PatternError, clean, read_ignore_file

# wire.md 5.9: lines of an ignore file, what they exclude, what they keep.
EDGES: list[tuple[str, str, str]] = [
    *((line, "foo foo/a", "a/foo foobar") for line in ("foo", "/foo", "foo/", "./foo")),
    ("*", "a a/b a/b/c .x", ""),
    ("**", "a a/b a/b/c .x", ""),
    ("**/", "a a/b a/b/c .x", ""),
    ("*.md", "a.md", "d/a.md"),
    ("**/*.md", "a.md d/a.md d/e/a.md", "a.txt d/mda"),
    ("*/*.md", "d/a.md", "a.md d/e/a.md"),
    ("**/foo", "foo a/foo a/foo/x", "afoo a/bfoo"),
    ("**foo", "foo afoo a/bfoo", "food"),
    ("foo/*", "foo/a foo/a/b", "foo"),
    ("foo/**", "foo/a foo/a/b", "foo"),
    ("foo**", "foo foobar foo/a", "fo a/foo"),
    ("a/**/b", "a/b a/x/y/b", "ab"),
    ("*/**", "a/b a/b/c", "a"),
    ("**/.git/**", ".git/x a/.git/x", ".git a/.git"),
    ("*\n!foo", "bar bar/foo", "foo foo/a"),
    ("*\n!foo/bar", "foo foo/baz", "foo/bar foo/bar/x"),
    ("foo\n!foo/bar", "foo/baz", "foo/bar"),
    ("!foo/bar\nfoo", "foo/bar", ""),
    ("foo\n!foo/bar\nfoo/bar/baz", "foo/bar/baz", "foo/bar/x"),
    ("*\n!*.md\nREADME-secret.md", "README-secret.md x", "README.md"),
    ("#c", "", "#c c"),
    (" #c", "#c", "c"),
    (r"\#c", "#c", "c"),
    (r"\!c", "!c", "c"),
    ("*\n! foo", "bar", "foo"),
    ("*\n!foo", "bar", "foo"),
    ("*\n!!foo", "foo", "!foo"),
    ("a?c", "abc", "a/c ac"),
    ("[^a].txt", "b.txt", "a.txt"),
    ("[!a].txt", "a.txt !.txt", "b.txt"),
    ("{a,b}", "{a,b}", "a b"),
    ("a{2}*", "aa aax", "a{2} a"),
    ("a|b*", "a ab anything xb by/x", "x/y"),
    ("foo/../bar", "bar", "foo foo/bar"),
    *((line, "", "a a/b .a") for line in ("..", "../x", ".", "/")),
    ("Foo", "Foo", "foo"),
    ("", "", "a"),
    ("\ufeff# a comment\n\n   \nfoo  \r", "foo", "a #"),
    # Not in the table: what its rules say about the corners between its rows.
    ("**/**", "a a/b", ""),
    ("***", "a a/b", ""),
    ("**/a/b", "a/b x/a/b", "xa/b a"),
    ("**/a/b/*", "a/b/c x/a/b/c", "a/b"),
    ("**foo**", "foo foobar x/foo", "xfoo"),
    ("a**b", "ab ax/b a/b", "axb"),
    ("a.b/**", "a.b/c", "axb/c a.b"),
    (r"a\*", "a*", "ab"),
    (r"a\d", "ad", "a1"),
    ("[a-c]x", "ax bx", "dx"),
    ("[*]x", "*x", "ax"),
    (r"[\]]x", "]x", "ax"),
    ("a[^b]c", "axc a/c", "abc"),
    ("**/b[^a]c", "bxc y/bxc b/c", "bac"),
    ("a]?", "a]x", "a]"),
    ("a^b?", "", "a^bc"),
    ("a.c", "a.c", "abc"),
    ("a+?", "a+b", "aab"),
    ("(a)?", "(a)b", "ab"),
    ("b{,2}?", "b{,2}x", "bx"),
    ("*a*b*c", "abc xaxbxc", "acb x/abc"),
]


def ignored(lines: str, path: str) -> bool:
    return Matcher(read_ignore_file(lines.encode())).matches(path)


@pytest.mark.parametrize(("lines", "excluded", "kept"), EDGES)
def test_ignore_file_excludes_what_the_table_says(lines: str, excluded: str, kept: str) -> None:
    everything = [*excluded.split(), *kept.split()]

    found = [path for path in everything if ignored(lines, path)]

    assert found == excluded.split()


@pytest.mark.parametrize("pattern", ["[", "[a", "[a-]", "[]", "[]a]", "[^]", "[a-", "a\\", "[-a]"])
def test_malformed_pattern_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(PatternError, match=f'^invalid pattern "{re.escape(pattern)}": syntax'):
        Matcher([pattern])


@pytest.mark.parametrize("pattern", ["*{2}", "a{1001}?", "[b-a]"])
def test_pattern_that_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="syntax error"):
        Matcher([pattern])


@pytest.mark.parametrize("pattern", ["!", " ! ", "!\t"])
def test_lone_exclamation_mark_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match='illegal exclusion pattern: "!"'):
        Matcher([pattern])


def test_list_without_patterns_is_false_and_matches_nothing() -> None:
    matcher = Matcher(["", "  "])

    assert not matcher
    assert not matcher.matches("a")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", "a/b"),
        ("./a//b/", "a/b"),
        ("a/../b", "b"),
        ("//a", "/a"),
        ("/", "/"),
        ("..", ".."),
        ("/..", "/"),
        ("", "."),
    ],
)
def test_clean_gives_the_shortest_path(path: str, expected: str) -> None:
    assert clean(path) == expected


def test_name_that_is_not_utf_8_counts_one_character_for_each_bad_byte() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")

    assert Matcher(["caf?"]).matches(name)


@pytest.mark.parametrize(
    ("patterns", "directory", "expected"),
    [
        (["*", "!a/b"], "a", True),
        (["*", "!a/b"], "b", False),
        (["*", "!a/b"], "a/c", False),
        (["*", "!a/*/c"], "a/x", True),
        (["*", "!a/*/c"], "a/x/y", False),
        (["*", "!a*/b/*"], "ax/b", True),
        (["*", "!a*/b/*"], "ax/c", False),
        (["*", "!a/**/c"], "a/x/y/z", True),
        (["*", "!a/**/c"], "b", False),
        (["*", "!a/**"], "a", True),
        (["*", "!a/**"], "b", False),
        (["*", "!**/c"], "x", True),
        (["*", "!*.md"], "x", False),
        (["!a/b", "*"], "a", False),
        (["*", "!a[^x]b"], "a", True),
        (["*", "!a|b*/c"], "x", True),
        (["*"], "a", False),
    ],
)
def test_directory_is_pruned_exactly_when_that_is_provable(
    patterns: list[str], directory: str, expected: bool
) -> None:
    matcher = Matcher(patterns)
    state = matcher.match(directory, directory.rpartition("/")[2], directory.count("/"), 0)

    assert matcher.matched(state)
    assert matcher.may_change_below(directory, state) is expected


def test_include_list_leads_to_what_it_names() -> None:
    matcher = Matcher(["a/b/c", "x"])

    assert [matcher.may_change_below(d, -1) for d in ("a", "a/b", "b", "a/c")] == [
        True,
        True,
        False,
        False,
    ]


def test_many_stars_do_not_take_for_ever() -> None:
    name = "a" * 200

    assert not Matcher(["*a" * 30 + "b", "**/" * 30 + "x?"]).matches(name)


# --- a second implementation, as simple as can be, from the same table of rules -------------


def naive_regex(pattern: str) -> tuple[str, str]:
    """Give the kind and the text or expression of one cleaned pattern."""
    kind, out, at = "exact", "", 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**"):
            size = 3 if rest.startswith("**/") else 2
            if at + size == len(pattern):
                kind = "prefix" if kind == "exact" else "regex"
                out += ".*"
            else:
                kind = "regex"
                out += "(.*/)?"
            if at == 0:
                kind = "suffix"
            at += size
        elif rest[0] in "*?":
            kind, out, at = "regex", out + ("[^/]*" if rest[0] == "*" else "[^/]"), at + 1
        elif rest[0] == "[":
            end = rest.index("]", 2)
            kind, out, at = "regex", out + rest[: end + 1], at + end + 1
        elif rest[0] == "\\":
            kind, out, at = "regex", out + re.escape(rest[1]), at + 2
        else:
            out, at = out + (re.escape(rest[0]) if rest[0] in ".+()$" else rest[0]), at + 1
    return kind, out


def naive_hit(pattern: str, path: str) -> bool:
    kind, regex = naive_regex(pattern)
    if kind == "exact":
        return path == pattern
    if kind == "prefix":
        return path.startswith(pattern[:-2])
    if kind == "suffix":
        suffix = pattern[2:]
        return path.endswith(suffix) or (suffix[:1] == "/" and path == suffix[1:])
    return re.search(f"^{regex}\\Z", path, re.DOTALL) is not None


def naive_matches(patterns: list[str], path: str) -> bool:
    matched = False
    parts = path.split("/")
    paths = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in map(normpath, patterns):
        text = pattern.removeprefix("!")
        if any(naive_hit(text, each) for each in paths):
            matched = not pattern.startswith("!")
    return matched


names = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.one_of(
    st.sampled_from(["**", "*", "?", "a", "b", ".", "[ab]", "[^a]", "\\a", "*a*", "a|b", "b{2}"]),
    names,
)
components = (
    st.lists(pieces, min_size=1, max_size=3)
    .map("".join)
    .filter(lambda text: text not in (".", "..") and "*{" not in text)
)
bodies = st.lists(components, min_size=1, max_size=4).map("/".join)


def compiles(pattern: str) -> bool:
    try:
        re.compile(naive_regex(normpath(pattern))[1])
    except re.error:
        return False
    return True


patterns = st.tuples(st.sampled_from(["", "", "!"]), bodies.filter(compiles)).map("".join)


@given(st.lists(patterns, max_size=6), st.lists(paths, min_size=1, max_size=8))
def test_matcher_agrees_with_a_naive_one(given_patterns: list[str], given_paths: list[str]) -> None:
    matcher = Matcher(given_patterns)

    for path in given_paths:
        assert matcher.matches(path) == naive_matches(given_patterns, path), path


@given(st.lists(patterns, min_size=1, max_size=5), paths, paths)
def test_pruned_directory_has_nothing_below_that_differs(
    given_patterns: list[str], directory: str, below: str
) -> None:
    matcher = Matcher(given_patterns)
    state = -1
    for path, name, depth in walk_down(directory):
        state = matcher.match(path, name, depth, state)

    if not matcher.may_change_below(directory, state):
        same = matcher.matched(state)
        assert matcher.matches(f"{directory}/{below}") is same


def walk_down(path: str) -> Iterator[tuple[str, str, int]]:
    parts = path.split("/")
    for depth, name in enumerate(parts):
        yield "/".join(parts[: depth + 1]), name, depth
