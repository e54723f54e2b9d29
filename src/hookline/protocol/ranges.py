"""The check of a whole number that an operator sets. Pure."""

from hookline.errors import InvalidConfig, InvalidRequest


def check_range(settings: object, name: str, low: int, high: int) -> None:
    """Raise InvalidConfig, which names the option, unless ``settings.name`` is from ``low`` to ``high``."""
    value = getattr(settings, name)
    if not low <= value <= high:
        option = name.replace("_", "-")
        raise InvalidConfig(f"--{option} is {value}; it must be between {low} and {high}", field=name)


def check_between(field: str, value: float, low: float, high: float) -> None:
    """Raises InvalidRequest for a number of a request that is outside."""
    if not low <= value <= high:
        raise InvalidRequest(f"{field} must be from {low} to {high}", field=field)
