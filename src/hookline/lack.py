"""Recognises that this process or machine lacks descriptors, memory, ports or threads. That costs no job an attempt."""

import errno
import resource
import socket
from contextlib import suppress
from typing import Final

_DESCRIPTORS_MAX: Final = 1_048_576
_KEPT_BACK: Final = 1_500  # descriptors: attempts, kept connections, etcd, files

_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def is_lack(error: BaseException) -> bool:
    """Whether the error says that something of ours has run out."""
    if isinstance(error, OSError):
        return error.errno in _LACKS
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "start new thread" in str(error))


def lacks_descriptors() -> bool:
    """Whether no socket can be opened now. For where an error does not tell: ``getaddrinfo`` hides it."""
    try:
        socket.socket().close()
    except OSError as error:
        return is_lack(error)
    return False


def raise_descriptor_limit() -> None:
    """Allow this process as many open descriptors as the system lets it: the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptors_for_clients() -> int:
    """How many connections of clients may be open, so that enough is kept back for deliveries and the log."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _DESCRIPTORS_MAX
    return max(soft // 2, soft - _KEPT_BACK)
