"""The same sign-in at our tests' own provider and at the certified one of npm.

For the latter: ``npm install oidc-provider`` in a directory, name it in ``OIDC_PROVIDER_NPM``, and add ``-m slow``.
"""

import asyncio
import http.client
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from hookline.clock import SystemClock
from hookline.dashboard.oidc.flow import Finished, ProviderSignIn
from hookline.dashboard.oidc.refusing import SignInRefused
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.dashboard.sessions import Seals
from tests.integration.oidc_parts import asked_by
from tests.oidc_provider import new_keys, oidc_provider

ORIGIN = "http://127.0.0.1:7070"
CERTIFIED = os.environ.get("OIDC_PROVIDER_NPM", "")


@contextmanager
def own() -> Iterator[str]:
    with oidc_provider(new_keys()) as provider:
        provider.person = {"sub": "alice", "email": "alice@example.com", "email_verified": True, "groups": ["support"]}
        yield provider.url


@contextmanager
def certified() -> Iterator[str]:
    script = Path(__file__).with_name("certified_provider.mjs")
    with subprocess.Popen(["node", script, CERTIFIED], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(line.split()[1] for line in process.stdout if line.startswith("ready "))
        finally:
            process.kill()


PARAMS = [pytest.param(own, id="own")]
if CERTIFIED:
    PARAMS.append(pytest.param(certified, id="certified", marks=pytest.mark.slow))


@pytest.fixture(scope="module", params=PARAMS)
def issuer(request: pytest.FixtureRequest) -> Iterator[str]:
    with request.param() as url:
        yield url


class Browser:
    """Follows redirects and fills in forms, until it is sent back to us."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def sent_back(self, location: str) -> str:
        """The address that it ends at."""
        form = None
        for _ in range(20):
            if location.startswith(ORIGIN):
                return location
            location, form = self._step(location, form)
        raise AssertionError(f"it does not end: {location}")

    def _step(self, url: str, form: dict[str, str] | None) -> tuple[str, dict[str, str] | None]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        path = f"{parts.path}?{parts.query}"
        if form is None:
            connection.request("GET", path, headers=headers)
        else:
            sent = headers | {"content-type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(form), sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        for value in answer.headers.get_all("set-cookie") or []:
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
        connection.close()
        if (location := answer.getheader("location")) is not None:
            return (f"http://{parts.netloc}{location}" if location.startswith("/") else location), None
        action = re.search(r'<form[^>]* action="([^"]+)"', text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', text)
        assert action, (answer.status, text)
        assert prompt, text
        return action[1], {"prompt": prompt[1], "login": "alice", "password": "x"}


def place(issuer: str, secret: str = "the secret/of:this client") -> ProviderSignIn:
    settings = OidcSettings(issuer, "hookline", {"support": ("read",)}, secret)
    clock = SystemClock()
    return ProviderSignIn(settings, Seals(["a-root-key-of-tests"], clock.token), clock)


async def came_back(sign_in: ProviderSignIn) -> tuple[dict[str, str], str]:
    """Begins it, and goes there and back: the query that a browser brings, and its cookie."""
    begun = await sign_in.begin(ORIGIN, "/dashboard")
    back = await asyncio.to_thread(Browser().sent_back, begun.location)
    return asked_by(back), begun.sealed


async def test_somebody_signs_in(issuer: str) -> None:
    sign_in = place(issuer)
    found = await sign_in.finish(*await came_back(sign_in))
    assert isinstance(found, Finished)
    assert (found.granted.name, found.granted.scopes) == ("oidc:alice@example.com", ("read",))


async def test_a_code_is_taken_once(issuer: str) -> None:
    sign_in = place(issuer)
    asked, sealed = await came_back(sign_in)
    await sign_in.finish(asked, sealed)
    with pytest.raises(SignInRefused, match="does not take the code"):
        await sign_in.finish(asked, sealed)


async def test_a_code_of_another_sign_in_is_not_taken(issuer: str) -> None:
    sign_in = place(issuer)
    (first, _), (second, sealed) = await came_back(sign_in), await came_back(sign_in)
    with pytest.raises(SignInRefused, match="does not take the code"):
        await sign_in.finish(second | {"code": first["code"]}, sealed)


async def test_a_wrong_secret_is_told(issuer: str) -> None:
    sign_in = place(issuer, "another")
    asked, sealed = await came_back(sign_in)
    with pytest.raises(SignInRefused, match="does not know this client"):
        await sign_in.finish(asked, sealed)
