"""HPACK's Huffman code: its table and a decoder that takes a byte at a time."""

from __future__ import annotations

# fmt: off
_LENGTHS = (  # RFC 7541, appendix B: the bits of each byte's code, and of EOS
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
)
# fmt: on

_EOS = 256
_DEPTH = 30


class HuffmanError(Exception):
    """The text is no Huffman code."""


def _tree() -> tuple[list[int], frozenset[int]]:
    """Build the code's binary tree, and the nodes at which a text may end.

    ``tree[2 * node + bit]`` is the next node, or ``~byte`` where a code ends. The code is
    canonical (on each level the codes that end come first, in the order of their bytes), so the
    lengths alone define it. Padding is at most seven one bits: the rightmost path.
    """
    tree: list[int] = [0, 0]
    level = [0]
    ends = [0]
    for depth in range(1, _DEPTH + 1):
        leaves = [byte for byte, length in enumerate(_LENGTHS) if length == depth]
        inner: list[int] = []
        for count, slot in enumerate(2 * node + bit for node in level for bit in (0, 1)):
            if count < len(leaves):
                tree[slot] = ~leaves[count]
            else:
                tree[slot] = len(tree) // 2
                inner.append(tree[slot])
                tree += (0, 0)
        level = inner
        if depth <= 7:
            ends.append(level[-1])
    return tree, frozenset(ends)


_TREE, _ENDS = _tree()


class HuffmanDecoder:
    """Decodes texts; remembers each step it took, at most one for each node and byte."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[int, bytes]] = {}

    def decode(self, data: bytes) -> bytes:
        """Decode a whole text.

        Raises:
            HuffmanError: It holds EOS, or its padding is wrong.
        """
        steps = self._steps
        out = []
        node = 0
        for byte in data:
            key = node | byte
            step = steps.get(key)
            if step is None:
                step = steps[key] = _walk(node >> 8, byte)
            node, text = step
            out.append(text)
        if node >> 8 not in _ENDS:
            raise HuffmanError("wrong padding")
        return b"".join(out)


def _walk(node: int, byte: int) -> tuple[int, bytes]:
    """Take a byte's eight steps from a node; give the next node (times 256) and what they spell."""
    out = bytearray()
    for shift in (7, 6, 5, 4, 3, 2, 1, 0):
        node = _TREE[2 * node + (byte >> shift & 1)]
        if node < 0:
            if ~node == _EOS:
                raise HuffmanError("end of string inside a text")
            out.append(~node)
            node = 0
    return node << 8, bytes(out)
