"""Who may ask for what: tokens, certificates, and rules by role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from support.kubernetes.resource import Resource
from support.kubernetes.status import Refusal, forbidden

ADMIN_GROUP = "system:masters"


@attrs.frozen(kw_only=True)
class Rule:
    """What a role allows, in the words of a Role's ``rules``."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...] = ()
    namespace: str = ""
    """The only namespace that it is for; empty for all."""

    @classmethod
    def read(cls, rule: Mapping[str, Any], namespace: str = "") -> Rule:
        """Take a rule as YAML or JSON has it."""
        return cls(
            verbs=tuple(rule["verbs"]),
            groups=tuple(rule["apiGroups"]),
            resources=tuple(rule["resources"]),
            names=tuple(rule.get("resourceNames", ())),
            namespace=namespace,
        )

    def allows(self, attempt: Attempt) -> bool:
        return (
            self.namespace in ("", attempt.namespace)
            and _in(attempt.verb, self.verbs)
            and _in(attempt.group, self.groups)
            and _in(attempt.target, self.resources)
            and (not self.names or attempt.name in self.names)
        )


def _in(word: str, words: Iterable[str]) -> bool:
    return any(known in ("*", word) for known in words)


@attrs.frozen(kw_only=True)
class Attempt:
    """What somebody wants to do, as the rules speak of it."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def group(self) -> str:
        return self.resource.group

    @property
    def target(self) -> str:
        plural = self.resource.plural
        return f"{plural}/{self.subresource}" if self.subresource else plural


@attrs.define(eq=False)
class User:
    """Somebody who may come."""

    name: str
    token: str = attrs.field(repr=False)
    rules: Sequence[Rule] = ()
    groups: tuple[str, ...] = ()
    expired: bool = False
    """Turn it, and the token is good for nothing any more."""

    def may(self, attempt: Attempt) -> bool:
        return ADMIN_GROUP in self.groups or any(rule.allows(attempt) for rule in self.rules)


ANONYMOUS = User("system:anonymous", "", groups=("system:unauthenticated",))


def refusal(user: User, attempt: Attempt) -> Refusal:
    """Say that a user may not do it."""
    where = (
        f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    )
    words = (
        f'User "{user.name}" cannot {attempt.verb} resource "{attempt.target}" '
        f'in API group "{attempt.group}" {where}'
    )
    return forbidden(attempt.resource, attempt.name, words)
