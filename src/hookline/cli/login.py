"""``hookline login``: keeps a place of Hookline and a key for the commands that follow."""

import sys
from contextlib import suppress
from getpass import getpass
from typing import Annotated

from cyclopts import Parameter

from hookline.cli.output import stdout, usage_error
from hookline.cli.parameters import NamedPath
from hookline.cli.trust_options import DEFAULT_TRUST, TrustOptions
from hookline.client import requests
from hookline.client.place import DEFAULT_URL
from hookline.errors import Forbidden


def login(
    *,
    url: Annotated[str, Parameter(env_var="HOOKLINE_URL")] = DEFAULT_URL,
    profile: Annotated[str, Parameter(env_var="HOOKLINE_PROFILE")] = "default",
    api_key_file: NamedPath | None = None,
    trust: TrustOptions = DEFAULT_TRUST,
) -> None:
    """Keep the address and an API key in your config file, for the commands that follow.

    The key is asked for, or read from standard input, so that it is in no list of processes. It is tried before it is
    kept: in ~/.config/hookline/config.toml, or where HOOKLINE_PROFILES says, which only you can read then.

    For example: hookline login --url https://hookline.example

    Args:
        url: A node or a proxy.
        profile: Name of the profile; --profile takes it, without it the one called default is taken.
        api_key_file: A file that holds the key.
        trust: For https addresses; the names of the files are kept, too.
    """
    from hookline.cli.calls import Calls
    from hookline.cli.profiles import ServicePlace, keep_profile, read_key

    key = read_key(api_key_file) if api_key_file is not None else _asked()
    if not key:
        raise usage_error("No key was given.")
    ca_file = None if trust.ca_file is None else trust.ca_file.absolute()
    pair = trust.pair()
    cert = None if pair is None else (pair[0].absolute(), pair[1].absolute())
    with (
        Calls(url, 10.0, key, ca_file=ca_file, cert=cert) as calls,
        suppress(Forbidden),
    ):  # then the key is valid, and not for reading
        calls.send(requests.list_jobs({}, limit=1, cursor=None))
    file = keep_profile(profile, ServicePlace(url, key, ca_file, cert))
    stdout().print(f"profile {profile} is kept in {file}", soft_wrap=True)


def _asked() -> str:
    if sys.stdin.isatty():
        return getpass("API key: ").strip()
    return sys.stdin.readline().strip()
