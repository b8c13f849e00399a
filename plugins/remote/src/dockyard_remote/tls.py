"""TLS to a daemon: the options, the files that they name, and what went wrong in words.

The files are read where they lie, each time. Whatever is wrong, the message says which of the
three it is: the file, the daemon's certificate, or the client's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import OptionError
from dockyard_remote.endpoint import Endpoint
from dockyard_remote.failure import Failure, FailureError, system_words

if TYPE_CHECKING:
    import ssl

_NAME_MISMATCH = frozenset({62, 64})
"""OpenSSL's codes for a certificate that is for another name or address."""
_EXPIRED, _NOT_YET = 10, 9
_NAMES_SHOWN = 5
_PEERS_TURN = 2.0
"""Seconds for asking again what names a certificate has."""


class Settings(NamedTuple):
    """What the options say of TLS."""

    cacert: str
    cert: str
    key: str
    servername: str


def settings_of(options: Mapping[str, Any], endpoint: Endpoint) -> Settings | None:
    """Give what the options say, or None when they ask for no TLS.

    Raises:
        OptionError: Some of what TLS needs is not given.
    """
    if endpoint.command or not any(options.get(name) for name in Settings._fields):
        return None
    settings = Settings(*(options.get(name, "") for name in Settings._fields))
    missing = [
        name
        for name, needed in (
            ("cacert", True),
            ("cert", bool(settings.key)),
            ("key", bool(settings.cert)),
            ("servername", bool(endpoint.path)),
        )
        if needed and not getattr(settings, name)
    ]
    if missing:
        raise OptionError(
            f"tls enabled, but missing keys {', '.join(missing)}",
            hint="TLS needs cacert, the daemon's CA; cert and key go together; a socket file has "
            "no name, so that servername has to say whose certificate is expected",
        )
    return settings._replace(servername=settings.servername or endpoint.host)


def make_context(settings: Settings) -> ssl.SSLContext:
    """Read the files.

    Raises:
        FailureError: One of them cannot be used.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    context.hostname_checks_common_name = False
    for name in ("cacert", "cert", "key"):
        _check_readable(name, getattr(settings, name))
    try:
        context.load_verify_locations(cafile=settings.cacert)
    except (ssl.SSLError, ValueError) as error:
        raise _unusable("cacert", settings.cacert, "it has no certificate in PEM form") from error
    if settings.cert:
        _load_pair(context, settings)
    return context


def explain(error: OSError, settings: Settings) -> Failure | None:
    """Say what a failed handshake means, or an alert after it; None when it is nothing of TLS."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, settings)
    if isinstance(error, ssl.SSLEOFError):
        return Failure("it hung up during the TLS handshake", _PORT_HINT)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or str(error)
    alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
    if not alert:
        return Failure("it speaks no TLS", _PORT_HINT)
    if "certificate required" in alert or (alert in _REFUSALS and not settings.cert):
        return Failure(
            f"it requires a client certificate ({alert})",
            "give one with --driver-opt cert=/PATH,key=/PATH",
            final=True,
        )
    if alert in _REFUSALS:
        return Failure(
            f"it refused the client certificate {settings.cert} ({alert})",
            "the certificate has to be valid and signed by a CA that the daemon was told of",
            final=True,
        )
    return Failure(f"TLS failed: {alert}", _PORT_HINT)


_PORT_HINT = "check that the port is the daemon's, and that it was started with TLS"
_REFUSALS = frozenset(
    {
        "access denied",
        "bad certificate",
        "certificate expired",
        "certificate revoked",
        "certificate unknown",
        "decrypt error",
        "handshake failure",
        "unknown ca",
        "unsupported certificate",
    }
)
"""Alerts by which a daemon says that it does not like the client's certificate."""


def names_of(certificate: Mapping[str, Any]) -> list[str]:
    """Give the names that a certificate is for."""
    return [str(name) for _, name in certificate.get("subjectAltName", ())]


def ask_names(endpoint: Endpoint, settings: Settings) -> list[str]:
    """Connect once more, to see what names the daemon's certificate has; says nothing there.

    The chain is verified as ever; only the name is not, and the connection ends at once.
    """
    from dockyard.engine.connect import connect_tcp, connect_unix, secure

    context = make_context(settings)
    context.check_hostname = False
    try:
        with Wait(_PEERS_TURN) as wait:
            if endpoint.path:
                sock = connect_unix(endpoint.path, wait).socket
            else:
                sock = connect_tcp(endpoint.host, endpoint.port, wait)
            stream = secure(context, sock, settings.servername, wait)
            try:
                return names_of(stream.socket.getpeercert() or {})  # type: ignore[attr-defined]  # a TLS socket's
            finally:
                stream.close()
    except (OSError, OutOfTimeError):
        return []


def with_names(failure: Failure, names: list[str]) -> Failure:
    """Add to a wrong name what would be right ones."""
    if not names:
        return failure
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return failure._replace(
        words=f"{failure.words} but for {', '.join(names[:_NAMES_SHOWN])}{more}",
        hint=f"if that is the daemon you mean: --driver-opt servername={names[0]}",
    )


# --- files ---------------------------------------------------------------------------------


class _PasswordAskedError(Exception):
    """OpenSSL wants a password."""


def _check_readable(name: str, path: str) -> None:
    if not path:
        return
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib is not needed for this
            file.read(1)
    except OSError as error:
        raise _unusable(name, path, f"it cannot be read: {system_words(error)}") from error


def _load_pair(context: ssl.SSLContext, settings: Settings) -> None:
    import ssl

    def refuse_password() -> str:
        raise _PasswordAskedError

    try:
        context.load_cert_chain(settings.cert, settings.key, password=refuse_password)
    except _PasswordAskedError as error:
        words = "it is protected by a password, which cannot be given"
        raise _unusable("key", settings.key, words) from error
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            words = f"it does not belong to the certificate {settings.cert}"
            raise _unusable("key", settings.key, words) from error
        if not _has_certificate(settings.cert):
            words = "it has no certificate in PEM form"
            raise _unusable("cert", settings.cert, words) from error
        raise _unusable("key", settings.key, "it has no private key in PEM form") from error


def _has_certificate(path: str) -> bool:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        return False
    return True


def _unusable(name: str, path: str, words: str) -> FailureError:
    return FailureError(
        Failure(
            f"could not use {name} {path}: {words}",
            f"the driver option {name} names the file; it is read each time",
            final=True,
        )
    )


# --- the daemon's certificate --------------------------------------------------------------


def _explain_certificate(error: ssl.SSLCertVerificationError, settings: Settings) -> Failure:
    code = error.verify_code
    if code in _NAME_MISMATCH:
        return Failure(
            f'its certificate is not for "{settings.servername}"',
            "give the name that it is for with --driver-opt servername=NAME",
            final=True,
            wrong_name=True,
        )
    if code == _EXPIRED:
        return Failure(
            "its certificate or its CA's has expired", "renew it; check the clock", final=True
        )
    if code == _NOT_YET:
        return Failure(
            "its certificate or its CA's is not valid yet", "check the clocks", final=True
        )
    words = error.verify_message.rstrip(".").lower()
    return Failure(
        f"its certificate is not signed by the CA in {settings.cacert} ({words})",
        "cacert has to be the CA that signed the daemon's certificate",
        final=True,
    )
