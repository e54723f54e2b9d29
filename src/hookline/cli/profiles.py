"""Profiles: places of Hookline and the keys for them, in a file of the user's that nobody else may read."""

import os
from pathlib import Path
from typing import NamedTuple

from hookline.errors import InvalidConfig

DEFAULT = "default"


class ServicePlace(NamedTuple):
    """A place of Hookline, and what goes with it.

    Attributes:
        url: a node or a proxy.
        key: is shown there; None: that in HOOKLINE_API_KEY, if there is one.
        ca_file: authorities that may have signed its certificate; None: those of the system.
        cert: files of a certificate to show there, and of its key.
    """

    url: str
    key: str | None = None
    ca_file: Path | None = None
    cert: tuple[Path, Path] | None = None


def config_file() -> Path:
    """The file: HOOKLINE_PROFILES, else hookline/config.toml where the user's settings are."""
    if given := os.environ.get("HOOKLINE_PROFILES"):
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "hookline" / "config.toml"


def profiles() -> dict[str, ServicePlace]:
    """All profiles by name. Raises InvalidConfig when the file cannot be read."""
    file = config_file()
    if not file.exists():
        return {}
    import tomllib

    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get("profile", {})
        return {name: _place(fields) for name, fields in found.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidConfig(f"the profiles in {file} cannot be read: {error}", field="profile") from error


def profile_of(name: str | None) -> ServicePlace | None:
    """The profile of that name, or the default one; None: there is no default one. Raises InvalidConfig."""
    known = profiles()
    if name is not None and name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise InvalidConfig(f"there is no profile {name!r} in {config_file()}; there are: {there}", field="profile")
    return known.get(name or DEFAULT)


def keep_profile(name: str, place: ServicePlace) -> Path:
    """Write the profile into the file, which only the user may read; where that is."""
    kept = profiles() | {name: place}
    lines = []
    for one, (url, key, ca_file, cert) in kept.items():
        client_cert, client_key = cert or (None, None)
        values = {"url": url, "key": key, "ca_file": ca_file, "client_cert": client_cert, "client_key": client_key}
        lines.append(f"[profile.{_quoted(one)}]")
        lines += [f"{field} = {_quoted(str(value))}" for field, value in values.items() if value]
        lines.append("")
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write("\n".join(lines))
    beside.replace(file)
    return file


def read_key(file: Path | None) -> str | None:
    """The key in a file, else that in HOOKLINE_API_KEY; None: there is none. Raises InvalidConfig."""
    if file is None:
        return os.environ.get("HOOKLINE_API_KEY", "").strip() or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the API key in {file} cannot be read: {error}", field="api_key_file") from error


def _place(fields: dict[str, object]) -> ServicePlace:
    ca_file, cert, key = (_path(fields.get(name)) for name in ("ca_file", "client_cert", "client_key"))
    pair = (cert, key) if cert is not None and key is not None else None
    return ServicePlace(str(fields["url"]), _text(fields.get("key")), ca_file, pair)


def _path(value: object) -> Path | None:
    return None if value is None else Path(str(value)).expanduser()


def _quoted(text: str) -> str:
    """A basic string of TOML, which those of JSON are."""
    import json

    return json.dumps(text)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
