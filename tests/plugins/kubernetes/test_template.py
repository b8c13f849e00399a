"""Pod templates: read from files, checked, merged, and kept from breaking the builder."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockyard.driver import Node
from dockyard.errors import OptionError
from dockyard.platforms import Platform
from dockyard_kubernetes import manifest, template

from .conftest import MakeNode

NodeWith = Callable[..., Node]


@pytest.fixture
def node_with(make_node: MakeNode, tmp_path: Path) -> NodeWith:
    """Make a node with a pod template of this text, and with more typed options."""

    def make(text: str, typed: dict[str, str] | None = None, **fields: Any) -> Node:  # noqa: ANN401  # fields of Node
        file = tmp_path / "pod.yaml"
        file.write_text(textwrap.dedent(text))
        return make_node({"template": str(file), **(typed or {})}, **fields)

    return make


def pod_of(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = manifest.workload(node)["spec"]["template"]
    return found


def refusal(node: Node) -> OptionError:
    with pytest.raises(OptionError) as caught:
        manifest.check(node)
    assert str(caught.value).startswith(f"pod template {node.options['template']}: ")
    return caught.value


def test_a_template_is_merged_into_the_pods_and_into_nothing_else(node_with: NodeWith) -> None:
    node = node_with(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          labels: {cost-centre: "42"}
          annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}
        spec:
          imagePullSecrets: [{name: login}]
          containers:
            - name: buildkitd
              resources: {limits: {cpu: 1.5, example.com/gpu: 1}}
              readinessProbe: {periodSeconds: 2}
        """,
        {"limits.memory": "1Gi"},
    )

    workload, pod = manifest.workload(node), pod_of(node)

    assert pod["metadata"] == {
        "labels": {"app": "k0", "cost-centre": "42"},
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    }
    assert workload["metadata"]["labels"] == {"app": "k0"}
    assert workload["spec"]["selector"] == {"matchLabels": {"app": "k0"}}
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {"limits": {"memory": "1Gi", "cpu": 1.5, "example.com/gpu": 1}}
    assert container["readinessProbe"]["periodSeconds"] == 2
    assert container["readinessProbe"]["exec"] == {"command": ["buildctl", "debug", "workers"]}
    assert pod["spec"]["imagePullSecrets"] == [{"name": "login"}]


def test_a_template_in_json_is_read_too(node_with: NodeWith) -> None:
    node = node_with(json.dumps({"spec": {"priorityClassName": "high"}}))

    assert pod_of(node)["spec"]["priorityClassName"] == "high"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spec: {containers: [{name: buildkitd, image: [a]}]}",
         "spec.containers[0].image: expected text, got a list"),
        ("spec: {containers: [{name: buildkitd, env: [{name: A, value: true}]}]}",
         "spec.containers[0].env[0].value: expected text, got true or false"),
        ("spec: {containers: {name: buildkitd}}",
         "spec.containers: expected a list, got a mapping"),
        ("spec: {containers: [buildkitd]}", "spec.containers[0]: expected a mapping, got text"),
        ("spec: {containers: [{image: x}]}",
         "spec.containers[0]: expected name, by which it is found"),
        ("spec: {hostNetwork: 'yes'}", "spec.hostNetwork: expected true or false, got text"),
        ("spec: {terminationGracePeriodSeconds: 1.5}",
         "spec.terminationGracePeriodSeconds: expected a whole number, got a number with a fr"),
        ("spec: {terminationGracePeriodSeconds: true}",
         "spec.terminationGracePeriodSeconds: expected a whole number, got true or false"),
        ("spec: {nodeSelector: {a: 1}}", "spec.nodeSelector.a: expected text, got a number"),
        ("spec: {nodeSelector: [a]}", "spec.nodeSelector: expected a mapping, got a list"),
        ("spec: {containers: [{name: buildkitd, resources: {limits: {cpu: [1]}}}]}",
         "spec.containers[0].resources.limits.cpu: expected a quantity, got a list"),
        ("spec: {tolerations: [{key: 5}]}", "spec.tolerations[0].key: expected text, got a number"),
        ("spec: [a]", "spec: expected a mapping, got a list"),
        ("[a]", "expected a mapping, got a list"),
        ("text", "expected a mapping, got text"),
        ("", "it is empty"),
        ("{}", "it is empty"),
        ("kind: Deployment\nspec: {}", "unknown field kind"),
        ("template: {}", "unknown field template"),
        ("metadata: {name: x}", "metadata.name belongs to the builder"),
        ("spec: {nodeSelector: {$patch: merge}}", "spec.nodeSelector.$patch: unknown directive"),
        ("spec: {$setElementOrder/containers: []}",
         "spec.$setElementOrder/containers: unknown directive"),
        ("spec: {containers: [{name: buildkitd, $patch: replace}]}",
         "spec.containers[0].$patch: replace has no meaning here"),
        ("spec: {tolerations: [{$patch: delete, key: a}]}",
         "spec.tolerations[0].$patch: delete has no meaning here"),
        ("spec: {weight: .inf}", None),
        ("spec: {weight: 1e999}", "spec.weight: the number is too large"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_named(
    text: str, words: str | None, node_with: NodeWith
) -> None:
    node = node_with(text)
    if words is None:
        assert pod_of(node)["spec"]["weight"] == ".inf"  # text, as everything that JSON has not
        return

    error = refusal(node)

    assert words in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spec: {", "line 1, column 8: "),
        ("spec:\n\t- a", "line 2, column 1: while scanning"),
        ("spec: {}\nspec: {}", 'line 2, column 1: the key "spec" is there twice'),
        ("1: {}", "line 1, column 1: a key has to be text; put it in quotes"),
        ("a: &x {b: 1}\nspec:\n  <<: *x", "line 3, column 3: merge keys (<<) are not supported"),
        ("spec: !!binary aGk=", "the tag binary is not supported"),
        ("spec: !!python/object:os.system {}", "is not supported"),
        ("spec: !!set {a}", "the tag set is not supported"),
        ("spec: {}\n---\nspec: {}", "expected a single document"),
        ("spec: *nothing", "found undefined alias"),
        (f"spec: {'1' * 50}", "the number is too long"),
        ("spec: \x01", "it is no YAML: unacceptable character"),
        ("spec: &x [*x]", "unconstructable recursive node"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(
    text: str, words: str, node_with: NodeWith
) -> None:
    error = refusal(node_with(text))

    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0644", 420),
        ("0o644", 420),
        ("0x10", 16),
        ("-5", -5),
        ("1.5", 1.5),
        ("true", True),
        ("~", None),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("'5'", "5"),
    ],
)
def test_values_are_what_they_are_for_kubernetes(
    written: str, value: object, tmp_path: Path
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(f"spec: {{x: {written}}}")

    assert template.read(str(file)) == {"spec": {"x": value}}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]" for at in range(1, levels)]
    return "spec:\n" + "\n".join(f"  {line}" for line in lines)


@pytest.mark.parametrize(
    "text",
    [bomb(30), f"spec: {'{a: ' * 60}1{'}' * 60}", "spec: {x: [" + "1, " * 10_500 + "]}"],
    ids=["aliases", "deep", "many"],
)
def test_a_template_that_would_grow_without_end_is_refused(text: str, node_with: NodeWith) -> None:
    assert "it is too large" in str(refusal(node_with(text)))


def test_a_template_nested_beyond_reason_is_refused(node_with: NodeWith) -> None:
    error = refusal(node_with("[" * 600))

    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "it is no file"),
        (lambda path: os.mkfifo(path), "it is no file"),
        (lambda path: path.write_bytes(b"#" * ((256 << 10) + 1)), "at most 256 KiB"),
        (lambda path: path.write_bytes(b"spec: \xff"), "it is not UTF-8 at byte 6"),
    ],
    ids=["missing", "folder", "pipe", "large", "binary"],
)
def test_a_file_that_cannot_be_read_is_named(
    make: Callable[[Path], object], words: str, tmp_path: Path, make_node: MakeNode
) -> None:
    make(tmp_path / "pod.yaml")

    error = refusal(make_node({"template": str(tmp_path / "pod.yaml")}))

    assert words in str(error)


def test_a_path_that_no_file_can_have_is_refused(make_node: MakeNode) -> None:
    with pytest.raises(OptionError, match=r"pod template '/a\\x00b': there is no such file"):
        manifest.check(make_node({"template": "/a\x00b"}))


CLAIM = {"persistent-volume-claim.requests.storage": "1Gi"}
ROOTLESS = {"rootless": "true"}
MINE = "spec.containers[name=buildkitd]"


@pytest.mark.parametrize(
    ("typed", "text", "words"),
    [
        ({}, "spec: {containers: [{name: buildkitd, command: [sh]}]}",
         f"{MINE}.command belongs to the builder"),
        ({}, "spec: {containers: [{name: buildkitd, args: [--trace]}]}",
         f"{MINE}.args belongs to the builder"),
        ({}, "spec: {containers: [{name: buildkitd, args: null}]}",
         f"{MINE}.args belongs to the builder"),
        ({}, "spec: {containers: [{name: buildkitd, readinessProbe: null}]}",
         f"{MINE}.readinessProbe must stay"),
        ({}, "spec: {containers: [{name: buildkitd, $patch: delete}, {name: bk}]}",
         "spec.containers: the container buildkitd must stay"),
        ({}, "spec: {containers: [{$patch: replace}, {name: bk}]}",
         "spec.containers: the container buildkitd must stay"),
        ({}, "spec: null", "spec.containers: the container buildkitd must stay"),
        ({}, "spec: {containers: null}", "spec.containers: the container buildkitd must stay"),
        ({}, "spec: {restartPolicy: Never}", "spec.restartPolicy: a builder's pods are always"),
        ({}, "metadata: {labels: {app: other}}", "metadata.labels.app belongs to the builder"),
        ({}, "metadata: null", "metadata.labels.app belongs to the builder"),
        ({"labels": "team=a"}, "metadata: {labels: {team: null}}",
         "metadata.labels.team belongs to the builder"),
        ({}, "metadata: {annotations: {buildx.docker.com/platform: x}}",
         "metadata.annotations.buildx.docker.com/platform belongs to the builder"),
        ({}, "metadata: {annotations: {dev.dockyard.node: x}}",
         "metadata.annotations.dev.dockyard.node belongs to the builder"),
        (CLAIM, "spec: {containers: [{name: buildkitd, volumeMounts: [{mountPath: "
         "/var/lib/buildkit, $patch: delete}]}]}",
         f"{MINE}.volumeMounts[mountPath=/var/lib/buildkit] belongs to the builder"),
        (ROOTLESS, "spec: {containers: [{name: buildkitd, volumeMounts: [{mountPath: "
         "/home/user/.local/share/buildkit, name: other}]}]}",
         f"{MINE}.volumeMounts[mountPath=/home/user/.local/share/buildkit] belongs"),
        (CLAIM, "spec: {containers: [{name: buildkitd, volumeMounts: [{mountPath: "
         "/var/lib//buildkit/, name: other}]}]}",
         f"{MINE}.volumeMounts[mountPath=/var/lib/buildkit] belongs to the builder"),
        ({}, "spec: {containers: [{name: buildkitd, restartPolicy: Never}]}",
         f"{MINE}.restartPolicy belongs to the builder"),
        (ROOTLESS, "spec: {volumes: [{name: buildkitd, $patch: delete}]}",
         "spec.volumes[name=buildkitd] belongs to the builder"),
        ({}, "spec: {volumes: [{name: config, configMap: {name: other}}]}",
         "spec.volumes[name=config] belongs to the builder"),
    ],
)  # fmt: skip
def test_what_would_break_the_builder_is_refused_by_name(
    typed: dict[str, str], text: str, words: str, node_with: NodeWith
) -> None:
    node = node_with(
        text,
        typed,
        flags=("--debug",),
        files={"buildkitd.toml": b"debug = true"},
        platforms=(Platform("linux", "amd64"),),
    )

    error = refusal(node)

    assert words in str(error)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({}, "spec: {restartPolicy: Always}"),
        ({}, "metadata: {labels: {app: k0}}"),
        ({}, "spec: {containers: [{name: buildkitd, livenessProbe: null, image: mine}]}"),
        ({}, "spec: {containers: [{name: side, image: x, command: [sleep], args: [inf]}]}"),
        (ROOTLESS, "spec: {volumes: [{name: buildkitd, emptyDir: {sizeLimit: 50Gi}}]}"),
        (ROOTLESS, "spec: {volumes: [{name: buildkitd, $retainKeys: [name, hostPath], "
         "hostPath: {path: /x}}]}"),
        ({}, "spec: {volumes: [{name: cache, hostPath: {path: /x}}], containers: [{name: "
         "buildkitd, volumeMounts: [{name: cache, mountPath: /var/lib/buildkit}]}]}"),
        ({"tolerations": "key=a,operator=Exists"}, "spec: {tolerations: [{key: b}]}"),
    ],
)  # fmt: skip
def test_what_leaves_the_builder_whole_is_taken(
    typed: dict[str, str], text: str, node_with: NodeWith
) -> None:
    manifest.check(node_with(text, typed))


ROOT = Path(__file__).resolve().parents[3]
PAGES = (ROOT / "docs" / "kubernetes.md", ROOT / "plugins" / "kubernetes" / "README.md")
EXAMPLES = [
    text
    for page in PAGES
    for text in re.findall(
        r"<!-- template -->\n```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
]


def test_the_documentation_has_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_template_in_the_documentation_is_one(text: str, node_with: NodeWith) -> None:
    manifest.check(node_with(text, files={"buildkitd.toml": b""}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "spec",
                    "metadata",
                    "containers",
                    "env",
                    "$patch",
                    "$retainKeys",
                    "volumes",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def workload_or_error(node: Node) -> dict[str, Any] | OptionError:
    try:
        return manifest.workload(node)
    except OptionError as error:
        return error


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(VALUES)
def test_whatever_stands_in_the_file_is_taken_or_refused_in_one_line(
    node_with: NodeWith, value: object
) -> None:
    node = node_with(json.dumps(value))

    outcome = workload_or_error(node)

    if isinstance(outcome, OptionError):
        assert re.fullmatch(r"pod template \S+: [^\n]+", str(outcome))
    else:
        (container, *_) = outcome["spec"]["template"]["spec"]["containers"]
        assert container["name"] == "buildkitd"


def test_the_workload_needs_the_file_only_when_it_is_made(
    node_with: NodeWith, tmp_path: Path
) -> None:
    node = node_with("spec: {priorityClassName: high}")
    manifest.check(node)
    (tmp_path / "pod.yaml").unlink()

    error = refusal(node)

    assert error.hint is not None
    assert "template=PATH" in error.hint
    assert manifest.workload_name(node) == "k0"
    assert manifest.selector(node) == {"app": "k0"}
