"""The settings of the dashboard."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hookline.dashboard.oidc.settings import OidcSettings

DashboardMode = Literal["on", "read-only", "off"]


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Settings, as whoever starts the process gives them.

    Attributes:
        is_read_only: it changes nothing, whatever a key may do.
        streams_max: pages that are kept up to date at once; more have to be loaded again by hand.
        look_s: seconds between two looks at what such a page shows.
        oidc: the provider that people sign in at; None: they sign in with API keys only.
    """

    is_read_only: bool = False
    streams_max: int = 100
    look_s: float = 1.0
    oidc: "OidcSettings | None" = None
