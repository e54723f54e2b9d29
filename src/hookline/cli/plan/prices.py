"""Reads the table of prices: a file of TOML, ``prices.toml`` beside this one unless another is given."""

import datetime
from importlib.resources import files

import msgspec
from msgspec import Struct

from hookline.errors import InvalidConfig


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of machine, and its price a month."""

    name: str
    cores: float
    memory_gib: float
    month: float


class Cloud(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who rents machines; ``disk_gib`` is the price of a GiB a month."""

    name: str
    currency: str
    date: datetime.date
    source: str
    disk_gib: float
    machine: list[Machine]

    def cheapest(self, cores: float, memory_gib: float) -> Machine | None:
        """That has as much; None: there is none."""
        enough = [one for one in self.machine if one.cores >= cores and one.memory_gib >= memory_gib]
        return min(enough, key=lambda one: one.month, default=None)


class DeliveryService(Struct, frozen=True, forbid_unknown_fields=True):
    """A service that delivers HTTP calls: so much for a million jobs, or so much a month up to so many jobs a day."""

    name: str
    currency: str
    date: datetime.date
    source: str
    million_jobs: float | None = None
    month: float | None = None
    jobs_a_day_max: int | None = None

    def cost(self, rate: float) -> float | None:
        """A month at so many jobs a second all the time; None: it does not offer that."""
        if self.jobs_a_day_max is not None and rate * 86_400 > self.jobs_a_day_max:
            return None
        return self.month if self.million_jobs is None else self.million_jobs * rate * _MONTH_S / 1e6


_MONTH_S = 730 * 3_600


class PriceTable(Struct, frozen=True, forbid_unknown_fields=True):
    """All that the file holds."""

    cloud: list[Cloud]
    service: list[DeliveryService] = []

    def of(self, name: str | None) -> Cloud:
        """By name; the first without one. Raises InvalidConfig."""
        if name is None:
            return self.cloud[0]
        known = [one.name for one in self.cloud]
        if name not in known:
            raise InvalidConfig(f"the table of prices has no cloud {name}; it has {', '.join(known)}", field="cloud")
        return self.cloud[known.index(name)]


def price_table(text: bytes | None = None, name: str = "prices.toml") -> PriceTable:
    """The table; of the release unless a text is given. Raises InvalidConfig."""
    if text is None:
        text = files(__package__).joinpath("prices.toml").read_bytes()
    try:
        table = msgspec.toml.decode(text, type=PriceTable)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{name} is not a table of prices: {error}", field="prices") from error
    if not table.cloud or any(not one.machine for one in table.cloud):
        raise InvalidConfig(f"{name} has no cloud with a machine", field="prices")
    return table
