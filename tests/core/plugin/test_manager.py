from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dockyard.cancellation import Cancellation
from dockyard.driver import (
    Booted,
    BuildRequest,
    BuildResult,
    Connection,
    DriverType,
    Feature,
    Image,
    LoadResult,
    Node,
    NodeFeatures,
    NodeStatus,
    PushResult,
    Removed,
    State,
    Step,
    Stopped,
    Support,
    Supported,
    Worker,
)
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.errors import (
    DriverConflictError,
    DriverError,
    DriverNotFoundError,
    EndpointError,
    HookNotAnsweredError,
    HookVersionError,
    PluginError,
    PluginLoadError,
)
from dockyard.events import StatusUpdate
from dockyard.plugin import hookimpl
from dockyard.plugin.discovery import find_offers
from dockyard.plugin.hookspecs import DriverHooks
from dockyard.plugin.manager import PluginManager
from support.distribution import install

SHED = """
from dockyard.driver import DriverType, Feature, Support, NodeStatus, State
from dockyard.plugin import hookimpl

@hookimpl
def dockyard_driver():
    return DriverType(
        name="{name}", summary="BuildKit in the shed",
        features={{
            Feature.TARBALL: Support.yes(),
            Feature.CACHE_EXPORT: Support.conditional("on sundays"),
        }},
    )

@hookimpl
def dockyard_status(node):
    return NodeStatus(state=State.RUNNING, reason="{name}")
"""


class Site:
    """A directory of hand-made distributions that is on the import path for one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def driver(self, name: str, source: str = SHED, *, distribution: str = "") -> None:
        module = f"{distribution or name}_driver".replace("-", "_")
        install(
            self.directory,
            distribution or f"dockyard-{name}",
            {"dockyard": {name: module}},
            **{module: source.format(name=name)},
        )

    def wrapper(self, name: str, source: str) -> None:
        install(self.directory, name, {"dockyard.wrapper": {name: name}}, **{name: source})

    def manager(self, *disabled: str) -> PluginManager:
        return PluginManager(find_offers(None, [str(self.directory)]), disabled=disabled)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.endswith("_driver") or name in {"audit", "broken"}:
            del sys.modules[name]


def node(driver: str) -> Node:
    return Node(name="n0", driver=driver, endpoint="anywhere")


class NoProgress:
    """A progress that nobody watches."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        raise NotImplementedError(name)

    def update(self, update: StatusUpdate, /) -> None:
        raise NotImplementedError(update)

    def warn(self, text: str) -> None:
        raise NotImplementedError(text)


def test_a_driver_is_found_by_its_entry_point(site: Site) -> None:
    site.driver("shed")

    manager = site.manager()

    assert manager.driver_names() == ("shed",)
    assert "shed_driver" not in sys.modules
    assert manager.driver_type("shed").summary == "BuildKit in the shed"
    assert manager.provider("shed") == "dockyard-shed 1.0"


def test_a_node_reaches_its_own_driver_and_no_other(site: Site) -> None:
    site.driver("shed")
    site.driver("barn")
    manager = site.manager()
    manager.driver_type("barn")

    answers = [manager.status(node(name)).reason for name in ("shed", "barn", "shed")]

    assert answers == ["shed", "barn", "shed"]


def test_an_unknown_driver_error_lists_what_is_installed(site: Site) -> None:
    site.driver("shed")

    with pytest.raises(DriverNotFoundError, match='failed to find driver "bogus"') as caught:
        site.manager().driver_type("bogus")

    assert "installed drivers: shed" in str(caught.value.hint)


def test_a_missing_driver_that_the_core_knows_to_exist_is_named_with_its_package(
    site: Site,
) -> None:
    with pytest.raises(DriverNotFoundError, match='failed to find driver "docker"') as caught:
        site.manager().driver_type("docker")

    assert caught.value.hint == "install it: pip install dockyard-docker"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('no shed here')", "RuntimeError: no shed here"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "it has no dockyard_driver hook"),
        (SHED.replace("{name}", "other"), "its entry point offers a driver named 'other'"),
        (SHED + "\n@hookimpl\ndef dockyard_statsu(node): pass\n", "dockyard_statsu"),
        (SHED + "\n@hookimpl\ndef dockyard_stop(nodde): pass\n", "nodde"),
        (SHED.replace("return DriverType(", "return dict("), "it has no dockyard_driver hook"),
    ],
)
def test_a_broken_plugin_is_reported_by_name_while_the_rest_works(
    site: Site, source: str, words: str
) -> None:
    module = source.replace("{{", "{").replace("}}", "}").replace("{name}", "broken")
    install(site.directory, "broken-dist", {"dockyard": {"broken": "broken"}}, broken=module)
    site.driver("shed")
    manager = site.manager()

    with pytest.raises(PluginLoadError, match="'broken' of broken-dist 1.0") as caught:
        manager.driver_type("broken")

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert manager.status(node("shed")).state is State.RUNNING
    assert [type(problem) for problem in manager.problems] == [PluginLoadError]
    assert [kind.name for kind in manager.driver_types()] == ["shed"]


def test_two_packages_that_offer_one_driver_are_both_named(site: Site) -> None:
    site.driver("shed")
    site.driver("shed", distribution="other-shed")
    site.driver("barn")
    manager = site.manager()

    with pytest.raises(
        DriverConflictError,
        match="driver 'shed' is provided by both dockyard-shed 1.0 and other-shed 1.0",
    ):
        manager.status(node("shed"))

    assert [str(problem) for problem in manager.problems] == [
        "driver 'shed' is provided by both dockyard-shed 1.0 and other-shed 1.0"
    ]
    assert manager.status(node("barn")).reason == "barn"


@pytest.mark.parametrize("switch", ["shed", "other-shed"])
def test_a_plugin_can_be_switched_off_by_its_name_or_its_distribution(
    site: Site, switch: str
) -> None:
    site.driver("shed", distribution="other-shed")
    manager = site.manager(switch)

    with pytest.raises(DriverNotFoundError, match='"shed"') as caught:
        manager.driver_type("shed")

    assert caught.value.hint == "driver shed is installed but switched off"
    assert manager.driver_names() == ()


def test_switching_one_of_two_rivals_off_ends_the_conflict(site: Site) -> None:
    site.driver("shed")
    site.driver("shed", distribution="other-shed")

    manager = site.manager("other-shed")

    assert manager.provider("shed") == "dockyard-shed 1.0"
    assert manager.problems == []
    assert manager.driver_type("shed").name == "shed"


@pytest.mark.parametrize("version", ["2.0", "0.9", "1.99"])
def test_a_plugin_for_another_hook_spec_is_refused_in_words(site: Site, version: str) -> None:
    site.driver("shed", SHED.replace('name="{name}"', f'name="{{name}}", hook_spec="{version}"'))

    with pytest.raises(HookVersionError, match=f"version {version}, this core has 1.0"):
        site.manager().driver_type("shed")


def test_a_hook_that_nobody_answers_is_an_error_that_names_driver_and_hook(site: Site) -> None:
    site.driver("shed")

    with pytest.raises(HookNotAnsweredError, match="'shed' does not answer the hook dockyard_stop"):
        site.manager().stop(node("shed"))


def test_an_answer_of_the_wrong_kind_is_an_error(site: Site) -> None:
    site.driver("shed", SHED + "\n@hookimpl\ndef dockyard_stop(node): return True\n")

    with pytest.raises(PluginError, match="dockyard_stop of driver 'shed' answered with bool"):
        site.manager().stop(node("shed"))


def test_without_an_answer_the_declaration_gives_the_features(site: Site) -> None:
    site.driver("shed")

    features = site.manager().features(node("shed"), ())

    assert features.has(Feature.TARBALL)
    assert not features.has(Feature.CACHE_EXPORT)
    assert features.support[Feature.CACHE_EXPORT].reason == "on sundays"
    assert not features.has(Feature.DIRECT_PUSH)


def test_without_an_answer_the_argument_is_the_endpoint(site: Site) -> None:
    site.driver("shed")
    manager = site.manager()

    assert manager.endpoint("shed", "shed://x", {}, node_name="n0", builder_name="b") == "shed://x"
    with pytest.raises(EndpointError, match="no shed endpoint provided"):
        manager.endpoint("shed", None, {}, node_name="n0", builder_name="b")


def test_a_broken_wrapper_is_a_problem_and_not_the_end(site: Site) -> None:
    site.driver("shed")
    site.wrapper("audit", "raise ValueError('no log')")
    manager = site.manager()

    assert manager.status(node("shed")).state is State.RUNNING
    assert [str(problem) for problem in manager.problems] == [
        "plugin 'audit' of audit 1.0 cannot be loaded: ValueError: no log"
    ]


class Everything:
    """A driver that answers every hook and remembers nothing."""

    @hookimpl
    def dockyard_driver(self) -> DriverType:
        return DriverType(name="all", summary="", features={})

    @hookimpl
    def dockyard_endpoint(self, argument: str | None) -> str:
        return f"<{argument}>"

    @hookimpl
    def dockyard_supports(self) -> Supported:
        return Supported(True)

    @hookimpl
    def dockyard_status(self) -> NodeStatus:
        return NodeStatus(state=State.STOPPED)

    @hookimpl
    def dockyard_bootstrap(self) -> Booted:
        return Booted()

    @hookimpl
    def dockyard_connect(self) -> Connection:
        return Connection(stream=None)  # type: ignore[arg-type]  # nobody reads it

    @hookimpl
    def dockyard_features(self, workers: Sequence[Worker]) -> NodeFeatures:
        return NodeFeatures(support={Feature.TARBALL: Support.yes(workers[0].id)})

    @hookimpl
    def dockyard_build(self, request: BuildRequest) -> BuildResult:
        return BuildResult(ref=request.target)

    @hookimpl
    def dockyard_load(self, image: Image, engine: EngineEndpoint) -> LoadResult:
        return LoadResult(image_id=image.image_id + engine.host)

    @hookimpl
    def dockyard_push(self, image: Image) -> PushResult:
        return PushResult(digest=image.image_id)

    @hookimpl
    def dockyard_stop(self) -> Stopped:
        return Stopped()

    @hookimpl
    def dockyard_rm(self, keep_state: bool) -> Removed:
        return Removed(what=(str(keep_state),))


AUDIT = """
from dockyard.plugin import hookimpl

seen = []

def wrapping(hook):
    def wrapper(node):
        seen.append(hook)
        return (yield)
    return hookimpl(wrapper=True)(wrapper)

for hook in "status bootstrap connect features build load push stop rm supports".split():
    globals()["dockyard_" + hook] = wrapping(hook)
"""


def everything(site: Site) -> PluginManager:
    install(
        site.directory,
        "everything",
        {"dockyard": {"all": "everything_driver:plugin"}},
        everything_driver="plugin = None",
    )
    import everything_driver  # type: ignore[import-not-found]  # made a moment ago

    everything_driver.plugin = Everything()
    return site.manager()


def test_every_hook_reaches_the_driver_and_every_wrapper_sees_it(site: Site) -> None:
    site.driver("shed")
    site.wrapper("audit", AUDIT)
    manager = everything(site)
    manager.driver_type("shed")
    here = node("all")
    cancel = Cancellation()
    engine = EngineEndpoint(host="unix:///x")

    assert manager.endpoint("all", "a", {}, node_name="n0", builder_name="b") == "<a>"
    assert manager.supports(here)
    assert manager.status(here).state is State.STOPPED
    assert manager.bootstrap(here, NoProgress(), cancel) == Booted()
    assert isinstance(manager.connect(here, cancel), Connection)
    assert manager.features(here, [Worker(id="w")]).support[Feature.TARBALL].reason == "w"
    request = BuildRequest(target="t")
    assert manager.build(here, request, NoProgress(), cancel).ref == "t"
    image = Image(image_id="id")
    assert manager.load(here, image, engine, NoProgress(), cancel).image_id == "idunix:///x"
    assert manager.push(here, image, NoProgress(), cancel).digest == "id"
    assert manager.stop(here) == Stopped()
    assert manager.remove(here, keep_state=True).what == ("True",)

    import audit  # type: ignore[import-not-found]  # made above

    assert " ".join(audit.seen) == (
        "supports status bootstrap connect features build load push stop rm"
    )


def test_a_wrapper_may_forbid(site: Site) -> None:
    site.driver("shed")
    site.wrapper(
        "audit",
        "from dockyard.errors import DriverError\n"
        "from dockyard.plugin import hookimpl\n"
        "@hookimpl(wrapper=True)\n"
        "def dockyard_status(node):\n"
        "    raise DriverError(f'{node.driver} is forbidden here')\n"
        "    yield\n",
    )

    with pytest.raises(DriverError, match="shed is forbidden here"):
        site.manager().status(node("shed"))


def test_the_cores_default_answers_only_where_the_driver_does_not(site: Site) -> None:
    class Defaults:
        @hookimpl(trylast=True)
        def dockyard_build(self) -> BuildResult:
            return BuildResult(ref="default")

    site.driver("shed")
    manager = everything(site)
    manager.register(Defaults())
    request = BuildRequest(target="own")

    refs = [
        manager.build(node(name), request, NoProgress(), Cancellation()).ref
        for name in ("shed", "all")
    ]

    assert refs == ["default", "own"]


def test_every_hook_has_a_wrapped_and_an_answering_test_here() -> None:
    hooks = {name for name in vars(DriverHooks) if name.startswith("dockyard_")}

    assert hooks == {name for name in vars(Everything) if name.startswith("dockyard_")}


def test_every_hook_says_what_it_is_for_and_shows_an_example() -> None:
    for name, hook in vars(DriverHooks).items():
        if name.startswith("dockyard_"):
            text = str(hook.__doc__)
            assert "Example::" in text, name
            assert f"def {name}(" in text, name
            assert "Returns:" in text, name


def test_every_hook_stands_in_the_documentation_with_its_arguments() -> None:
    import inspect

    page = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text(encoding="utf-8")
    for name, hook in vars(DriverHooks).items():
        if name.startswith("dockyard_"):
            arguments = ", ".join(list(inspect.signature(hook).parameters)[1:])
            cell = f"`{arguments}`" if arguments else ""
            assert f"| `{name}` | {cell} |".replace("|  |", "| |") in page, name
