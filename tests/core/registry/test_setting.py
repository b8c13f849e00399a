from __future__ import annotations

import ssl

import pytest
import trustme

from dockyard.builder.daemon_config import FILE, load_config
from dockyard.errors import ConfigError
from dockyard.registry.setting import RegistrySettings, registry_settings


def toml(text: str) -> dict[str, bytes]:
    return {FILE: text.encode()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[registry."a:5"]\nhttp = true', RegistrySettings(http=True)),
        ('[registry."a:5"]\nhttp = false\ninsecure = true', RegistrySettings(False, True)),
        ('[registry."a:5"]\nhttp = "yes"\ninsecure = 1', RegistrySettings()),
        ('[registry."other"]\nhttp = true', None),
        ("registry = 1", None),
        ('[registry]\n"a:5" = 1', None),
        ("this is no TOML", None),
        ("debug = true", None),
    ],
)
def test_what_a_node_s_file_says_of_a_registry(
    text: str, expected: RegistrySettings | None
) -> None:
    assert registry_settings(toml(text), "a:5") == expected


def test_a_node_without_a_file_knows_no_registry() -> None:
    assert registry_settings({}, "a:5") is None


def test_certificates_that_were_stored_with_the_node_are_used(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    authority = trustme.CA()
    ours = authority.issue_cert("client")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    ours.private_key_pem.write_to_path(folder / "key.pem")
    ours.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "config.toml").write_text(
        '[registry."a:5"]\nca = ["ca.pem"]\n'
        '[[registry."a:5".keypair]]\nkey = "key.pem"\ncert = "cert.pem"\n'
    )

    files = load_config(folder / "config.toml", working_directory=folder)
    settings = registry_settings(files, "a:5")

    assert settings is not None
    assert settings.authorities == (authority.cert_pem.bytes(),)
    assert settings.pairs == ((ours.cert_chain_pems[0].bytes(), ours.private_key_pem.bytes()),)
    tls = settings.tls()
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert authority.cert_pem.bytes() in [
        ssl.DER_cert_to_PEM_cert(der).encode() for der in tls.get_ca_certs(binary_form=True)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        RegistrySettings(authorities=(b"no certificate",)),
        RegistrySettings(authorities=("\xe9".encode(),)),
        RegistrySettings(pairs=((b"no certificate", b"no key"),)),
    ],
)
def test_a_certificate_that_makes_no_sense_is_an_error(settings: RegistrySettings) -> None:
    with pytest.raises(ConfigError, match="a certificate or key in buildkitd.toml"):
        settings.tls()


def test_insecure_means_that_any_certificate_will_do() -> None:
    assert RegistrySettings(insecure=True).tls().verify_mode is ssl.CERT_NONE
