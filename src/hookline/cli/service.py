"""Options that name the Hookline a command talks to, the same on every such command."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.trust_options import DEFAULT_TRUST, TrustOptions
from hookline.client.place import DEFAULT_URL

if TYPE_CHECKING:
    from hookline.cli.calls import Calls
    from hookline.cli.profiles import ServicePlace


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Service:
    """The place of Hookline, and the form of the output.

    Attributes:
        url: A node or a proxy. [that of the profile, else http://127.0.0.1:7070]
        profile: A profile that hookline login made; without it the one called default is taken, if there is one.
        api_key_file: A file that holds the API key; or have the key in HOOKLINE_API_KEY.
        tenant: For whom to act, with an operator's key. [whose the key is]
        trust: For https addresses.
        json: Print exactly one JSON document on stdout.
        timeout: Seconds for each try of a call.
    """

    url: Annotated[str | None, Parameter(env_var="HOOKLINE_URL")] = None
    profile: Annotated[str | None, Parameter(env_var="HOOKLINE_PROFILE")] = None
    api_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_API_KEY_FILE")] = None
    tenant: Annotated[str | None, Parameter(env_var="HOOKLINE_TENANT")] = None
    trust: TrustOptions = DEFAULT_TRUST
    json: Flag = False
    timeout: Annotated[float, Parameter(name="--http-timeout", env_var="HOOKLINE_HTTP_TIMEOUT")] = 10.0

    def calls(self) -> "Calls":
        """Makes the object that sends calls to it; to be used in a ``with``."""
        from hookline.cli.calls import Calls

        place = self.place()
        return Calls(place.url, self.timeout, place.key, self.tenant, ca_file=place.ca_file, cert=place.cert)

    def place(self) -> "ServicePlace":
        """The url, the key and the files for TLS: given, of the environment, or of a profile. Raises InvalidConfig."""
        from hookline.cli.profiles import ServicePlace, profile_of, read_key

        key = read_key(self.api_key_file)
        if self.url is not None and self.profile is None:
            # Not with the key of a profile, which is for another place.
            return ServicePlace(self.url, key, self.trust.ca_file, self.trust.pair())
        known = profile_of(self.profile) or ServicePlace(DEFAULT_URL)
        return ServicePlace(
            known.url, known.key or key, known.ca_file or self.trust.ca_file, known.cert or self.trust.pair()
        )


DEFAULT_SERVICE = Service()
