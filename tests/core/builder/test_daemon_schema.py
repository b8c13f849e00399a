from __future__ import annotations

import tomllib

import pytest

from dockyard.builder.daemon_schema import type_problems


def problems(text: str) -> list[str]:
    return list(type_problems(tomllib.loads(text)))


def test_what_daemons_take_has_no_problems() -> None:
    assert not problems(
        """
        debug = true
        root = "/var/lib/buildkit"
        insecure-entitlements = ["network.host", "security.insecure"]
        unknown = 3

        [grpc]
          address = ["unix:///run/buildkit/buildkitd.sock"]
          uid = 0

        [worker.oci]
          enabled = true
          max-parallelism = 4
          platforms = ["linux/amd64"]
          gckeepstorage = 9000
          reservedSpace = "30%"
          [worker.oci.labels]
            "com.example/a.b" = "c"
          [[worker.oci.gcpolicy]]
            keepBytes = 512000000
            keepDuration = "48h"
            filters = ["type==source.local"]
          [[worker.oci.gcpolicy]]
            all = true

        [registry."docker.io"]
          mirrors = ["mirror.example:5000/proxy"]
          http = false
          ca = ["ca.pem"]
          [[registry."docker.io".keypair]]
            key = "key.pem"
            cert = "cert.pem"

        [frontend."dockerfile.v0"]
          enabled = true
        """
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('debug = "yes"', "debug has to be true or false, not 'yes'"),
        ("root = 1", "root has to be a text, not 1"),
        ("grpc.uid = true", "grpc.uid has to be a whole number, not True"),
        (
            'insecure-entitlements = "network.host"',
            "insecure-entitlements has to be a list of texts, not 'network.host'",
        ),
        ("dns.options = [1]", "dns.options has to be a list of texts, not [1]"),
        ("worker = 1", "worker has to be a table, not 1"),
        (
            '[registry."a.example:5000"]\nhttp = 1',
            "registry.a.example:5000.http has to be true or false, not 1",
        ),
        (
            '[registry."a.example".keypair]\nkey = "k"',
            "registry.a.example.keypair has to be a list of tables, not {'key': 'k'}",
        ),
        (
            '[[registry."a.example".keypair]]\nkey = 3',
            "registry.a.example.keypair.key has to be a text, not 3",
        ),
        (
            '[worker.oci]\nmax-parallelism = "4"',
            "worker.oci.max-parallelism has to be a whole number, not '4'",
        ),
        (
            "[[worker.containerd.gcpolicy]]\nall = 1",
            "worker.containerd.gcpolicy.all has to be true or false, not 1",
        ),
    ],
)
def test_a_wrong_type_is_named_with_what_it_should_be(text: str, problem: str) -> None:
    assert problems(text) == [problem]
