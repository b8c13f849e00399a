"""Certificates of the cluster, and the files by which clients find it."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from pathlib import Path

import trustme

from support.kubernetes.access import User


class Credentials:
    """The cluster's own authority."""

    def __init__(self) -> None:
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._server = self._authority.issue_cert(
            "127.0.0.1", "localhost", "kubernetes.default.svc", key_type=trustme.KeyType.ECDSA
        )

    @property
    def authority(self) -> bytes:
        """The certificate of the authority, as PEM."""
        return self._authority.cert_pem.bytes()

    def server_context(self) -> ssl.SSLContext:
        """Give what the server secures its connections with; clients may have certificates."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server.configure_cert(context)
        self._authority.configure_trust(context)
        return context

    def client_certificate(self, user: str, *groups: str) -> tuple[bytes, bytes]:
        """Give a certificate and its key, as PEM, by which a user is known."""
        made = self._authority.issue_cert(
            common_name=user,
            organization_name=groups[0] if groups else None,
            key_type=trustme.KeyType.ECDSA,
        )
        chain = b"".join(piece.bytes() for piece in made.cert_chain_pems)
        return chain, made.private_key_pem.bytes()


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    authority: bytes,
    user: User | None = None,
    certificate: tuple[bytes, bytes] | None = None,
    namespace: str = "",
    context: str = "double",
) -> Path:
    """Write a file by which clients find the server, and give its path."""
    cluster = {"server": server, "certificate-authority-data": b64encode(authority).decode()}
    who: dict[str, str] = {}
    if user is not None:
        who["token"] = user.token
    if certificate is not None:
        who["client-certificate-data"] = b64encode(certificate[0]).decode()
        who["client-key-data"] = b64encode(certificate[1]).decode()
    name = user.name if user is not None else "somebody"
    where = {"cluster": "double", "user": name}
    if namespace:
        where["namespace"] = namespace
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "double", "cluster": cluster}],
        "users": [{"name": name, "user": who}],
        "contexts": [{"name": context, "context": where}],
        "current-context": context,
    }
    path.write_text(json.dumps(content, indent=1))  # JSON is YAML
    path.chmod(0o600)
    return path


def set_namespace(source: str, path: Path, namespace: str) -> Path:
    """Copy a kubeconfig file (or the first of a list), with another namespace in its context."""
    import yaml

    first = Path(source.split(":")[0])
    content = yaml.safe_load(first.read_text())
    for entry in content["contexts"]:
        if entry["name"] == content["current-context"]:
            entry["context"]["namespace"] = namespace
    for group, keys in (
        ("clusters", ("certificate-authority",)),
        ("users", ("client-certificate", "client-key", "tokenFile")),
    ):
        for entry in content.get(group) or []:
            inner = entry["cluster" if group == "clusters" else "user"]
            for key in keys:
                if inner.get(key):  # relative to the file that says it
                    inner[key] = str(first.resolve().parent / inner[key])
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path
