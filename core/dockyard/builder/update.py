"""New settings for a builder that exists: the record with them, and what they change in it.

Nothing is contacted or written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from attrs import evolve

from dockyard.builder.daemon_config import configured_entitlements
from dockyard.builder.flags import NETWORK_HOST, with_default_flags
from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.driver import DriverType
from dockyard.driver.option import find_option, unknown_option
from dockyard.errors import BuilderError
from dockyard.platforms import Platform

_UNSET = "unset"
_HOST_NETWORK = f"--allow-insecure-entitlement={NETWORK_HOST}"


class Settings(NamedTuple):
    """What a person wants to be different; what is None stays as it is."""

    node: str = ""
    """The node to change; every node when empty."""
    options: Mapping[str, str] = MappingProxyType({})
    """Laid over those that the node has."""
    dropped: tuple[str, ...] = ()
    """The options to take away."""
    platforms: tuple[Platform, ...] | None = None
    flags: tuple[str, ...] | None = None
    files: Mapping[str, bytes] | None = None
    """The configuration, in place of all of the old one."""
    recreate: bool = False
    """Make nodes anew even when nothing about them changes."""


class Difference(NamedTuple):
    """One setting that becomes another."""

    name: str
    text: str
    """Name, old and new value, for a person. Without the values where those may be secrets."""
    recreates: bool = True
    """Whether the node has to be made anew for it."""
    loses_cache: bool = False


class NodeChange(NamedTuple):
    """What new settings mean for one node."""

    place: int
    """Among the builder's nodes."""
    name: str
    differences: tuple[Difference, ...]
    recreates: bool

    @property
    def loses_cache(self) -> bool:
        return any(difference.loses_cache for difference in self.differences)


def with_settings(group: NodeGroup, settings: Settings, declared: DriverType) -> NodeGroup:
    """Lay settings over a builder's nodes.

    Raises:
        BuilderError: There is no such node, an option is both set and dropped, or platforms are
            given to several nodes at a time.
        OptionError: An option to drop is neither set nor known.
    """
    chosen = _chosen(group, settings)
    _check_dropped(settings, chosen, declared)
    if not settings.node and len(chosen) > 1:
        if settings.platforms is not None:
            raise BuilderError(
                f"a platform belongs to one node, and {group.name} has {len(chosen)}",
                hint=f"choose one with --node: {', '.join(node.name for node in chosen)}",
            )
        changed = tuple(_changed(node, settings, declared) for node in chosen)
        return evolve(group, nodes=changed)
    return group.with_node(_changed(chosen[0], settings, declared))


def node_changes(
    before: NodeGroup, after: NodeGroup, settings: Settings, declared: DriverType
) -> list[NodeChange]:
    """Give what changes for which node; nodes that nothing changes for are left out."""
    anew = _chosen(before, settings) if settings.recreate else ()
    changes = []
    for place, (old, new) in enumerate(zip(before.nodes, after.nodes, strict=True)):
        found = tuple(differences(old, new, declared))
        is_anew = old in anew or any(difference.recreates for difference in found)
        if found or is_anew:
            changes.append(NodeChange(place, new.name, found, is_anew))
    return changes


def differences(old: NodeEntry, new: NodeEntry, declared: DriverType) -> list[Difference]:
    """Give what is different between two entries of a node."""
    found = [*_option_differences(old, new, declared)]
    if old.flags != new.flags:
        before, after = (" ".join(entry.flags) or _UNSET for entry in (old, new))
        found.append(Difference("flags", f"buildkitd flags {before} -> {after}"))
    found += (
        Difference(path, f"{path}: {_what_happened(path, old.files, new.files)}")
        for path in _unlike(old.files, new.files)
    )
    if old.platforms != new.platforms:
        before, after = (",".join(map(str, e.platforms)) or _UNSET for e in (old, new))
        found.append(Difference("platforms", f"platforms {before} -> {after}", recreates=False))
    return found


def _chosen(group: NodeGroup, settings: Settings) -> tuple[NodeEntry, ...]:
    if not group.nodes:
        raise BuilderError(f"builder {group.name} has no nodes")
    if not settings.node:
        return group.nodes
    entry = group.node(settings.node.lower())
    if entry is None:
        names = ", ".join(node.name for node in group.nodes)
        raise BuilderError(
            f'node "{settings.node}" not found for {group.name}', hint=f"its nodes: {names}"
        )
    return (entry,)


def _check_dropped(settings: Settings, chosen: tuple[NodeEntry, ...], declared: DriverType) -> None:
    for name in settings.dropped:
        if name in settings.options:
            raise BuilderError(f"driver option {name} is to be both set and removed")
        is_set = any(name in entry.options for entry in chosen)
        if not is_set and find_option(declared.options, name) is None:
            raise unknown_option(declared.name, declared.options, name, declared.option_refusal)


def _changed(old: NodeEntry, settings: Settings, declared: DriverType) -> NodeEntry:
    options = {**old.options, **settings.options}
    for name in settings.dropped:
        options.pop(name, None)
    files = old.files if settings.files is None else settings.files
    platforms = old.platforms if settings.platforms is None else settings.platforms
    changed = evolve(old, options=options, files=files, platforms=platforms)
    return evolve(changed, flags=_flags(old, changed, settings, declared))


def _flags(
    old: NodeEntry, changed: NodeEntry, settings: Settings, declared: DriverType
) -> tuple[str, ...]:
    """Give the flags: those that were typed, else the old ones, and what goes with the rest.

    The rest of the settings has a say in the flags that are added by themselves, so these are
    looked at again when it changed. Flags that nobody touched stay as they are.
    """
    typed = settings.flags
    if declared.flags_refusal:
        return old.flags if typed is None else typed
    if typed is None:
        is_like_before = (changed.options, changed.files) == (old.options, old.files)
        if is_like_before or _HOST_NETWORK in old.flags:
            return old.flags
        typed = old.flags
    return (
        with_default_flags(
            typed,
            configured=configured_entitlements(changed.files),
            host_network=changed.options.get("network") == "host",
        )
        or ()
    )


def _option_differences(
    old: NodeEntry, new: NodeEntry, declared: DriverType
) -> Iterator[Difference]:
    for name in _unlike(old.options, new.options):
        option = find_option(declared.options, name)
        if option is None or option.is_family:
            # An environment variable's value may be a password.
            text = f"{name}: {_what_happened(name, old.options, new.options)}"
            is_same = False
        else:
            before, after = (_shown(e.options.get(name, option.default)) for e in (old, new))
            is_same = before == after
            text = f"{name} {after}, as by default" if is_same else f"{name} {before} -> {after}"
        yield Difference(
            name,
            text,
            recreates=not is_same and (option is None or option.recreates),
            loses_cache=not is_same and option is not None and option.loses_cache,
        )


def _unlike(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def _what_happened(key: str, old: Mapping[str, object], new: Mapping[str, object]) -> str:
    if key not in old:
        return "added"
    return "changed" if key in new else "removed"


def _shown(value: str) -> str:
    if not value:
        return _UNSET
    return value if value.isprintable() and " " not in value else repr(value)
