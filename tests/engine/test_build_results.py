"""What a build leaves behind, by the rows of the feature table, on a real builder and registry."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from dockyard.building.run import open_builder, usable_nodes
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.plugin.manager import PluginManager
from dockyard.wire.codec import encode
from dockyard.wire.messages import BUILD_HISTORY_REQUEST
from support.actions_cache import actions_cache, make_token
from support.builder import container_builder
from support.buildkit_image import BuildkitImage
from support.cli import Cli
from support.engines import ScratchContext
from support.registry import Registry

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
PLAIN = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
SCAN = b"""\
echo '{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
"predicate": {"name": "ours"}}' > $BUILDKIT_SCAN_DESTINATION/x.spdx.json
"""
"""What an image runs that claims to know what is in another."""
WARNED = ('RUN ["/bin/busybox", \\', "", '"true"]')
"""Lines that have long been warned of: one of a command is empty."""


@pytest.fixture(scope="module")
def builder(
    engine_26: Engine, buildkit_image: BuildkitImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cli]:
    with container_builder(engine_26, buildkit_image, tmp_path_factory.mktemp("home")) as cli:
        yield cli


@pytest.fixture
def cli(builder: Cli, tmp_path: Path) -> Cli:
    """The builder, with nothing but its records shared between tests."""
    shared = {"BUILDX_CONFIG": str(builder.home / "docker/buildx")}
    home = tmp_path / "home"
    home.mkdir()
    return attrs.evolve(builder, home=home, variables={**builder.variables, **shared})


@pytest.fixture
def name(registry: Registry) -> str:
    return f"{registry.address}/results/{uuid4().hex[:8]}"


def stamp() -> str:
    """Make a step that leaves something else each time that it runs, and is no other test's."""
    return f'RUN ["/bin/busybox", "sh", "-c", "date +%s%N > /stamp; : {uuid4().hex}"]'


def get(name: str, path: str) -> Any:  # noqa: ANN401  # it is JSON
    """Ask the registry itself for something of a repository."""
    address, _, repository = name.partition("/")
    request = Request(f"http://{address}/v2/{repository}/{path}")
    request.add_header("Accept", f"{INDEX}, {MANIFEST}, {DOCKER}")
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def attested(name: str, tag: str = "latest") -> dict[str, Any]:
    """Give what is attested of an image in a registry: statements by the type of what they say."""
    found = {}
    for entry in get(name, f"manifests/{tag}").get("manifests", ()):
        if entry.get("annotations", {}).get("vnd.docker.reference.type") == "attestation-manifest":
            for layer in get(name, f"manifests/{entry['digest']}")["layers"]:
                kind = layer["annotations"]["in-toto.io/predicate-type"]
                found[kind] = get(name, f"blobs/{layer['digest']}")
    return found


def members_of(data: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return set(archive.getnames())


def with_variables(cli: Cli, **variables: str) -> Cli:
    return attrs.evolve(cli, variables={**cli.variables, **variables})


def records_of(cli: Cli) -> bytes:
    """Give all that the builder's daemon remembers of its builds."""
    environment = Environment.from_process(variables=cli.environment)
    workbench = Workbench.of(environment, PluginManager.of(environment))
    (node,) = usable_nodes(open_builder(workbench, cli.variables["BUILDX_BUILDER"]))
    client = workbench.links.get(node, Cancellation()).client
    records: list[bytes] = []
    ends: list[object] = []
    call = client.channel.start(
        "/moby.buildkit.v1.Control/ListenBuildHistory",
        on_message=lambda message: records.append(bytes(message)),
        on_end=ends.append,
    )
    call.send(encode(BUILD_HISTORY_REQUEST, {"EarlyExit": True}))
    call.half_close()
    client.loop.run(lambda: bool(ends), timeout=120)
    workbench.links.close(node)
    assert records
    assert ends == [None]
    return b"".join(records)


def metadata(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cli.home / "meta.json").read_text())
    return found


def test_rows_151_to_153_every_kind_of_output_at_once(
    cli: Cli, name: str, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    outputs = [
        *("out", "type=tar,dest=new/f.tar", "type=oci,dest=o.tar", "type=docker,dest=d.tar"),
        *("type=oci,tar=false,dest=layout", "type=registry", "type=cacheonly"),
    ]
    flags = [word for output in outputs for word in ("-o", output)]

    done = cli.ok("build", *flags, "-t", name, context)

    assert "No output specified" not in done.err
    assert (cli.home / "out/bin/busybox").is_file()
    members = {
        path: members_of((cli.home / path).read_bytes()) for path in ("new/f.tar", "o.tar", "d.tar")
    }
    assert "bin/busybox" in members["new/f.tar"]
    assert {"oci-layout", "index.json"} <= members["o.tar"]
    assert "manifest.json" in members["d.tar"]
    assert (cli.home / "layout/oci-layout").is_file()
    assert get(name, "manifests/latest")["mediaType"] == INDEX


def test_row_151_an_output_goes_to_stdout_and_a_daemons_own_is_asked_for(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()

    done = cli.start("build", "-o", "type=oci", context)
    data, _ = done.communicate(timeout=120)
    words = cli.refused("build", "-o", "type=bogus", context)

    assert done.returncode == 0
    assert "oci-layout" in members_of(data)
    assert words == 'failed to build: failed to solve: exporter "bogus" could not be found'


def test_row_152_a_push_is_in_the_registry(
    cli: Cli, name: str, scratch_context: ScratchContext
) -> None:
    plain = with_variables(cli, **PLAIN)

    plain.ok("build", "--push", "-t", f"{name}:1", "-t", f"{name}:2", scratch_context())

    assert get(name, "manifests/1") == get(name, "manifests/2")
    assert get(name, "manifests/1")["mediaType"] == DOCKER


def test_row_154_deleting_needs_consent_and_a_daemon_that_can(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    (cli.home / "out").mkdir()
    (cli.home / "out/old").write_text("old")
    context = scratch_context()

    elsewhere = cli.refused("build", "-o", "type=local,dest=.,mode=delete", context)
    consent = ("--allow", "buildx.local.delete")
    outputs = ("-o", "type=local,dest=out,mode=delete")
    too_old = cli.refused("build", *consent, *outputs, context)

    assert elsewhere.startswith(
        'failed to build: local output mode=delete for destination "." requires '
        "--allow=buildx.local.delete"
    )
    assert "requires a BuildKit daemon with multi-platform local export support" in too_old
    assert [place.name for place in (cli.home / "out").iterdir()] == ["old"]


def test_row_155_caches_in_a_registry_and_in_the_image(
    cli: Cli, name: str, scratch_context: ScratchContext, engine_26: Engine, tmp_path: Path
) -> None:
    context = scratch_context(stamp())
    caches = ("--cache-to", f"type=registry,ref={name}:cache,mode=max")
    inline = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")
    cli.ok("build", *caches, *inline, "--push", "-t", f"{name}:image", "-o", "first", context)
    other = Cli(home=tmp_path, docker_host=engine_26.host)

    for ref in ("cache", "image"):
        out = other.home / ref
        flags = ("--cache-from", f"{name}:{ref}", "-o", f"type=local,dest={out}")
        done = other.ok("build", *flags, "--cache-from", f"{name}:missing", context)
        assert f"importing cache manifest from {name}:{ref}" in done.err
        assert (out / "stamp").read_text() == (cli.home / "first/stamp").read_text()


def test_row_155_a_cache_in_a_registry_with_a_login(
    cli: Cli, registry_with_login: Registry, scratch_context: ScratchContext
) -> None:
    registry = registry_with_login
    login = b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    ref = f"{registry.address}/results/{uuid4().hex[:8]}"
    context = scratch_context()

    refused = cli.refused("build", "--cache-to", f"type=registry,ref={ref}", context)
    (cli.home / "docker").mkdir()
    (cli.home / "docker/config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": login}}})
    )
    cli.ok("build", "--cache-to", f"type=registry,ref={ref}", "--push", "-t", f"{ref}:1", context)
    done = cli.ok("build", "--cache-from", ref, "-o", "type=cacheonly", context)

    assert "401 Unauthorized" in refused
    assert f"importing cache manifest from {ref}" in done.err
    assert "ERROR" not in done.err


def test_row_155_a_cache_in_github_actions(
    cli: Cli, scratch_context: ScratchContext, reference_buildx: str
) -> None:
    context = scratch_context(stamp())
    token = make_token()
    with actions_cache() as service:
        found = {"ACTIONS_RUNTIME_TOKEN": token, "ACTIONS_CACHE_URL": service.url}
        actions = with_variables(cli, **found)

        to = ("--cache-to", "type=gha,mode=max", "--progress=rawjson")
        written = actions.ok("build", *to, "-o", "one", context)
        subprocess.run(
            [reference_buildx, "prune", "--all", "--force"],
            env=cli.environment,
            capture_output=True,
            timeout=120,
            check=True,
        )
        read = actions.ok("build", "--cache-from", "type=gha", "-o", "two", context)

    assert service.tokens == {token}
    assert (cli.home / "one/stamp").read_text() == (cli.home / "two/stamp").read_text(), read.err
    assert token not in written.err + read.err
    assert token.encode() not in records_of(actions)


def test_row_155_a_cache_of_a_service_that_is_not_there(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    secret = uuid4().hex
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": secret}
    s3 = "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:1,use_path_style=true"

    done = cli.ok("build", "--cache-from", "type=gha", "-o", "type=cacheonly", context)
    reading = with_variables(cli, **keys)
    read = reading.ok("build", "--cache-from", s3, "-o", "type=cacheonly", context)
    written = reading.run("build", "--cache-to", s3, "--progress=rawjson", context)

    assert "WARNING: cache import from gha skipped: it needs ACTIONS_RUNTIME_TOKEN" in done.err
    assert written.code == 1
    assert secret not in read.err + written.err
    kept = [path.read_bytes() for path in reading.home.parent.rglob("*") if path.is_file()]
    assert not any(secret.encode() in data for data in kept)


def test_row_156_what_is_attested_comes_with_the_image(
    cli: Cli, name: str, scratch_context: ScratchContext
) -> None:
    scanner = f"{name}/scanner"
    plain = with_variables(cli, **PLAIN)
    context = scratch_context("COPY scan /", 'CMD ["/bin/busybox", "sh", "/scan"]', scan=SCAN)
    plain.ok("build", "--push", "-t", scanner, context)

    flags = (f"--attest=type=sbom,generator={scanner}", "--provenance=mode=max")
    cli.ok("build", *flags, "--push", "-t", name, scratch_context())

    found = attested(name)
    assert set(found) == {"https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"}
    assert found["https://spdx.dev/Document"]["predicate"] == {"name": "ours"}
    assert "buildConfig" in found["https://slsa.dev/provenance/v0.2"]["predicate"]


def test_row_157_where_an_image_comes_from_is_attested_unless_switched_off(
    cli: Cli, name: str, scratch_context: ScratchContext
) -> None:
    context = scratch_context()

    cli.ok("build", "--push", "-t", f"{name}:default", context)
    cli.ok("build", "--push", "-t", f"{name}:flag", "--provenance=false", context)
    with_variables(cli, **PLAIN).ok("build", "--push", "-t", f"{name}:variable", context)
    wrong = with_variables(cli, BUILDX_NO_DEFAULT_ATTESTATIONS="perhaps")

    (statement,) = attested(name, "default").values()
    assert "buildConfig" not in statement["predicate"]
    assert attested(name, "flag") == attested(name, "variable") == {}
    assert "invalid BUILDX_NO_DEFAULT_ATTESTATIONS" in wrong.refused("build", context)


def test_row_158_annotations_stand_where_they_are_for(
    cli: Cli, name: str, scratch_context: ScratchContext
) -> None:
    given = ("a=1", "index:b=2", "manifest[linux/amd64],manifest-descriptor:c=3")
    other = "manifest[linux/arm64]:d=4"
    flags = [f"--annotation={value}" for value in (*given, other)]

    cli.ok("build", *flags, "--push", "-t", name, scratch_context())

    index = get(name, "manifests/latest")
    image = index["manifests"][0]
    assert index["annotations"] == {"b": "2"}
    assert image["annotations"] == {"c": "3"}
    assert get(name, f"manifests/{image['digest']}")["annotations"] == {"a": "1", "c": "3"}


def test_row_159_files_and_stdout_name_the_image(cli: Cli, scratch_context: ScratchContext) -> None:
    plain = with_variables(cli, **PLAIN)
    files = ("--iidfile", "id", "--metadata-file", "meta.json")

    done = plain.ok("build", "-q", *files, "-o", "type=image", "-t", "x:1", scratch_context())

    found = metadata(cli)
    assert done.out == found["containerimage.config.digest"] + "\n"
    assert (cli.home / "id").read_text() == found["containerimage.config.digest"]
    assert found["image.name"].endswith("x:1")
    assert done.err == ""


def test_row_160_the_metadata_tell_where_the_image_comes_from_and_what_was_warned_of(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context(*WARNED)
    files = ("--metadata-file", "meta.json", "-o", "type=image")

    done = cli.ok("build", *files, context)
    least = metadata(cli)
    most_wanted = {"BUILDX_METADATA_PROVENANCE": "max", "BUILDX_METADATA_WARNINGS": "1"}
    with_variables(cli, **most_wanted).ok("build", *files, context)
    most = metadata(cli)
    with_variables(cli, BUILDX_METADATA_PROVENANCE="disabled").ok("build", *files, context)
    none = metadata(cli)

    assert "resolving provenance for metadata file" in done.err
    assert least["buildx.build.provenance"]["invocation"]["parameters"]["frontend"]
    assert not {"buildConfig", "metadata"} & set(least["buildx.build.provenance"])
    assert {"buildConfig", "metadata"} <= set(most["buildx.build.provenance"])
    assert "buildx.build.provenance" not in none
    assert "buildx.build.warnings" not in least
    (warning,) = most["buildx.build.warnings"]
    assert b"continuation line" in b64decode(warning["short"])
    assert warning["sourceInfo"]["filename"] == "Dockerfile"
