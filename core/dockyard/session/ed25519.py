"""Public key and signature of Ed25519 (RFC 8032), in the few lines that the session needs.

The session signs what a daemon sends, with a key that is made for that daemon's salt, to show
that two builds have the same credentials. It never verifies, and neither the key nor the time
that signing takes guards a secret that outlives the build; that is why plain integers are good
enough here and a library of its own would be too much.
"""

from __future__ import annotations

from hashlib import sha512

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P

_Point = tuple[int, int, int, int]
"""Extended coordinates: X, Y, Z and T with x = X/Z, y = Y/Z, x*y = T/Z."""


def public_key(seed: bytes) -> bytes:
    """Give the 32 bytes of the public key that belongs to a seed of 32 bytes."""
    scalar, _ = _expand(seed)
    return _encode(_multiply(scalar))


def sign(seed: bytes, message: bytes) -> bytes:
    """Give the 64 bytes of the signature of a message."""
    scalar, prefix = _expand(seed)
    nonce = _number(prefix, message) % _ORDER
    commitment = _encode(_multiply(nonce))
    challenge = _number(commitment, _encode(_multiply(scalar)), message) % _ORDER
    return commitment + ((nonce + challenge * scalar) % _ORDER).to_bytes(32, "little")


def _expand(seed: bytes) -> tuple[int, bytes]:
    if len(seed) != 32:
        raise ValueError("an Ed25519 seed has 32 bytes")
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & ((1 << 254) - 8) | (1 << 254), digest[32:]


def _number(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little")


def _multiply(scalar: int) -> _Point:
    """Multiply the curve's base point, bit by bit."""
    result: _Point = (0, 1, 1, 0)
    step = _base()
    while scalar:
        if scalar & 1:
            result = _add(result, step)
        step = _add(step, step)
        scalar >>= 1
    return result


def _base() -> _Point:
    """Give the point whose y is 4/5 and whose x is even."""
    y = 4 * pow(5, -1, _P) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if x & 1:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(left: _Point, right: _Point) -> _Point:
    """Add two points; the formula is complete, so it doubles as well."""
    a = (left[1] - left[0]) * (right[1] - right[0]) % _P
    b = (left[1] + left[0]) * (right[1] + right[0]) % _P
    c = 2 * left[3] * right[3] * _D % _P
    d = 2 * left[2] * right[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _encode(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")
