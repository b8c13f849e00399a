from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

import pytest

from dockyard.building.inputs.rego.files import PolicyFiles
from dockyard.building.inputs.rego.log import PolicyLog
from dockyard.building.inputs.rego.policy import Policies, Policy
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, Step
from dockyard.errors import CanceledError, InputError, PolicyError
from dockyard.events import StatusUpdate, VertexLog
from dockyard.platforms import Platform
from dockyard.session.policy import Decision, SourceCheck, Wanted

DIGEST = f"sha256:{'a' * 64}"
IMAGE = SourceCheck(
    "docker-image://docker.io/library/alpine:3", platform=Platform(os="linux", architecture="arm64")
)
LOCAL = SourceCheck("local://context")


class Shown:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.updates: list[StatusUpdate] = []

    def update(self, update: StatusUpdate, /) -> None:
        self.updates.append(update)

    def warn(self, text: str) -> NoReturn:
        raise AssertionError(text)

    def step(self, name: str) -> AbstractContextManager[Step]:
        raise AssertionError(name)

    @property
    def lines(self) -> list[str]:
        logs: list[VertexLog] = [log for update in self.updates for log in update.logs]
        return [log.data.decode().rstrip("\n") for log in logs]


@pytest.fixture
def shown() -> Shown:
    return Shown()


def policies(*texts: str, folder: Path, shown: Shown, level: str = "info") -> Policies:
    files = PolicyFiles(folder, folder)
    made = [Policy([("p.rego", text.encode())], files, level) for text in texts]
    request = BuildRequest(build_context=".", build_args={"X": "1"}, labels={"l": "2"}, target="t")
    log = PolicyLog(shown, ["p.rego"])
    return Policies(made, request, "Dockerfile", Platform(os="linux", architecture="amd64"), log)


def decide(
    text: str, check: SourceCheck, folder: Path, shown: Shown | None = None
) -> Decision | Wanted:
    rules = f"package docker\n{text}"
    return policies(rules, folder=folder, shown=shown or Shown()).decide(check, Cancellation())


def rule(condition: str) -> str:
    return f'decision := {{"allow": allow}}\ndefault allow := false\nallow if {{ {condition} }}\n'


def test_a_policy_allows_or_denies_with_messages(tmp_path: Path) -> None:
    text = 'decision := {"allow": input.local.name == "context", "deny_msg": {"b", "a", 1}}'

    assert decide(text, LOCAL, tmp_path) == Decision(allow=True)
    denied = decide(text, SourceCheck("local://dockerfile"), tmp_path)
    assert denied == Decision(allow=False, messages=("a", "b"))


def test_the_policy_of_the_documentation_works(tmp_path: Path, shown: Shown) -> None:
    page = Path(__file__).parents[5] / "docs/policies.md"
    text = page.read_text().split("```rego\n")[1].split("```")[0]
    made = policies(text, folder=tmp_path, shown=shown)
    config = b'{"config": {"Labels": {"org.example.team": "core"}}}'
    other = IMAGE._replace(identifier="docker-image://ghcr.io/a/b:1")

    assert made.decide(LOCAL, Cancellation()) == Decision(allow=True)
    assert isinstance(made.decide(IMAGE, Cancellation()), Wanted)
    known = IMAGE._replace(image={"Digest": DIGEST, "Config": config})
    assert made.decide(known, Cancellation()) == Decision(allow=True)
    denied = Decision(allow=False, messages=("ghcr.io/a/b:1 is not ours",))
    assert made.decide(other, Cancellation()) == denied


def test_what_is_not_allowed_is_denied(tmp_path: Path) -> None:
    assert decide("decision := {}", LOCAL, tmp_path) == Decision(allow=False)


def test_all_policies_have_to_allow(tmp_path: Path, shown: Shown) -> None:
    yes = 'package docker\ndecision := {"allow": true}'
    no = 'package docker\ndecision := {"allow": false, "deny_msg": ["no"]}'
    made = policies(yes, no, folder=tmp_path, shown=shown)

    assert made.decide(LOCAL, Cancellation()) == Decision(allow=False, messages=("no",))


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("input.image.labels.a", {"NoConfig": False}),
        ("input.image.checksum", {"NoConfig": False}),
        ("input.image.createdTime", {"NoConfig": False}),
        ("input.image.hasProvenance", {"NoConfig": True, "AttestationChain": True}),
        ("input.image.provenance.frontend", {"NoConfig": True, "AttestationChain": True}),
        ("count(input.image) > 1", {"NoConfig": False, "AttestationChain": True}),
    ],
)
def test_what_is_needed_is_asked_for(
    condition: str, wanted: dict[str, object], tmp_path: Path
) -> None:
    answer = decide(rule(condition), IMAGE, tmp_path)

    assert isinstance(answer, Wanted)
    asked = dict(answer.image or {})
    asked.pop("ResolveAttestations", None)
    assert asked == wanted


def test_what_is_known_already_is_asked_for_again(tmp_path: Path) -> None:
    known = IMAGE._replace(image={"Digest": DIGEST, "Config": b'{"config": {}}'})

    answer = decide(rule("input.image.provenance"), known, tmp_path)

    assert isinstance(answer, Wanted)
    assert answer.image is not None
    assert answer.image["NoConfig"] is False
    assert answer.image["AttestationChain"] is True


def test_git_and_http_are_asked_for_too(tmp_path: Path) -> None:
    git, http = SourceCheck("git://h/a.git#main"), SourceCheck("https://h/a")

    assert decide(rule("input.git.branch"), git, tmp_path) == Wanted(git={"ReturnObject": False})
    assert decide(rule("input.git.commit"), git, tmp_path) == Wanted(git={"ReturnObject": True})
    assert decide(rule("input.http.checksum"), http, tmp_path) == Wanted()


def test_a_name_that_is_refused_is_never_asked_about(tmp_path: Path) -> None:
    condition = 'input.image.repo == "busybox"; input.image.labels.a'

    assert decide(rule(condition), IMAGE, tmp_path) == Decision(allow=False)


def test_an_image_is_pinned(tmp_path: Path) -> None:
    answer = decide(rule(f'pin_image(input.image, "{DIGEST}")'), IMAGE, tmp_path)

    assert answer == Decision(
        allow=True,
        instead=f"docker-image://docker.io/library/alpine:3@{DIGEST}",
        attributes={"image.checksum": DIGEST},
    )
    pinned = IMAGE._replace(identifier=f"{IMAGE.identifier}@{DIGEST}")
    assert decide(rule(f'pin_image(input.image, "{DIGEST}")'), pinned, tmp_path) == Decision(
        allow=True
    )


def test_the_build_is_known_to_policies(tmp_path: Path) -> None:
    condition = (
        'input.env == {"args": {"X": "1"}, "labels": {"l": "2"}, "target": "t", '
        '"filename": "Dockerfile", "depth": 0}'
    )

    assert decide(rule(condition), LOCAL, tmp_path) == Decision(allow=True)


def test_files_are_imported_and_read(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/names.rego").write_text('package x\nok(n) if n in load_json("names.json")\n')
    (tmp_path / "names.json").write_text('["context"]')
    text = f"import data.lib.names\n{rule('names.ok(input.local.name)')}"

    assert decide(text, LOCAL, tmp_path) == Decision(allow=True)
    (tmp_path / "names.json").write_text("[")
    assert decide(text, LOCAL, tmp_path) == Decision(allow=False)
    (tmp_path / "lib/names.rego").unlink()
    with pytest.raises(InputError, match=r"import data.lib.names not found: there is no lib/names"):
        decide(text, LOCAL, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("decision := input.nope", "the rule data.docker.decision has no value"),
        ("decision := true", "the rule data.docker.decision gives no object"),
        ('decision := {"allow": "yes"}', "allow in data.docker.decision is no boolean"),
        ('decision := {"caps": {"x": true}}', 'unknown policy cap "x"'),
        ("decision := x\nx := decision", "p.rego:2: decision needs itself"),
        (
            rule("count([1 | input.local; a := numbers.range(1, 9999); a[_]; a[_]; a[_]]) > 0"),
            "the policy did not decide within 10 seconds",
        ),
    ],
)
def test_a_policy_that_does_not_decide_ends_the_build(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.building.inputs.rego.host._STEPS", 20_000)

    with pytest.raises(PolicyError) as caught:
        decide(text, LOCAL, tmp_path)

    assert str(caught.value) == f"failed to check policy for local://context: {words}"


SIGNED = IMAGE._replace(
    image={"AttestationChain": {"AttestationManifest": DIGEST, "SignatureManifests": [DIGEST]}}
)
HTTP = SourceCheck("https://h/x")


@pytest.mark.parametrize(
    ("condition", "check"),
    [
        ("input.image.signatures", SIGNED),
        ("not input.image.signatures", SIGNED),
        ("not docker_github_builder(input.image, input.image.repo)", SIGNED),
        ('not artifact_attestation(input.http, "x")', HTTP),
        ('not github_attestation(input.http, "x")', HTTP),
        ("not github_release_attestation(input.http)", HTTP),
        ('not verify_http_pgp_signature(input.http, "x", "y")', HTTP),
    ],
)
def test_what_cannot_be_verified_ends_the_build(
    condition: str, check: SourceCheck, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match="cannot be"):
        decide(rule(condition), check, tmp_path)


def test_the_proxy_is_asked_for_before_the_build(tmp_path: Path, shown: Shown) -> None:
    text = 'package docker\ndecision := {"caps": {"exec.proxy": input.env.capsRequest}}'
    made = policies(text, folder=tmp_path, shown=shown)

    assert made.wants_proxy(Cancellation())


def test_what_is_wrong_is_found_before_the_build(tmp_path: Path, shown: Shown) -> None:
    with pytest.raises(InputError, match="^failed to load policy: p.rego:2: "):
        policies("package docker\nx := {", folder=tmp_path, shown=shown)
    made = policies("package docker\n", folder=tmp_path, shown=shown)
    with pytest.raises(InputError, match="^failed to evaluate policy caps: the rule data.docker"):
        made.wants_proxy(Cancellation())


def test_a_cancel_ends_an_evaluation(tmp_path: Path) -> None:
    cancel = Cancellation()
    cancel.cancel()
    text = f"package docker\n{rule('count([1 | numbers.range(1, 5000)[_]]) > 0')}"

    with pytest.raises(CanceledError):
        policies(text, folder=tmp_path, shown=Shown()).decide(LOCAL, cancel)


def test_decisions_are_shown(tmp_path: Path, shown: Shown) -> None:
    text = 'decision := {"allow": false, "deny_msg": ["no"]} if { print("hi") }'

    decide(text, LOCAL, tmp_path, shown)

    assert shown.lines == [
        "checking policy for source local://context",
        "p.rego:2: hi",
        "policy decision for source local://context: DENY",
        " - no",
    ]
    assert shown.updates[0].vertexes[0].name == "loading policies p.rego"
    assert shown.updates[-1].vertexes[0].completed is not None


def test_the_level_says_how_much_is_shown(tmp_path: Path, shown: Shown) -> None:
    text = 'package docker\ndecision := {"allow": true}'

    policies(text, folder=tmp_path, shown=shown, level="warn").decide(LOCAL, Cancellation())
    assert shown.lines == []
    policies(text, folder=tmp_path, shown=shown, level="debug").decide(LOCAL, Cancellation())
    assert any(line.startswith('policy input: {"env":') for line in shown.lines)
