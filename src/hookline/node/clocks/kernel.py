"""Does the kernel say that its clock is synchronised? Read only, by ``adjtimex``; only Linux says anything."""

import ctypes
import sys
from collections.abc import Callable

from hookline.node.clocks.majority import AWAY_MS

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_MAXERROR_US = 500_000


class Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_s", ctypes.c_long),
        ("time_fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


Adjtimex = Callable[[Timex], int]
"""Fills the struct, changes nothing; returns the clock's state, -1 when it may not be asked."""


def kernel_agrees(wall_ms: int, adjtimex: Adjtimex | None = None) -> bool:
    """The kernel says that it is synchronised, and ``wall_ms`` is its time within a second.

    False when it says otherwise, or nothing.
    """
    found = Timex()
    state = (adjtimex or _adjtimex)(found)
    if state < 0 or state == _TIME_ERROR or found.status & _STA_UNSYNC or found.maxerror > _MAXERROR_US:
        return False
    per_ms = 1_000_000 if found.status & _STA_NANO else 1_000
    kernel_ms = found.time_s * 1_000 + found.time_fraction // per_ms
    return bool(abs(kernel_ms - wall_ms) <= AWAY_MS)


def _adjtimex(found: Timex) -> int:
    if not sys.platform.startswith("linux"):
        return -1
    try:
        call = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):  # a libc without it
        return -1
    return int(call(ctypes.byref(found)))
