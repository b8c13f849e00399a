"""Every example of docs/build.md is run as it stands, on a real builder, and does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.builder import container_builder
from support.buildkit_image import BuildkitImage
from support.cli import BIN, Cli
from support.registry import Registry
from support.ssh_agent import SshAgentProcess, copy_ssh_add, make_key
from support.website import make_repository, publish, served

PAGE = Path(__file__).resolve().parents[1] / "docs/build.md"
SECONDS = 120
SUBSTITUTES = {
    "registry.example/": "{registry}/",
    "app:": "{mark}:",
    "alpine:3.20": "{registry}/{base}-alpine:3.20",
    "https://git.example": "{website}",
    # The stand-in for the base image has it, and no package manager.
    "RUN apk add --no-cache openssh-client\n": "",
    # Without the network the image that looks for packages is one of ours.
    "--sbom true": "--attest type=sbom,generator={registry}/{base}-scanner",
}
"""What a reader's world has and a test's has not, and what stands for it here."""
TOO_OLD = {
    "--check": "unsupported request frontend.lint",
    "--resource": "resource limits (memory, cpu-quota) are not supported by the current BuildKit",
}
"""What Debian's BuildKit may refuse, and how."""
WITHOUT_GIT = "Build from git"
"""What Debian's BuildKit cannot do, but the one inside the engine can: it has git beside it."""
VARIABLES = {"API_KEY": "from a variable"}
FILES = {
    "project/hello.txt": "hello\n",
    "project/token.txt": "a token",
    "project/sub/Dockerfile": "FROM scratch\nCOPY Dockerfile /only-sub\n",
    "assets/logo.txt": "a logo",
}
ALPINE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY tools /
"""
SCANNER = """\
FROM scratch
COPY busybox /bin/sh
COPY scan /scan
CMD ["/bin/sh", "/scan"]
"""
SCAN = """\
echo '{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
"predicate": {"name": "packages"}}' > $BUILDKIT_SCAN_DESTINATION/x.spdx.json
"""
KINDS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " + (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


class Block(NamedTuple):
    """One fenced block: what stands behind its fence, and its text."""

    language: str
    text: str


class Section(NamedTuple):
    """One heading, and the blocks below it."""

    heading: str
    blocks: tuple[Block, ...]


class Ran(NamedTuple):
    """One example, and what it left on both outputs."""

    command: str
    out: str
    err: str


@attrs.frozen(kw_only=True)
class Stand:
    """All that the examples need around them."""

    cli: Cli
    website: Path
    """The folder of a website that builders reach."""
    values: Mapping[str, str]

    def fill(self, text: str) -> str:
        """Put what there is here in place of what a reader has, in one pass."""
        words = "|".join(re.escape(word) for word in SUBSTITUTES)
        return re.sub(words, lambda found: SUBSTITUTES[found[0]].format(**self.values), text)

    def get(self, name: str, kind: str, reference: str) -> Any:  # noqa: ANN401  # it is JSON
        """Ask the registry for something of an image that the page names."""
        address, _, repository = self.fill(f"{name}:").rstrip(":").partition("/")
        request = Request(f"http://{address}/v2/{repository}/{kind}/{reference}")
        request.add_header("Accept", KINDS)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)


@attrs.frozen(kw_only=True)
class Done:
    """A section whose examples were run, one after the other, in one directory."""

    stand: Stand
    folder: Path
    ran: tuple[Ran, ...]

    @property
    def shown(self) -> str:
        """All that was written to stderr."""
        return "".join(ran.err for ran in self.ran)

    def manifest(self, tag: str) -> Any:  # noqa: ANN401  # it is JSON
        return self.stand.get("registry.example/app", "manifests", tag)

    def has(self, *paths: str) -> None:
        for path in paths:
            assert (self.folder / path).exists(), path


def sections() -> Iterator[Section]:
    """Take the page apart."""
    text = PAGE.read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        heading, _, rest = part.partition("\n")
        found = re.findall(r"^```(\w*)\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
        yield Section(heading, tuple(Block(*each) for each in found))


FIRST, *SECTIONS = sections()


# --- what the examples need -----------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_stand(
    engine_26: Engine,
    docker_cli: str,
    busybox: Path,
    buildkit_image: BuildkitImage,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    base = f"example-{uuid4().hex[:8]}"
    (folder / "website").mkdir()
    (folder / "bin").mkdir()
    (folder / "bin/docker").symlink_to(docker_cli)
    with ExitStack() as stack:
        cli = stack.enter_context(container_builder(engine_26, buildkit_image, folder))
        agent = stack.enter_context(SshAgentProcess.running(folder))
        agent.add_key("agents")
        website = stack.enter_context(served(folder / "website"))
        stack.callback(remove_images, engine_26, base)
        path = os.pathsep.join([str(BIN), str(folder / "bin"), os.environ["PATH"]])
        variables = {"PATH": path, "SSH_AUTH_SOCK": str(agent.socket), **VARIABLES}
        made = Stand(
            cli=attrs.evolve(cli, variables={**cli.variables, **variables}),
            website=folder / "website",
            values={"registry": registry.address, "base": base, "website": website},
        )
        push(made, "alpine:3.20", busybox, folder / "alpine")
        push(made, f"registry.example/{base}-scanner", busybox, folder / "scanner")
        yield made


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    """The same, with a name for images that no other section has used."""
    mark = f"{shared_stand.values['base']}-{uuid4().hex[:8]}"
    return attrs.evolve(shared_stand, values={**shared_stand.values, "mark": mark})


def push(stand: Stand, name: str, busybox: Path, folder: Path) -> None:
    """Build one of the images that others begin with, and push it."""
    copy_ssh_add(folder / "tools")
    (folder / "busybox").write_bytes(busybox.read_bytes())
    (folder / "busybox").chmod(0o755)
    (folder / "scan").write_text(SCAN)
    (folder / "Dockerfile").write_text(SCANNER if "scanner" in name else ALPINE)
    stand.cli.ok("build", "--provenance=false", "--push", "-t", stand.fill(name), folder)


def remove_images(engine: Engine, base: str) -> None:
    """Remove what the examples have loaded."""
    ours = ("--filter", f"reference={base}-*", "--format", "{{.Repository}}:{{.Tag}}")
    listed = engine.docker("image", "ls", *ours).stdout
    if listed:
        engine.docker("image", "rm", "--force", *listed.split())


@pytest.fixture
def project(stand: Stand, tmp_path: Path) -> Path:
    """The directory in which the reader is."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "project"


# --- what the examples leave ----------------------------------------------------------------


def is_loaded(done: Done) -> None:
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.ran[-1].out)


def is_pushed(done: Done) -> None:
    assert done.manifest("1")["manifests"]


def has_arguments_and_labels(done: Done) -> None:
    name = done.stand.fill("app:3")
    found = run_shell(done.stand, done.folder, f"docker inspect {name}")
    assert json.loads(found.out)[0]["Config"]["Labels"] == {"owner": "me"}


def is_one_stage(done: Done) -> None:
    assert "RUN grep hello /hello.txt" in done.shown


def is_built_anew(done: Done) -> None:
    whole, some = done.ran
    assert runs(whole, "RUN echo")
    assert not runs(some, "RUN echo")
    assert runs(some, "RUN grep")


def runs(ran: Ran, words: str) -> bool:
    """Whether a step was not found in the cache."""
    step = re.search(rf"^(#\d+) \[.*\] {words}", ran.err, re.MULTILINE)
    assert step, ran.err
    return f"\n{step[1]} CACHED\n" not in ran.err


def has_secrets(done: Done) -> None:
    assert f" {len('a token')} /run/secrets/token\n" in done.shown
    assert f" {len(VARIABLES['API_KEY'])} /run/secrets/API_KEY\n" in done.shown
    assert VARIABLES["API_KEY"] not in done.shown


def has_keys(done: Done) -> None:
    agent, key = done.ran
    assert " agents (ED25519)\n" in agent.err
    assert "(ED25519)\n" in key.err
    assert " agents " not in key.err


def has_platforms(done: Done) -> None:
    found = {each["platform"]["architecture"] for each in done.manifest("2")["manifests"]}
    assert {"amd64", "arm64"} <= found


def has_cache_in_registry(done: Done) -> None:
    assert done.manifest("cache")
    assert f"importing cache manifest from {done.stand.fill('registry.example/app:cache')}" in (
        done.ran[-1].err
    )
    done.has("out/hello.txt")


def has_cache_elsewhere(done: Done) -> None:
    done.has("cache/index.json")
    for ran in (done.ran[1], done.ran[3]):
        assert "importing cache manifest from " in ran.err
    assert done.manifest("1")


def has_files(done: Done) -> None:
    done.has("out/program")
    with tarfile.open(done.folder / "out.tar") as archive:
        assert archive.getnames() == ["program"]


def has_archives(done: Done) -> None:
    for path, name in (("app-oci.tar", "index.json"), ("app.tar", "manifest.json")):
        with tarfile.open(done.folder / path) as archive:
            assert name in archive.getnames()


def has_several_results(done: Done) -> None:
    done.has("out/hello.txt", "app.tar")
    assert done.manifest("1")


def has_named_contexts(done: Done) -> None:
    done.has("layout/index.json", "out/logo.txt", "out/bin/busybox", "from-python/logo.txt")


def is_from_git(done: Done) -> None:
    done.has("whole/hello.txt", "part/only-sub")


def is_from_stdin(done: Done) -> None:
    done.has("archive/hello.txt", "dockerfile/hello.txt")


def is_attested(done: Done) -> None:
    found = [
        layer["annotations"]["in-toto.io/predicate-type"]
        for entry in done.manifest("1")["manifests"]
        if entry["platform"]["os"] == "unknown"
        for layer in done.manifest(entry["digest"])["layers"]
    ]
    assert "https://spdx.dev/Document" in found
    assert any(kind.startswith("https://slsa.dev/provenance/") for kind in found)


def is_annotated(done: Done) -> None:
    index = done.manifest("1")
    image = done.manifest(index["manifests"][0]["digest"])
    assert index["annotations"] == {"org.opencontainers.image.title": "hello"}
    assert image["annotations"] == {"org.opencontainers.image.vendor": "me"}


def has_ids(done: Done) -> None:
    metadata = json.loads((done.folder / "build.json").read_text())
    assert (done.folder / "id").read_text().startswith("sha256:")
    assert done.manifest(metadata["containerimage.digest"])
    assert done.ran[-1].err == ""


def is_asked(done: Done) -> None:
    assert "BUILD ARG" in done.ran[1].out
    assert "VERSION" in done.ran[1].out
    assert "RUN grep" not in done.shown


def is_limited(done: Done) -> None:
    alone, other = done.ran[:2]
    assert " 1: lo:" in alone.err
    assert not re.search(r" \d: (?!lo)\w+[@:]", alone.err)
    assert re.search(r"10\.0\.0\.9\s+db\.test\n", other.err)
    assert re.search(r"^#\d+ [\d.]+ 512$", other.err, re.MULTILINE)


def is_kept_progress(done: Done) -> None:
    assert "[internal] load build definition" in (done.folder / "build.log").read_text()
    lines = (done.folder / "build.jsonl").read_text().splitlines()
    assert any("vertexes" in json.loads(line) for line in lines)


def is_followed(done: Done) -> None:
    *lines, ref = done.ran[-1].out.splitlines()
    assert any(re.search(r"COPY hello.txt / (cached|done)$", line) for line in lines)
    assert re.fullmatch(r"[\w-]+/[\w-]+/\w+", ref)


def is_handled(done: Done) -> None:
    assert done.ran[-1].out == "7 no such thing\nDockerfile:2\n"


CHECKS: dict[str, Callable[[Done], None]] = {
    "Name the image and load it": is_loaded,
    "Push it": is_pushed,
    "Set build arguments and labels": has_arguments_and_labels,
    "Build one stage": is_one_stage,
    "Build anew": is_built_anew,
    "Use secrets": has_secrets,
    "Use ssh keys": has_keys,
    "Build for several platforms": has_platforms,
    "Keep the cache in a registry": has_cache_in_registry,
    "Keep the cache in a directory or in the image": has_cache_elsewhere,
    "Get files instead of an image": has_files,
    "Get the image as an archive": has_archives,
    "Have several results of one build": has_several_results,
    "Copy from other places": has_named_contexts,
    "Build from git": is_from_git,
    "Build from stdin": is_from_stdin,
    "Attest what is in an image and where it comes from": is_attested,
    "Annotate the image": is_annotated,
    "Keep the ids of the result": has_ids,
    "Ask before you build": is_asked,
    "Limit what steps can do and use": is_limited,
    "Choose how progress looks": is_kept_progress,
    "Follow a build in Python": is_followed,
    "Handle failures in Python": is_handled,
}


# --- running them ---------------------------------------------------------------------------


def run_shell(stand: Stand, folder: Path, command: str) -> Ran:
    """Run a command as a person types it."""
    return run(stand, folder, ["/bin/sh", "-c", command], command)


def run(stand: Stand, folder: Path, words: list[str], command: str) -> Ran:
    done = subprocess.run(
        words,
        env=stand.cli.environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        refusals = [said for flag, said in TOO_OLD.items() if f" {flag} " in command]
        assert any(said in done.stderr for said in refusals), (command, done.stderr)
    assert "Traceback" not in done.stderr
    return Ran(command, done.stdout, done.stderr)


def run_block(stand: Stand, folder: Path, block: Block) -> Iterator[Ran]:
    text = stand.fill(block.text)
    if block.language == "dockerfile":
        (folder / "Dockerfile").write_text(text)
    elif block.language == "python":
        yield run(stand, folder, [sys.executable, "-c", text], text)
    else:
        assert block.language == "console"
        first, *commands = re.split(r"^\$ ", text, flags=re.MULTILINE)
        assert not first
        for each in commands:
            command, _, printed = each.replace("\\\n", "").partition("\n")
            ran = run_shell(stand, folder, command)
            if printed:
                pattern = re.escape(printed.rstrip()).replace(r"\.\.\.", ".*")
                shown = re.sub(r" +$", "", ran.out.rstrip(), flags=re.MULTILINE)
                assert re.fullmatch(pattern, shown), (command, ran.out)
            yield ran


def on_the_engine(stand: Stand) -> Stand:
    variables = {**stand.cli.variables, "BUILDX_BUILDER": "default"}
    return attrs.evolve(stand, cli=attrs.evolve(stand.cli, variables=variables))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.heading)
def test_an_example_does_what_it_says(stand: Stand, project: Path, section: Section) -> None:
    if "ssh" in section.heading:
        make_key(project, "deploy").rename(project / "deploy_key")
    (dockerfile,) = FIRST.blocks
    assert list(run_block(stand, project, dockerfile)) == []
    if section.heading == WITHOUT_GIT:
        stand = on_the_engine(stand)
        make_repository(project)
        publish(project, stand.website / "hello.git")

    ran = tuple(one for block in section.blocks for one in run_block(stand, project, block))

    assert ran
    CHECKS[section.heading](Done(stand=stand, folder=project, ran=ran))


def test_every_section_of_the_page_has_examples_and_a_check() -> None:
    assert [section.heading for section in SECTIONS] == list(CHECKS)
    assert len(CHECKS) >= 20


def test_every_substitute_is_needed() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [word for word in (*SUBSTITUTES, *TOO_OLD) if word not in text] == []
