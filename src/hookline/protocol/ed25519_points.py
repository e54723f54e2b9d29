"""Tells the 32 bytes that are a public key which only its owner can sign for. Pure.

RFC 8032 leaves open what a verifier does with points of small order, with encodings above the field's prime, and with
bytes that are not a point. Under a key of small order everybody can make up signatures, so all of these are refused.
"""

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME  # the curve is -x² + y² = 1 + d·x²·y² (RFC 8032, section 5.1)

# The y coordinates of the eight points whose order divides 8: of order 1, 2, 4 (two points) and 8 (two times two).
_SMALL_ORDER_Y = frozenset(
    {
        1,
        _PRIME - 1,
        0,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


def is_strong(key: bytes) -> bool:
    """Whether these 32 bytes are the canonical encoding of a point on the curve that is not of small order."""
    y = int.from_bytes(key, "little") & (2**255 - 1)  # the highest bit is the sign of x
    return y < _PRIME and y not in _SMALL_ORDER_Y and _has_x(y)


def _has_x(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) is a square, by Euler's criterion."""
    numerator, denominator = y * y - 1, _D * y * y + 1
    return pow(numerator * denominator, (_PRIME - 1) // 2, _PRIME) == 1
