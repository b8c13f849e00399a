"""How the values of driver options are read, and in which words wrong ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockyard_docker_container import option

READ: list[tuple[Callable[[str], Any], str, object]] = [
    (option.size, "0", 0),
    (option.size, "10", 10),
    (option.size, "1b", 1),
    (option.size, "1.5k", 1536),
    (option.size, "512m", 512 << 20),
    (option.size, "1 g", 1 << 30),
    (option.size, "1GB", 1 << 30),
    (option.size, "2GiB", 2 << 30),
    (option.size, "1t", 1 << 40),
    (option.size, "1p", 1 << 50),
    (option.size, ".5k", 512),
    (option.memory, "0", 0),
    (option.memory, "6m", 6 << 20),
    (option.memory_swap, "-1", -1),
    (option.memory_swap, "1g", 1 << 30),
    (option.integer, "+7", 7),
    (option.integer, "-9223372036854775808", -(1 << 63)),
    (option.integer, "9223372036854775807", (1 << 63) - 1),
    (option.cpu_shares, "0", 0),
    (option.cpu_shares, "512", 512),
    (option.cpu_quota, "-1", -1),
    (option.cpu_quota, "50000", 50_000),
    (option.cpu_period, "0", 0),
    (option.cpu_period, "1000000", 1_000_000),
    (option.numbers("it"), "", ""),
    (option.numbers("it"), "0-3,7", "0-3,7"),
    (option.restart_policy, "", ("", 0)),
    (option.restart_policy, "no", ("no", 0)),
    (option.restart_policy, "always:", ("always", 0)),
    (option.restart_policy, "on-failure:5", ("on-failure", 5)),
    (option.image, "", ""),
    (option.image, "moby/buildkit:buildx-stable-1", "moby/buildkit:buildx-stable-1"),
    (option.image, "Reg.Test:5000/a/b__c", "Reg.Test:5000/a/b__c"),
    (option.image, "a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
    (option.image, "[::1]:5000/a:x", "[::1]:5000/a:x"),
]

REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (option.size, "abc", "invalid size: 'abc'"),
    (option.size, "", "invalid size: ''"),
    (option.size, "-1", "invalid size: '-1'"),
    (option.size, "1x", "invalid suffix: 'x'"),
    (option.size, "1kbb", "invalid suffix: 'kbb'"),
    (option.size, "1bb", "invalid suffix: 'bb'"),
    (option.size, "1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    (option.size, "1,5g", 'strconv.ParseFloat: parsing "1,5": invalid syntax'),
    (option.size, "99999999p", "invalid size: '99999999p'"),
    (option.memory, "1k", "invalid size: '1k': minimum memory limit allowed is 6MB"),
    (option.memory, "-1", "invalid size: '-1'"),
    (option.memory_swap, "-2", "invalid size: '-2'"),
    (option.integer, "", 'strconv.ParseInt: parsing "": invalid syntax'),
    (option.integer, "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    (option.integer, "1_0", 'strconv.ParseInt: parsing "1_0": invalid syntax'),
    (option.integer, "1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
    (option.integer, " 1", 'strconv.ParseInt: parsing " 1": invalid syntax'),
    (option.integer, "²", 'strconv.ParseInt: parsing "²": invalid syntax'),
    (
        option.integer,
        "9223372036854775808",
        'strconv.ParseInt: parsing "9223372036854775808": value out of range',
    ),
    (option.integer, "9" * 5000, f'strconv.ParseInt: parsing "{"9" * 5000}": value out of range'),
    (option.cpu_shares, "-1", "invalid CPU shares (-1): value must be a positive integer"),
    (
        option.cpu_period,
        "999",
        "invalid CPU period (999): "
        "cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    ),
    (option.cpu_quota, "999", "invalid CPU quota (999): cannot be less than 1ms (i.e. 1000)"),
    (option.numbers("cpuset cpus"), "0-", "invalid value 0- for cpuset cpus"),
    (option.numbers("cpuset mems"), "a", "invalid value a for cpuset mems"),
    (
        option.restart_policy,
        ":3",
        "invalid restart policy format: no policy provided before colon",
    ),
    (
        option.restart_policy,
        "on-failure:x",
        "invalid restart policy format: maximum retry count must be an integer",
    ),
    (
        option.restart_policy,
        "sometimes",
        "invalid restart policy: unknown policy 'sometimes'; "
        "use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ),
    (
        option.restart_policy,
        "always:3",
        "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ),
    (
        option.restart_policy,
        "on-failure:-1",
        "invalid restart policy: maximum retry count cannot be negative",
    ),
    (option.image, "Upper", 'invalid image name "Upper"'),
    (option.image, "a b", 'invalid image name "a b"'),
    (option.image, "-x", 'invalid image name "-x"'),
    (option.image, "a:", 'invalid image name "a:"'),
]


@pytest.mark.parametrize(("read", "typed", "value"), READ)
def test_a_value_is_read(read: Callable[[str], Any], typed: str, value: object) -> None:
    assert read(typed) == value


@pytest.mark.parametrize(("read", "typed", "words"), REFUSED)
def test_a_wrong_value_is_refused(read: Callable[[str], Any], typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        read(typed)

    assert str(caught.value) == words
