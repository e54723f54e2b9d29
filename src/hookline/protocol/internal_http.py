"""The bodies that proxies and nodes exchange beside the API: docs/reference/internal-http.md. Pure."""

from typing import Literal

from msgspec import Struct

from hookline.protocol.jobs import DEFAULT_TENANT

MESSAGEPACK = b"application/msgpack"


class GatheredCreate(Struct, frozen=True, array_like=True):
    """One ``POST /jobs`` that travels with others. ``headers`` are its own, as they would be if it travelled alone."""

    body: bytes
    headers: list[tuple[bytes, bytes]]


class GatheredAnswer(Struct, frozen=True, array_like=True):
    """The answer to one of them; headers that all answers of the node carry are left out."""

    status: int
    body: bytes
    content_type: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class AbsenceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A proxy asks the former home of an id or a key of that tenant: is it there?"""

    id: str | None = None
    key: str | None = None
    kind: Literal["job", "schedule"] = "job"
    tenant: str = DEFAULT_TENANT


class Absence(Struct, frozen=True, omit_defaults=True):
    """``absent``: it is not, and nothing under this epoch will make it be. Else ``id`` is what is there."""

    absent: bool
    id: str | None = None


class DestinationsPage(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of destinations on their way to a cluster that is new in the topology of ``epoch``.

    ``data``: (tenant, name, settings as they are stored, with secrets still sealed). ``next``: where the next page
    begins, of the cluster that gave this one; None: there is no more. ``tenants``: in the first page, all that is set
    for tenants, (tenant, settings as they are stored).
    """

    epoch: int
    data: list[tuple[str, str, bytes]]
    next: str | None = None
    tenants: list[tuple[str, bytes]] = []
