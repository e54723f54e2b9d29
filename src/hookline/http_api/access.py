"""Decides at the start who may call at all: whoever has a key, or whoever reaches the port. Pure."""

import ipaddress
import re

from hookline.errors import InvalidConfig

_ROOT_KEY = re.compile(r"[!-~]{16,512}")


def check_access(host: str, root_key: str | None, former_root_key: str | None = None, *, no_auth: bool) -> None:
    """Raise InvalidConfig unless the address, the root keys and ``--no-auth`` go together.

    Args:
        host: it listens there.
        root_key: None: nobody is asked for a key.
        former_root_key: accepted beside it; None: there is none.
        no_auth: the operator wants it so, wherever it listens.
    """
    if root_key is not None and no_auth:
        raise InvalidConfig("give either a root key or --no-auth, not both", field="no_auth")
    if any(key is not None and not _ROOT_KEY.fullmatch(key) for key in (root_key, former_root_key)):
        raise InvalidConfig(
            "the root key must have 16 to 512 visible ASCII characters and no space; openssl rand -hex 32 makes one",
            field="root_key_file",
        )
    if root_key is None and not no_auth and not is_loopback(host):
        raise InvalidConfig(
            f"It would listen at {host}, beyond this machine, and ask nobody for a key; give --root-key-file FILE, or "
            "--no-auth if a firewall or a gateway decides who may call.",
            field="root_key_file",
        )


def is_loopback(host: str) -> bool:
    """Can only this machine reach a server there?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
