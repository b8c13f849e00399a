"""Push to and pull from registries, with and without a login, on real engines."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli
from support.engines import ScratchContext
from support.registry import Registry

CliFor = Callable[[str], Cli]
GiveLogin = Callable[[Cli, Registry], None]

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


@pytest.fixture
def cli(engine: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine.host)


@pytest.fixture
def repository() -> str:
    return f"dockyard/{uuid4().hex[:8]}"


def digest_in(registry: Registry, repository: str, tag: str) -> str:
    """Ask the registry itself."""
    request = Request(f"http://{registry.address}/v2/{repository}/manifests/{tag}", method="HEAD")
    request.add_header("Accept", ", ".join(MANIFESTS))
    if registry.user:
        request.add_header("Authorization", f"Basic {basic(registry.user, registry.password)}")
    with urlopen(request, timeout=60) as answer:
        digest: str = answer.headers["Docker-Content-Digest"]
        return digest


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def configure(cli: Cli, config: dict[str, object]) -> None:
    (cli.home / "docker").mkdir(exist_ok=True)
    (cli.home / "docker" / "config.json").write_text(json.dumps(config))


def by_config(cli: Cli, registry: Registry) -> None:
    """Log in as ``docker login`` does without a helper."""
    login = {"auth": basic(registry.user, registry.password)}
    configure(cli, {"auths": {registry.address: login}})


def by_helper(cli: Cli, registry: Registry) -> None:
    """Log in by a helper that notes what it was asked."""
    programs = cli.home / "bin"
    programs.mkdir()
    answer = {"ServerURL": "", "Username": registry.user, "Secret": registry.password}
    helper = programs / "docker-credential-test"
    helper.write_text(f"#!/bin/sh\necho $1 $(cat) >> $HOME/asked\necho '{json.dumps(answer)}'\n")
    helper.chmod(0o755)
    configure(cli, {"credHelpers": {registry.address: "test"}})
    cli.variables["PATH"] = f"{programs}:{os.environ['PATH']}"


def push(cli: Cli, *arguments: object) -> str:
    """Build and push; give the digest in the metadata."""
    cli.ok("build", "--push", "--metadata-file", "meta.json", *map(str, arguments))
    metadata = json.loads((cli.home / "meta.json").read_text())
    digest: str = metadata["containerimage.digest"]
    return digest


def test_row_152_the_digest_in_the_metadata_is_the_registrys(
    cli: Cli, registry: Registry, repository: str, scratch_context: ScratchContext
) -> None:
    name = f"{registry.address}/{repository}:one"

    digest = push(cli, "-t", name, scratch_context())

    assert digest == digest_in(registry, repository, "one")


def test_row_152_every_tag_is_pushed(
    cli: Cli, registry: Registry, repository: str, scratch_context: ScratchContext
) -> None:
    names = [f"{registry.address}/{repository}:{tag}" for tag in ("one", "two")]

    push(cli, *(word for name in names for word in ("-t", name)), scratch_context())

    assert digest_in(registry, repository, "one") == digest_in(registry, repository, "two")


def test_load_and_push_together(
    cli: Cli, engine: Engine, registry: Registry, repository: str, scratch_context: ScratchContext
) -> None:
    name = f"{registry.address}/{repository}:one"

    digest = push(cli, "--load", "-t", name, scratch_context())

    assert digest == digest_in(registry, repository, "one")
    assert engine.docker("inspect", "--format", "{{.Id}}", name).stdout.startswith("sha256:")


@pytest.mark.parametrize("give_login", [by_config, by_helper])
def test_a_push_with_a_login(
    cli: Cli,
    registry_with_login: Registry,
    repository: str,
    scratch_context: ScratchContext,
    give_login: GiveLogin,
) -> None:
    registry = registry_with_login
    give_login(cli, registry)
    name = f"{registry.address}/{repository}:one"

    digest = push(cli, "-t", name, scratch_context())

    assert digest == digest_in(registry, repository, "one")
    if give_login is by_helper:
        asked = (cli.home / "asked").read_text().splitlines()
        assert set(asked) == {f"get {registry.address}"}
        assert len(asked) == 1  # once a build is enough


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_push_that_the_registry_refuses(
    cli: Cli,
    registry_with_login: Registry,
    repository: str,
    scratch_context: ScratchContext,
    password: str | None,
) -> None:
    registry = registry_with_login
    if password is not None:
        by_config(cli, attrs.evolve(registry, password=password))
    name = f"{registry.address}/{repository}:one"

    message = cli.refused("build", "--push", "-t", name, scratch_context())

    assert message.startswith("failed to build: ")
    assert len(message.splitlines()) <= 2
    words = ("no basic auth credentials", "unauthorized", "authentication required", "401")
    assert any(word in message for word in words)
    assert "wrong" not in message


def test_a_push_to_nowhere(cli: Cli, repository: str, scratch_context: ScratchContext) -> None:
    message = cli.refused(
        "build", "--push", "-t", f"127.0.0.1:1/{repository}:one", scratch_context()
    )

    assert "connection refused" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("give_login", [by_config, by_helper])
def test_a_private_base_image(
    cli: Cli,
    registry_with_login: Registry,
    repository: str,
    scratch_context: ScratchContext,
    give_login: GiveLogin,
) -> None:
    registry = registry_with_login
    give_login(cli, registry)
    name = f"{registry.address}/{repository}:base"
    push(cli, "-t", name, scratch_context())
    dockerfile = f'FROM {name}\nRUN ["/bin/busybox", "echo", "it came"]\n'.encode()

    done = cli.ok("build", "--pull", "--no-cache", "-", stdin=dockerfile)

    assert "it came" in done.err
    assert f"[auth] sharing credentials for {registry.address}" in done.err


def test_a_private_base_image_without_a_login(
    cli: Cli, registry_with_login: Registry, repository: str
) -> None:
    name = f"{registry_with_login.address}/{repository}:base"

    message = cli.refused("build", "-", stdin=f"FROM {name}\n".encode())

    assert message.startswith("failed to build: failed to solve: ")
    assert "401" in message or "authorization failed" in message or "no basic auth" in message
    assert len(message.splitlines()) == 1


# --- tokens ------------------------------------------------------------------------------------


class TokenRegistry:
    """A registry with one image, which wants a bearer token from its own token server."""

    def __init__(self) -> None:
        self.logins: list[tuple[str, str]] = []
        """The user and password of each request for a token."""
        self.password = "harbour"
        layer = b"\0" * 1024  # an archive with nothing in it
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": {"from": "tokens"}},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
                "history": [{"created_by": "a test"}],
            }
        ).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFESTS[0],
                "config": descriptor("container.image.v1+json", config),
                "layers": [descriptor("image.rootfs.diff.tar", layer)],
            }
        ).encode()
        self.blobs = {digest_of(blob): blob for blob in (layer, config)}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self.server.server_port}"

    def token(self, user: str, password: str) -> str | None:
        self.logins.append((user, password))
        return "the-token" if password == self.password else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS: no, but in HTTP
                    self.connection.recv(1 << 16)
                    self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                else:
                    super().handle()

            def do_GET(self) -> None:  # http.server's name
                if urlsplit(self.path).path == "/token":
                    self.answer(405, b"")
                elif self.headers.get("Authorization") != "Bearer the-token":
                    challenge = (
                        f'Bearer realm="http://{registry.address}/token",service="yard",'
                        'scope="repository:base:pull"'
                    )
                    self.answer(401, b"", **{"WWW-Authenticate": challenge})
                else:
                    self.give(urlsplit(self.path).path)

            def do_HEAD(self) -> None:  # http.server's name
                self.do_GET()

            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in parse_qs(body).items()}
                token = registry.token(form.get("username", ""), form.get("password", ""))
                if token is None:
                    self.answer(403, json.dumps({"details": "incorrect password"}).encode())
                else:
                    content = {"access_token": token, "expires_in": 300, "scope": form["scope"]}
                    self.answer(200, json.dumps(content).encode())

            def give(self, path: str) -> None:
                if "/manifests/" in path:
                    digest = {"Docker-Content-Digest": digest_of(registry.manifest)}
                    self.answer(200, registry.manifest, MANIFESTS[0], **digest)
                elif (blob := registry.blobs.get(path.rpartition("/")[2])) is not None:
                    self.answer(200, blob)
                else:
                    self.answer(200 if path == "/v2/" else 404, b"")

            def answer(
                self, status: int, body: bytes, kind: str = "application/json", **headers: str
            ) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Type": kind}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        return Handler


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(kind: str, data: bytes) -> dict[str, object]:
    media_type = f"application/vnd.docker.{kind}"
    return {"mediaType": media_type, "size": len(data), "digest": digest_of(data)}


@pytest.fixture
def token_registry() -> Iterator[TokenRegistry]:
    registry = TokenRegistry()
    thread = threading.Thread(target=registry.server.serve_forever)
    thread.start()
    yield registry
    registry.server.shutdown()
    thread.join()
    registry.server.server_close()


def test_a_token_is_fetched_here_and_the_password_stays_here(
    cli: Cli, engine: Engine, token_registry: TokenRegistry
) -> None:
    login = {"auth": basic("dockyard", token_registry.password)}
    configure(cli, {"auths": {token_registry.address: login}})
    tag = f"dockyard-test-{uuid4().hex[:8]}:1"
    name = f"{token_registry.address}/base"

    done = cli.ok("build", "--pull", "-t", tag, "-", stdin=f"FROM {name}\nLABEL a=b\n".encode())

    labels = engine.docker("inspect", "--format", "{{.Config.Labels.from}}", tag).stdout
    assert labels.strip() == "tokens"
    assert set(token_registry.logins) == {("dockyard", token_registry.password)}
    if not engine.version.startswith("20.10"):
        assert f"[auth] base:pull token for {token_registry.address}" in done.err
    assert token_registry.password not in done.err


def test_a_token_that_is_refused_ends_in_one_line(cli: Cli, token_registry: TokenRegistry) -> None:
    configure(cli, {"auths": {token_registry.address: {"auth": basic("dockyard", "wrong")}}})

    message = cli.refused("build", "-", stdin=f"FROM {token_registry.address}/base\n".encode())

    assert message.startswith("failed to build: failed to solve: ")
    assert "incorrect password" in message or "403" in message
    assert "wrong" not in message
    assert len(message.splitlines()) == 1
