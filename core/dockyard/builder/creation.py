"""Make a builder, or change one: a node added, changed or taken out.

The record is computed without the lock, because drivers have a say in it, and written only if
nobody changed it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.builder.daemon_config import configured_entitlements, load_config
from dockyard.builder.flags import with_default_flags
from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.name import RESERVED, check, check_new, random_name
from dockyard.config import Environment
from dockyard.driver import DriverType
from dockyard.engine.context import DEFAULT, DockerContexts
from dockyard.errors import BuilderError, EndpointError
from dockyard.platforms import Platform

if TYPE_CHECKING:
    from dockyard.builder.store import Records, Store
    from dockyard.plugin.manager import PluginManager

_TRIES = 10
_LONGEST_NAME = 255
"""Bytes, as builders and nodes are files and directories on disk."""

_TLS_REFUSAL = (
    "could not create a builder instance with TLS data loaded from environment. Please use "
    "`docker context create <context-name>` to create a context for current environment and then "
    "create a builder instance with context set to <context-name>"
)


class Wish(NamedTuple):
    """What a person wants a builder to be."""

    name: str = ""
    """Made up when empty."""
    driver: str = ""
    """Chosen when empty."""
    endpoint: str | None = None
    node: str = ""
    """The node to make or change; the next one when empty."""
    append: bool = False
    platforms: tuple[Platform, ...] = ()
    options: Mapping[str, str] = MappingProxyType({})
    flags: tuple[str, ...] = ()
    config: Path | None = None


class Change(NamedTuple):
    """What was written, and what had been there."""

    before: NodeGroup | None
    after: NodeGroup
    needs_restart: bool
    """Whether a node that may be running got settings that it takes up only when restarted."""


class Creation:
    """Carries wishes out."""

    def __init__(
        self,
        environment: Environment,
        store: Store,
        contexts: DockerContexts,
        manager: PluginManager,
    ) -> None:
        self._environment = environment
        self._store = store
        self._contexts = contexts
        self._manager = manager

    def create(self, wish: Wish) -> Change:
        """Write the builder that is wished for; no node of it is contacted.

        Raises:
            BuilderError: The wish does not fit what is there.
            InvalidNameError: A name breaks the rule for names.
            DriverNotFoundError: No installed plugin offers the driver.
            EndpointError: The endpoint is missing or malformed.
            InputError: The configuration file cannot be used.
            StoreError: The record cannot be read or written.
        """
        if wish.name == RESERVED:
            check_new(wish.name)
        if wish.append and not wish.name:
            raise BuilderError("append requires a builder name")
        config = self._config(wish)
        name = self._name(wish)
        return self._replace(name, lambda before: self._plan(wish, name, before, config))

    def leave(self, name: str, node: str) -> Change:
        """Take a node out of a builder's record; what the node is stays as it is.

        Raises:
            BuilderError: There is no such builder or node, or it is the last node.
        """
        if not name:
            raise BuilderError("leave requires instance name")
        if not node:
            raise BuilderError("leave requires node name")

        def plan(before: NodeGroup | None) -> Change:
            if before is None:
                raise BuilderError(f'failed to find instance "{name}" for leave')
            return Change(before=before, after=before.without_node(node), needs_restart=False)

        return self._replace(name, plan)

    def _replace(self, name: str, plan: Callable[[NodeGroup | None], Change]) -> Change:
        for _ in range(_TRIES):
            with self._store.locked() as records:
                before = records.group(name)
            change = plan(before)
            with self._store.locked() as records:
                if _is_same(records.group(name), before):
                    records.save(change.after)
                    return change
        raise BuilderError(f'builder "{name}" is being changed by others all the time')

    # --- the record -------------------------------------------------------------------------

    def _name(self, wish: Wish) -> str:
        if not wish.name:
            contexts = set(self._contexts.names())
            with self._store.locked() as records:
                return random_name(lambda name: name in contexts or _is_stored(records, name))
        _check_name(wish.name)
        if not wish.append and self._contexts.exists(wish.name):
            raise BuilderError(f'instance name "{wish.name}" already exists as context builder')
        return wish.name

    def _plan(
        self, wish: Wish, name: str, before: NodeGroup | None, config: Mapping[str, bytes]
    ) -> Change:
        if before is None and wish.append:
            raise BuilderError(f'failed to find instance "{name}" for append')
        if before is not None and not (wish.append or wish.node):
            raise BuilderError(
                f'existing instance for "{name}" but no append mode, '
                "specify the node name to make changes for existing instances"
            )
        declared = self._driver(wish, before)
        if before is not None and declared.name != before.driver:
            raise BuilderError(
                f'existing instance for "{name}" but has mismatched driver "{before.driver}"'
            )
        group = before or NodeGroup(name=check_new(name), driver=declared.name)
        node_name = _check_name(wish.node).lower() if wish.node else group.next_node_name()
        old = group.node(node_name)
        if before is not None and old is None and not wish.append:
            raise BuilderError(f"node {wish.node} not found, did you mean to append?")
        flags = self._flags(wish, declared, config)
        if old is None:
            entry = NodeEntry(
                name=node_name,
                endpoint=self._endpoint(wish.endpoint, declared, node_name, group.name),
                platforms=wish.platforms,
                options=wish.options,
                flags=flags or (),
                files=config,
            )
            return Change(before=before, after=group.with_node(entry), needs_restart=False)
        entry = self._changed(old, wish, declared, config, flags, group.name)
        restart = wish.endpoint is not None or bool(wish.options or config) or flags is not None
        return Change(before=before, after=group.with_node(entry), needs_restart=restart)

    def _changed(
        self,
        old: NodeEntry,
        wish: Wish,
        declared: DriverType,
        config: Mapping[str, bytes],
        flags: tuple[str, ...] | None,
        builder: str,
    ) -> NodeEntry:
        """Lay a wish over a node: endpoint, platforms and options are replaced where given."""
        endpoint = old.endpoint
        if wish.endpoint is not None:
            endpoint = self._endpoint(wish.endpoint, declared, old.name, builder)
        return evolve(
            old,
            endpoint=endpoint,
            platforms=wish.platforms or old.platforms,
            options=wish.options or old.options,
            flags=old.flags if flags is None else flags,
            files={**old.files, **config},
        )

    def _flags(
        self, wish: Wish, declared: DriverType, config: Mapping[str, bytes]
    ) -> tuple[str, ...] | None:
        if declared.flags_refusal:
            return wish.flags or None
        return with_default_flags(
            wish.flags,
            configured=configured_entitlements(config),
            host_network=wish.options.get("network") == "host",
        )

    def _config(self, wish: Wish) -> dict[str, bytes]:
        path = wish.config
        if path is None:
            path = self._environment.buildx / "buildkitd.default.toml"
            if not path.is_file():
                return {}
        here = self._environment.working_directory
        return load_config(here / path, working_directory=here)

    # --- the driver -------------------------------------------------------------------------

    def _driver(self, wish: Wish, before: NodeGroup | None) -> DriverType:
        """Give the driver that is wished for, that the builder has, or that fits best.

        Raises:
            DriverNotFoundError: Nothing installed offers it.
            BuilderError: Builders of it cannot be made, or of none that is installed.
        """
        name = wish.driver or (before.driver if before else "")
        if name:
            declared = self._manager.driver_type(name)
            if not declared.creatable:
                raise BuilderError(f'additional instances of driver "{name}" cannot be created')
            return declared
        candidates = [found for found in self._manager.driver_types() if found.creatable]
        if not candidates:
            raise BuilderError(
                "no installed driver can make builders", hint=self._manager.missing_hint(None)
            )
        for declared in candidates:
            variable = declared.endpoint_variable
            if wish.endpoint is None and variable and self._environment.get(variable):
                return declared
        return min(candidates, key=lambda declared: _priority(declared, wish.endpoint))

    def _endpoint(self, argument: str | None, declared: DriverType, node: str, builder: str) -> str:
        if declared.uses_engine:
            return self._engine_endpoint(argument)
        variables = self._environment.variables
        return self._manager.endpoint(
            declared.name, argument, variables, node_name=node, builder_name=builder
        )

    def _engine_endpoint(self, argument: str | None) -> str:
        """Give the endpoint to store for a docker context, an address, or nothing.

        A name stays a name, except ``default``, which means another engine tomorrow.
        """
        contexts = self._contexts
        if argument is None:
            if contexts.current().tls is not None and contexts.current_name == DEFAULT:
                raise BuilderError(_TLS_REFUSAL)
            return contexts.endpoint_key()
        if argument != DEFAULT and contexts.exists(argument):
            return argument
        try:
            return contexts.resolve(argument).host
        except EndpointError as error:
            raise EndpointError(
                f"failed to parse endpoint {argument}: invalid bind address format: {argument}",
                hint=error.hint,
            ) from error


def write(store: Store, change: Change) -> None:
    """Write a change that was planned, unless somebody has changed the builder since.

    Raises:
        BuilderError: Somebody has; nothing is written.
        StoreError: The record cannot be written.
    """
    with store.locked() as records:
        if not _is_same(records.group(change.after.name), change.before):
            raise BuilderError(
                f'builder "{change.after.name}" was changed by somebody else meanwhile',
                hint="nothing was changed now; look at it again: "
                f"dockyard inspect {change.after.name}",
            )
        records.save(change.after)


def undo(store: Store, change: Change) -> bool:
    """Put back what had been there; False when somebody has changed it since.

    Raises:
        StoreError: The record cannot be written.
    """
    with store.locked() as records:
        if records.group(change.after.name) != change.after:
            return False
        if change.before is None:
            records.remove(change.after.name)
        else:
            records.save(change.before)
    return True


def parse_driver_options(fields: Sequence[str]) -> dict[str, str]:
    """Turn ``key=value`` fields into driver options; the last of a key counts.

    Raises:
        BuilderError: A field has no ``=``, or nothing before it.
    """
    options = {}
    for text in fields:
        key, equals, value = text.partition("=")
        if not (equals and key):
            raise BuilderError(f'invalid value "{text}", expecting k=v')
        options[key] = value
    return options


def _check_name(name: str) -> str:
    """Give the name back when a builder or node may be made with it.

    Raises:
        InvalidNameError: It breaks the rule for names.
        BuilderError: It is too long.
    """
    if len(check(name)) > _LONGEST_NAME:
        raise BuilderError(
            f"name {name[:20]}... is too long: it has {len(name)} characters, "
            f"and may have {_LONGEST_NAME}"
        )
    return name


def _is_same(one: NodeGroup | None, other: NodeGroup | None) -> bool:
    """Tell whether two records are the same, down to the keys that we don't know."""
    if one is None or other is None:
        return one is other
    return one == other and one.source == other.source


def _is_stored(records: Records, name: str) -> bool:
    return records.group(name) is not None


def _priority(declared: DriverType, endpoint: str | None) -> int:
    """Tell who comes first: drivers that know the endpoint's form, then the others."""
    scheme = (endpoint or "").partition("://")[0] if "://" in (endpoint or "") else ""
    known = {form.scheme for form in declared.endpoints}
    fits = not known or scheme in known
    return declared.priority if fits else declared.fallback_priority
