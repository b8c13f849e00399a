"""Single sign-on: tokens are shown until they are over, renewed then, and written back."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from dockyard_kubernetes.cluster import open_cluster
from dockyard_kubernetes.failure import ClusterUnreachableError, KubeconfigError
from support.api_peer import Api, Line, Request

SECRET = "s3cr3t-s3cr3t"


def token(seconds: float, name: str = "x") -> str:
    """Make a token that is over in so many seconds."""

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({})}.{part({'exp': time.time() + seconds, 'n': name})}.c2ln"


class Issuer:
    """Gives tokens."""

    def __init__(self, api: Api, *, tls: bool = False) -> None:
        self.url = api.serve(self._answer, tls=tls)
        self.new = token(3600, "new")
        self.refusal: dict[str, str] = {}
        self.wants_form = False
        self.asked: list[dict[str, list[str]]] = []

    def _answer(self, request: Request, line: Line) -> None:
        if request.target == "/.well-known/openid-configuration":
            line.json({"token_endpoint": f"{self.url}/token?a=b"})
            return
        assert request.target == "/token?a=b"
        form = parse_qs(request.body.decode())
        self.asked.append(form)
        if self.refusal or (self.wants_form and "client_id" not in form):
            line.json(self.refusal or {"error": "invalid_client"}, 400)
        else:
            line.json({"id_token": self.new, "refresh_token": "next", "expires_in": 3600})


def user(issuer: Issuer | None, **config: str) -> dict[str, Any]:
    whole = {
        "client-id": "me",
        "client-secret": SECRET,
        "refresh-token": "first",
        "idp-issuer-url": issuer.url if issuer else "",
        **config,
    }
    return {"auth-provider": {"name": "oidc", "config": whole}}


def echo(request: Request, line: Line) -> None:
    line.json({"authorization": request.headers["authorization"]})


def saved(api: Api) -> dict[str, str]:
    content = yaml.safe_load((api.folder / "kubeconfig").read_text())
    found: dict[str, str] = content["users"][0]["user"]["auth-provider"]["config"]
    return found


def test_a_good_token_is_shown_and_nobody_asked(api: Api) -> None:
    good = token(3600)
    issuer = Issuer(api)
    cluster = open_cluster(
        api.node(api.serve(echo, tls=True), user=user(issuer, **{"id-token": good}))
    )

    assert cluster.get("/x") == {"authorization": f"Bearer {good}"}

    assert not issuer.asked


@pytest.mark.parametrize("had", ["", "nonsense", "a.b.c", -60, 5])
@pytest.mark.parametrize("wants_form", [False, True], ids=["header", "form"])
def test_a_token_that_is_over_is_renewed_and_written_back(
    api: Api, had: str | int, wants_form: bool
) -> None:
    old = token(had) if isinstance(had, int) else had
    issuer = Issuer(api)
    issuer.wants_form = wants_form
    node = api.node(api.serve(echo, tls=True), user=user(issuer, **{"id-token": old}))
    path = api.folder / "kubeconfig"
    path.chmod(0o600)
    cluster = open_cluster(node)

    assert cluster.get("/x") == {"authorization": f"Bearer {issuer.new}"}
    assert cluster.get("/x") == {"authorization": f"Bearer {issuer.new}"}

    assert len(issuer.asked) == 1 + wants_form
    assert issuer.asked[-1]["refresh_token"] == ["first"]
    assert (saved(api)["id-token"], saved(api)["refresh-token"]) == (issuer.new, "next")
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(found.name for found in api.folder.iterdir()) == ["kubeconfig"]


def test_an_issuers_certificate_is_verified(api: Api, tmp_path: Path) -> None:
    issuer = Issuer(api, tls=True)
    data = base64.b64encode(api.authority.cert_pem.bytes()).decode()
    url = api.serve(echo, tls=True)
    trusting = user(issuer, **{"idp-certificate-authority-data": data})

    assert "Bearer" in open_cluster(api.node(url, user=trusting)).get("/x")["authorization"]
    with pytest.raises(ClusterUnreachableError, match="certificate is not accepted") as caught:
        open_cluster(api.node(url, user=user(issuer))).get("/x")

    assert "issuer of tokens" in str(caught.value)
    assert tmp_path == api.folder


def test_a_refused_token_is_renewed_once(api: Api) -> None:
    issuer = Issuer(api)
    refused: list[str] = []

    def refuse(request: Request, line: Line) -> None:
        refused.append(request.headers["authorization"])
        line.status(401, "Unauthorized", "Unauthorized")

    cluster = open_cluster(
        api.node(api.serve(refuse, tls=True), user=user(issuer, **{"id-token": token(3600)}))
    )
    for _ in range(2):
        with pytest.raises(Exception, match="Unauthorized"):
            cluster.get("/x")

    assert len(refused) == 3
    assert len(issuer.asked) == 1


def test_an_issuer_that_refuses_is_told_without_secrets(api: Api) -> None:
    issuer = Issuer(api)
    issuer.refusal = {"error": "invalid_grant", "error_description": "log in\nagain"}
    cluster = open_cluster(api.node(api.serve(echo, tls=True), user=user(issuer)))

    with pytest.raises(KubeconfigError, match="gives no new token: log in again$") as caught:
        cluster.get("/x")

    assert "log in again with the tool" in (caught.value.hint or "")
    assert SECRET not in str(caught.value)
    assert saved(api)["refresh-token"] == "first"


def test_a_token_that_cannot_be_renewed_is_told(api: Api) -> None:
    config = {"id-token": token(-60), "refresh-token": ""}
    cluster = open_cluster(api.node(api.serve(echo, tls=True), user=user(None, **config)))

    with pytest.raises(KubeconfigError, match="its token is over, and it has no idp-issuer-url"):
        cluster.get("/x")


def test_an_issuer_that_is_none_is_told(api: Api) -> None:
    url = api.serve(lambda _, line: line.answer(404, b"nothing here"))
    who = user(None, **{"idp-issuer-url": url})
    cluster = open_cluster(api.node(api.serve(echo, tls=True), user=who))

    with pytest.raises(KubeconfigError, match="does not say where it gives tokens"):
        cluster.get("/x")


def test_a_kubeconfig_that_cannot_be_written_is_no_reason_to_fail(api: Api) -> None:
    issuer = Issuer(api)
    cluster = open_cluster(api.node(api.serve(echo, tls=True), user=user(issuer)))
    (api.folder / "kubeconfig").unlink()

    assert cluster.get("/x") == {"authorization": f"Bearer {issuer.new}"}
