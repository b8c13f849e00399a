"""Look at what a driver declares: texts, features, options. No node is needed."""

from __future__ import annotations

from dockyard.conformance.bench import Bench
from dockyard.driver import Feature, Level, NodeFeatures, Option, Support, parse_options
from dockyard.errors import DockyardError, OptionError

_ODD_VALUES = (
    "",
    " ",
    "-1",
    "1e999",
    "nan",
    "\u0663",
    "\u00e4",
    "no\x00such",
    "9" * 5000,
    "x" * 10_000,
    "../x",
    "${HOME}",
    ",",
    "=",
)
_NONSENSE = "no such value \x00"
_FREE = "string"
"""The type of options that take any text."""


def check_texts(bench: Bench) -> None:
    """Check that people can read the declaration."""
    declared = bench.declared
    if not declared.summary.strip() or "\n" in declared.summary:
        bench.fault("its summary has to be one line")
    for feature, support in declared.features.items():
        if not isinstance(feature, Feature) or not isinstance(support, Support):
            bench.fault(f"features has {feature!r}: {support!r}, no Feature with its Support")
        if support.level is Level.CONDITIONAL and not support.reason.strip():
            bench.fault(f"{feature.label} is conditional, but not said on what")
    for form in declared.endpoints:
        if not form.help.strip():
            bench.fault(f"the endpoint form {form.form} has no help")


def check_node_features(bench: Bench, features: NodeFeatures) -> None:
    """Compare what a node says with what the driver declares."""
    for feature in Feature:
        declared = bench.declared.support(feature)
        here = features.support.get(feature, Support.no())
        if declared.level is Level.CONDITIONAL:
            continue  # the node says which, and that is tried
        if here.level is not declared.level:
            bench.fault(
                f'it declares {declared.level} for the feature "{feature.label}", '
                f"but dockyard_features says {here.level} of this node"
            )


def check_options(bench: Bench) -> None:
    """Check each declared option's help and default."""
    for option in bench.declared.options:
        if not option.help.strip() or not option.type.strip():
            bench.fault(f"option {option.name} has no help or no type")
        if option.default:
            _check_default(bench, option)


def _check_default(bench: Bench, option: Option) -> None:
    try:
        option.parse(option.default)
    except ValueError as error:
        bench.fault(f"option {option.name} does not take its own default: {error}")


def check_wrong_values(bench: Bench) -> None:
    """Give each option values that are wrong, and some that are odd."""
    for option in bench.declared.options:
        for value in (_NONSENSE, *_ODD_VALUES):
            _check_value(bench, option, value)


def _check_value(bench: Bench, option: Option, value: str) -> None:
    name = f"{option.name}x" if option.is_family else option.name
    driver = bench.subject.driver
    try:
        bench.answer(
            f"option {name}, parsing {value[:20]!r},",
            lambda: parse_options(driver, [option], {name: value}),
        )
    except OptionError as error:
        if not str(error):
            bench.fault(f"option {name} refuses {value[:20]!r} without a word")
        if name not in f"{error} {error.hint}":
            bench.fault(f"option {name} is not named when {value[:20]!r} is refused: {error}")
    else:
        if value == _NONSENSE and option.type != _FREE:
            bench.fault(f"option {name} is a {option.type}, but takes {value!r}")


def check_unknown_option(bench: Bench) -> None:
    """Give an option that nobody declared."""
    name = "no-such-option"
    if not bench.declared.creatable:
        return
    try:
        with bench.builder(options={name: "1"}):
            pass
    except DockyardError as error:
        if name not in str(error):
            bench.fault(f"the option {name} is refused without its name: {error}")
    else:
        bench.fault(f"takes the option {name}, which it does not declare")
