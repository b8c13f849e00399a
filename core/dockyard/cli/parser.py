"""Docker's flag grammar.

``--flag=value`` and ``--flag value``, ``-t value`` and ``-tvalue``, ``--push`` and
``--push=false``, flags before, between and after arguments, no abbreviations, and docker's words
for what is wrong. None of argparse is in that grammar, and to import it and declare a build's
flags with it took as long as the rest of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.cli.duration import parse_duration
from dockyard.driver.truth import boolean
from dockyard.errors import FlagError, UsageError

if TYPE_CHECKING:
    from dockyard.cli.invocation import Invocation

Options = SimpleNamespace
"""Parsed flags by name, ``-`` written as ``_``, the arguments as ``arguments``, and as ``given``
the names of the flags in the order in which they stood on the command line."""


class Command(NamedTuple):
    """One command, as its module offers it."""

    run: Callable[[Invocation, Options], int]
    """Do it; gives the exit code."""
    usage: str = "[OPTIONS]"
    """What stands after the command's name in its usage line."""
    arguments: tuple[int, int | None] = (0, 0)
    """How many arguments it takes, at least and at most; None is any number."""
    flags: Callable[[CommandParser], None] = lambda _: None
    """Declare the command's flags."""
    has_builder_flag: bool = True
    """Whether help shows ``--builder``; it is accepted everywhere."""


class _Flag(NamedTuple):
    name: str
    short: str
    help: str
    value: str
    """What help calls the value; empty for a switch."""
    shown_default: str
    hidden: bool


class CommandParser:
    """The parser of one command."""

    def __init__(self, path: str, usage: str, *, summary: str = "") -> None:
        """Make a parser without any flag but ``--help``.

        Args:
            path: The command as a person types it, for example ``docker buildx ls``.
            usage: What stands after that in the usage line.
            summary: One line for help.
        """
        self.path = path
        self.usage_line = f"{path} {usage}".rstrip()
        self.summary = summary
        self._flags: dict[str, _Flag] = {}
        self._shorts: dict[str, _Flag] = {}
        self._defaults: dict[str, Any] = {}
        self._parse: dict[str, Callable[[str], Any]] = {}
        self._repeated: set[str] = set()
        self.switch("help", short="h", help="Print usage", hidden=True)

    # --- declaring --------------------------------------------------------------------------

    def switch(
        self,
        name: str,
        *,
        help: str,  # noqa: A002  # as everywhere
        short: str = "",
        default: bool | None = False,
        hidden: bool = False,
    ) -> None:
        """Declare a flag that is on or off: ``--name``, ``--name=false``."""
        shown = "true" if default else ""
        self._declare(
            _Flag(name=name, short=short, help=help, value="", shown_default=shown, hidden=hidden),
            default=default,
            parse=_converter(name, short, boolean),
        )

    def text(
        self,
        name: str,
        *,
        help: str,  # noqa: A002  # as everywhere
        short: str = "",
        default: str = "",
        value: str = "string",
        choices: Sequence[str] = (),
        parse: Callable[[str], Any] | None = None,
        hidden: bool = False,
    ) -> None:
        """Declare a flag with one text; the last one given counts.

        ``parse`` turns the text into the value, or raises a ``ValueError``.
        """
        self._declare(
            _Flag(
                name=name,
                short=short,
                help=help,
                value=value,
                shown_default=f'"{default}"' if default else "",
                hidden=hidden,
            ),
            default=default,
            parse=_converter(name, short, parse or _chosen(choices)),
        )

    def texts(
        self,
        name: str,
        *,
        help: str,  # noqa: A002  # as everywhere
        short: str = "",
        value: str = "stringArray",
        csv: bool = False,
        parse: Callable[[str], Any] = str,
        hidden: bool = False,
    ) -> None:
        """Declare a flag that may be repeated; with ``csv`` each value is a comma list.

        ``parse`` turns a text into a value, or raises a ``ValueError``.
        """
        self._declare(
            _Flag(name=name, short=short, help=help, value=value, shown_default="", hidden=hidden),
            default=(),
            parse=_converter(name, short, _fields if csv else lambda text: [parse(text)]),
        )
        self._repeated.add(name)

    def duration(
        self,
        name: str,
        *,
        help: str,  # noqa: A002  # as everywhere
        default: str = "0s",
        hidden: bool = False,
    ) -> None:
        """Declare a flag with a duration such as ``20s``; its value is in seconds."""
        self._declare(
            _Flag(
                name=name,
                short="",
                help=help,
                value="duration",
                shown_default=default,
                hidden=hidden,
            ),
            default=parse_duration(default),
            parse=_converter(name, "", parse_duration),
        )

    def _declare(self, flag: _Flag, *, default: object, parse: Callable[[str], Any]) -> None:
        self._flags[flag.name] = flag
        if flag.short:
            self._shorts[flag.short] = flag
        self._defaults[flag.name] = default
        self._parse[flag.name] = parse

    # --- parsing ----------------------------------------------------------------------------

    def parse(self, line: Sequence[str], arguments: tuple[int, int | None] = (0, None)) -> Options:
        """Parse a command line.

        Args:
            line: What stands after the command's name.
            arguments: How many arguments there may be, at least and at most.

        Raises:
            FlagError: A flag is unknown, lacks its value or has a wrong one.
            UsageError: There are too few or too many arguments.
        """
        flags, rest = self._sort_out(line)
        values = dict(self._defaults)
        for name in self._repeated:
            values[name] = []
        for name, text in flags:
            value = self._parse[name](text)
            if name in self._repeated:
                values[name] += value
            else:
                values[name] = value
        if not values["help"]:
            self._check_count(len(rest), *arguments)
        named = {name.replace("-", "_"): value for name, value in values.items()}
        return Options(**named, arguments=rest, given=[name for name, _ in flags])

    def split_head(self, line: Sequence[str]) -> tuple[list[str], list[str]]:
        """Separate the flags in front from what begins with the first argument.

        Raises:
            FlagError: A flag is unknown or lacks its value.
        """
        words = list(line)
        head: list[str] = []
        while words and words[0].startswith("-") and words[0] not in {"-", "--"}:
            word = words.pop(0)
            found = [self._long(word, words)] if word.startswith("--") else self._short(word, words)
            head += (f"--{name}={value}" for name, value in found)
        return head, words

    def _sort_out(self, line: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
        """Separate flags, as names and texts, from arguments."""
        words = list(line)
        flags: list[tuple[str, str]] = []
        rest: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--":
                rest += words
                break
            if word.startswith("--"):
                flags.append(self._long(word, words))
            elif word.startswith("-") and word != "-":
                flags += self._short(word, words)
            else:
                rest.append(word)
        return flags, rest

    def _long(self, word: str, words: list[str]) -> tuple[str, str]:
        name, equals, value = word[2:].partition("=")
        flag = self._flags.get(name)
        if flag is None:
            raise self._flag_error(f"unknown flag: --{name}", name)
        if not equals and flag.value:
            if not words:
                raise self._flag_error(f"flag needs an argument: --{name}")
            value = words.pop(0)
        elif not equals:
            value = "true"
        return flag.name, value

    def _short(self, word: str, words: list[str]) -> list[tuple[str, str]]:
        found = []
        letters = word[1:]
        while letters:
            flag = self._shorts.get(letters[0])
            if flag is None:
                raise self._flag_error(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
            rest = letters[1:]
            if rest.startswith("=") and rest != "=":
                value, letters = rest[1:], ""
            elif not flag.value:
                value, letters = "true", rest
            elif rest:
                value, letters = rest, ""
            elif words:
                value, letters = words.pop(0), ""
            else:
                raise self._flag_error(f"flag needs an argument: '{letters[0]}' in {word}")
            found.append((flag.name, value))
        return found

    def _check_count(self, count: int, least: int, most: int | None) -> None:
        if count >= least and (most is None or count <= most):
            return
        if least == most:
            wanted = f"requires {_count(least)}"
        elif count < least:
            wanted = f"requires at least {_count(least)}"
        else:
            wanted = f"requires at most {_count(most or 0)}"
        program = self.path.split()[0]
        raise UsageError(f"{program}: '{self.path}' {wanted}\n\n{self.short_usage()}")

    def _flag_error(self, message: str, name: str = "") -> FlagError:
        import difflib

        near = difflib.get_close_matches(name, self._flags, n=1) if name else []
        return FlagError(message, hint=f"did you mean --{near[0]}?" if near else None)

    # --- help -------------------------------------------------------------------------------

    def short_usage(self) -> str:
        """Give the lines that an error about usage ends with."""
        return f"Usage:  {self.usage_line}\n\nRun '{self.path} --help' for more information"

    def shown_flags(self) -> list[_Flag]:
        """Give the flags that help shows, by name."""
        return sorted(
            (flag for flag in self._flags.values() if not flag.hidden), key=lambda flag: flag.name
        )

    def help_text(self) -> str:
        """Give the whole help of the command."""
        shown = self.shown_flags()
        lines = [f"Usage:  {self.usage_line}", "", self.summary]
        if shown:
            lines += ["", "Options:", *flag_lines(shown)]
        return "\n".join(lines) + "\n"


def flag_lines(flags: Sequence[_Flag]) -> list[str]:
    """Give one aligned line of help for each flag."""
    heads = []
    for flag in flags:
        short = f"-{flag.short}, " if flag.short else "    "
        heads.append(f"  {short}--{flag.name} {flag.value}".rstrip())
    width = max(map(len, heads)) + 3
    return [
        head.ljust(width)
        + flag.help
        + (f" (default {flag.shown_default})" if flag.shown_default else "")
        for head, flag in zip(heads, flags, strict=True)
    ]


def _converter(name: str, short: str, parse: Callable[[str], Any]) -> Callable[[str], Any]:
    spelled = f"-{short}, --{name}" if short else f"--{name}"

    def convert(text: str) -> Any:  # noqa: ANN401  # whatever the flag holds
        try:
            return parse(text)
        except ValueError as error:
            from dockyard.quote import quoted

            message = f'invalid argument {quoted(text)} for "{spelled}" flag: {error}'
            raise FlagError(message) from error

    return convert


def _chosen(choices: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if choices and text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _fields(text: str) -> list[str]:
    from dockyard.building.grammar.csvline import fields

    return fields(text) if text else []


def _count(number: int) -> str:
    return f"{number} argument{'' if number == 1 else 's'}"
