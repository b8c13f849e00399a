"""An image written as a directory in OCI layout: what makes it be found there."""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.errors import OutputError
from dockyard.session.oci_graph import UnreadableError, check_whole, parse_descriptor, root_of
from dockyard.session.oci_index import Name, put
from dockyard.session.oci_layout import OciLayout

_DESCRIPTOR = "containerimage.descriptor"
_NAMES = "image.name"


def finish_layout(layout: OciLayout, response: Mapping[str, str]) -> None:
    """Enter the image of a finished build into the directory's index.

    Args:
        layout: Where the daemon wrote it.
        response: What the exporters answered.

    Raises:
        OutputError: The daemon did not write all of it, or the index cannot be written.
    """
    import base64

    answer = response.get(_DESCRIPTOR, "")
    if not answer:
        raise OutputError(f"BuildKit reports success, but wrote no image to {layout.path}")
    try:
        descriptor = root_of(layout, parse_descriptor(base64.b64decode(answer, validate=True)))
    except (ValueError, UnreadableError) as error:
        raise OutputError(f"BuildKit wrote an image that makes no sense: {error}") from error
    check_whole(layout, descriptor)
    names = [Name.of_image(name) for name in response.get(_NAMES, "").split(",") if name]
    put(layout, descriptor, names or [Name(ref="latest")])
