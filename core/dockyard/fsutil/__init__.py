"""Files over BuildKit's transfer protocol: what is sent of a directory, and what is received.

Reading order: ``stat`` (what one entry looks like on the wire), ``tree`` (reaching files without
leaving a directory), ``glob`` and ``patterns`` (ignore files), ``walk`` and ``follow`` (what
belongs to a transfer), then ``send`` and ``receive``.
"""

from dockyard.fsutil.root import DirectoryRoot, Root, VirtualRoot

__all__ = ["DirectoryRoot", "Root", "VirtualRoot"]
