"""What a finished build left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.events import VertexWarning


@frozen(kw_only=True, eq=False, repr=False)
class BuildResult(Value):
    """What a finished build left."""

    ref: str
    """``<builder>/<node>/<id>``, the name of the build's record; empty when it has none."""
    response: Mapping[str, str] = field(factory=dict)
    """What the exporters answered, in BuildKit's own keys."""
    warnings: tuple[VertexWarning, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the manifest or index; the image's id on a classic image store."""
        return self.response.get("containerimage.digest", "")

    @property
    def image_id(self) -> str:
        """What ``docker image ls`` calls the image; empty when none was made."""
        return self.response.get("containerimage.config.digest", "") or self.digest

    @property
    def names(self) -> tuple[str, ...]:
        """The image's names, in full."""
        return tuple(filter(None, self.response.get("image.name", "").split(",")))

    @property
    def metadata(self) -> dict[str, Any]:
        """The content of the metadata file: the answers, those that hold JSON taken apart."""
        values: dict[str, Any] = {
            key: _parsed(value) if key == _RESULT else _decoded(value)
            for key, value in self.response.items()
        }
        if self.ref:
            values["buildx.build.ref"] = self.ref
        return dict(sorted(values.items()))


_RESULT = "result.json"
_DEEPEST = 100
"""How deep JSON of a daemon may be nested, to be written again without harm."""


def _parsed(value: str | bytes) -> Any:  # noqa: ANN401  # it is whatever JSON the frontend sent
    """Give the JSON value that a text is, or the text itself."""
    import json

    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if _is_shallow(found, _DEEPEST) else value


def _decoded(value: str) -> Any:  # noqa: ANN401  # it is whatever JSON the daemon sent
    """Give the JSON object that a base64 text holds, or the text itself."""
    import base64

    try:
        decoded = _parsed(base64.b64decode(value, validate=True))
    except ValueError:
        return value
    if isinstance(decoded, dict) and decoded:
        return decoded
    if isinstance(decoded, list) and decoded and all(isinstance(item, dict) for item in decoded):
        return decoded
    return value


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in value)
