"""The names of builders and nodes: what is allowed, and names made up for those who give none."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.errors import BuilderError, InvalidNameError

RESERVED = "default"
"""The one name no stored builder may have: it is the docker context of that name."""

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SYMBOLS = _LETTERS | frozenset("0123456789._-")
_TRIES = 6

_ADJECTIVES = """
    amber brisk calm candid clever cosy crisp curious deft eager early earnest fair fleet fond
    frank gentle glad golden grand hardy honest humble jolly keen kind lively lucid mellow merry
    mild neat nimble noble patient plucky polite prompt proud quick quiet ready robust serene
    sharp silent sincere smart snug sober sound spry steady sturdy sunny swift tidy trusty upbeat
    vivid warm wise witty
"""
_SURNAMES = """
    agnesi ampere avogadro babbage bernoulli boltzmann borg boyle brahe cantor cassini cauchy
    chandra copernicus coulomb crick dalton dirac doppler eratosthenes euclid euler fermat fourier
    franklin galois gauss germain hahn halley hamilton hardy hertz hilbert hooke huygens jacquard
    joule kelvin kepler kovalevskaya lagrange laplace leibniz linnaeus lovelace mendel meitner
    napier noether ohm pascal pasteur planck ramanujan riemann rutherford turing volta wegener
"""


def is_valid(name: str) -> bool:
    """Tell whether a builder or node may have this name."""
    return bool(name) and name[0] in _LETTERS and _SYMBOLS.issuperset(name)


def check(name: str) -> str:
    """Give the name back when a builder or a node may have it.

    Raises:
        InvalidNameError: It may not.
    """
    if not is_valid(name):
        raise InvalidNameError(name)
    return name


def check_new(name: str) -> str:
    """Give the name back when a builder may be stored under it.

    Raises:
        InvalidNameError: It breaks the rule for names.
        BuilderError: It is reserved.
    """
    if check(name) == RESERVED:
        raise BuilderError(
            f"{RESERVED} is a reserved name and cannot be used to identify builder instance"
        )
    return name


def random_name(is_taken: Callable[[str], bool]) -> str:
    """Make up a builder name that is not taken, such as ``brisk_noether``.

    Raises:
        BuilderError: Every name that was tried is taken.
    """
    from random import SystemRandom

    random = SystemRandom()
    for attempt in range(_TRIES):
        name = f"{random.choice(_ADJECTIVES.split())}_{random.choice(_SURNAMES.split())}"
        if attempt:
            name += str(random.randrange(10))
        if not is_taken(name):
            return name
    raise BuilderError("failed to generate random name")


def node_name(builder: str, taken: set[str]) -> str:
    """Name a builder's next node: its own name, lower case, and the first free number."""
    number = 0
    while (name := f"{builder}{number}".lower()) in taken:
        number += 1
    return name
