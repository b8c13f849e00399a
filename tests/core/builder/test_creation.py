"""Tests for wishes becoming records: what the command line's tests do not reach."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import attrs
import pytest

from dockyard.builder.creation import Change, Creation, Wish, undo, write
from dockyard.builder.store import Store
from dockyard.config import Environment
from dockyard.engine.context import DockerContexts
from dockyard.errors import BuilderError, EndpointError
from dockyard.plugin.discovery import DRIVERS, Offer
from dockyard.plugin.manager import PluginManager

HOST_NETWORK = "--allow-insecure-entitlement=network.host"


def creation(home: Path, *drivers: str, **variables: str) -> Creation:
    environment = Environment.from_process(variables={"HOME": str(home), **variables})
    offers = [
        Offer(
            name=name,
            group=DRIVERS,
            value=f"support.plugins.dockyard_{name}",
            distribution="x",
            version="1",
        )
        for name in drivers
    ]
    return Creation(
        environment, Store.of(environment), DockerContexts(environment), PluginManager(offers)
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / ".docker/contexts/meta" / sha256(b"ctx2").hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///two.sock"}}
    (folder / "meta.json").write_text(json.dumps({"Name": "ctx2", "Endpoints": endpoints}))
    return tmp_path


# --- engines as endpoints --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "variables", "stored"),
    [
        ("ctx2", {}, "ctx2"),
        ("default", {}, "unix:///var/run/docker.sock"),
        ("default", {"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1"),
        ("tcp://h", {}, "tcp://h:2375"),
        ("myctx", {}, "tcp://myctx:2375"),
        ("unix:///x.sock", {}, "unix:///x.sock"),
        ("ssh://me@h", {}, "ssh://me@h"),
        (None, {}, "unix:///var/run/docker.sock"),
        (None, {"DOCKER_HOST": "tcp://h:1"}, "tcp://h:1"),
        (None, {"DOCKER_CONTEXT": "ctx2"}, "ctx2"),
    ],
)
def test_an_engine_is_stored_as_buildx_stores_it(
    home: Path, argument: str | None, variables: dict[str, str], stored: str
) -> None:
    change = creation(home, "quay", **variables).create(Wish(name="a", endpoint=argument))

    assert change.after.nodes[0].endpoint == stored


def test_what_is_no_engine_is_refused_in_buildxs_words(home: Path) -> None:
    with pytest.raises(
        EndpointError,
        match="^failed to parse endpoint foo://x: invalid bind address format: foo://x$",
    ):
        creation(home, "quay").create(Wish(name="a", endpoint="foo://x"))


def test_certificates_from_the_environment_cannot_be_stored(home: Path) -> None:
    secured = creation(home, "quay", DOCKER_HOST="tcp://h:2376", DOCKER_TLS_VERIFY="1")

    with pytest.raises(
        BuilderError,
        match="^could not create a builder instance with TLS data loaded from environment. Please",
    ):
        secured.create(Wish(name="a"))

    assert secured.create(Wish(name="a", endpoint="ctx2")).after.nodes[0].endpoint == "ctx2"


# --- which driver ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "variables", "driver"),
    [
        (None, {}, "quay"),
        ("ctx2", {}, "quay"),
        ("stand://down/x", {}, "stand"),
        (None, {"STAND_HOST": "stand://down/x"}, "stand"),
        ("ctx2", {"STAND_HOST": "stand://down/x"}, "quay"),
    ],
)
def test_the_driver_is_the_one_that_fits_the_endpoint_best(
    home: Path, endpoint: str | None, variables: dict[str, str], driver: str
) -> None:
    made = creation(home, "stand", "quay", "kiosk", **variables)

    assert made.create(Wish(name="a", endpoint=endpoint)).after.driver == driver


# --- flags -----------------------------------------------------------------------------------


def test_a_daemon_in_the_hosts_network_may_lend_it_whatever_was_configured(home: Path) -> None:
    config = home / "my.toml"
    config.write_text('insecure-entitlements = ["network.host"]\n')
    made = creation(home, "quay")

    plain = made.create(Wish(name="a", endpoint="tcp://a", config=config))
    host = made.create(
        Wish(name="b", endpoint="tcp://b", config=config, options={"network": "host"})
    )

    assert plain.after.nodes[0].flags == ()
    assert host.after.nodes[0].flags == (HOST_NETWORK,)


# --- undoing ---------------------------------------------------------------------------------


def test_undoing_a_new_builder_removes_it(home: Path) -> None:
    made = creation(home, "quay")
    change = made.create(Wish(name="a", endpoint="tcp://a"))

    undo(made._store, change)

    with made._store.locked() as records:
        assert records.group("a") is None


def test_undoing_a_change_puts_the_whole_record_back(home: Path) -> None:
    made = creation(home, "quay")
    first = made.create(Wish(name="a", endpoint="tcp://a", options={"x": "1"}, flags=("--debug",)))
    change = made.create(Wish(name="a", node="a0", options={"y": "2"}))

    undo(made._store, change)

    with made._store.locked() as records:
        assert records.group("a") == first.after


def test_undoing_leaves_what_others_have_changed_since(home: Path) -> None:
    made = creation(home, "quay")
    change = made.create(Wish(name="a", endpoint="tcp://a"))
    later = made.create(Wish(name="a", append=True, endpoint="tcp://b"))

    undo(made._store, change)

    with made._store.locked() as records:
        assert records.group("a") == later.after


def test_a_planned_change_is_not_written_over_somebody_elses(home: Path) -> None:
    made = creation(home, "quay")
    made.create(Wish(name="a", endpoint="tcp://a"))
    with made._store.locked() as records:
        first = records.group("a")
    assert first is not None
    late = Change(before=first, after=attrs.evolve(first, name="A"), needs_restart=False)
    write(made._store, late)

    with pytest.raises(BuilderError, match='^builder "A" was changed by somebody else meanwhile$'):
        write(made._store, late)

    assert undo(made._store, late)
    assert not undo(made._store, late)
    with made._store.locked() as records:
        assert records.group("a") == first


def test_a_record_that_changes_while_it_is_planned_is_planned_anew(home: Path) -> None:
    made = creation(home, "quay")
    made.create(Wish(name="a", endpoint="tcp://first"))
    seen = []

    class Meddler(DockerContexts):
        """Adds a node from elsewhere the first time that an endpoint is looked at."""

        def resolve(self, name_or_host: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            seen.append(name_or_host)
            if len(seen) == 1:
                with made._store.locked() as records:
                    group = records.group("a")
                    assert group is not None
                    entry = attrs.evolve(group.nodes[0], name="a1", endpoint="tcp://b", source={})
                    records.save(group.with_node(entry))
            return super().resolve(name_or_host)

    meddled = Creation(made._environment, made._store, Meddler(made._environment), made._manager)
    change = meddled.create(Wish(name="a", append=True, endpoint="tcp://c"))

    assert [node.name for node in change.after.nodes] == ["a0", "a1", "a2"]
    assert len(seen) == 2
