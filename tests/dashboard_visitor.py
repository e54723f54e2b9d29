"""A browser that runs no scripts: it keeps cookies, reads pages and sends their forms."""

import http.client
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode


class PageOf(NamedTuple):
    """An answer to a browser."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str

    @property
    def forms(self) -> dict[str, dict[str, str]]:
        """The fields of each form as they are filled in, by the path it is sent to."""
        found = _Forms()
        found.feed(self.text)
        return found.forms


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name")
        if tag == "form":
            self._fields = self.forms.setdefault(given.get("action") or "", {})
        elif tag == "input" and name and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self._fields[name] = given.get("value") or ""
        elif tag == "textarea" and name:
            self._area = name
            self._fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self._fields[self._area] += data if self._fields[self._area] else data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None


class Visitor:
    """One browser at one server of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.same_site: dict[str, str] = {}  # Lax or Strict, by cookie

    def get(self, path: str = "", **headers: str) -> PageOf:
        """A page below ``/dashboard``."""
        return self.ask("GET", path, headers=headers)

    def send(self, path: str, form: dict[str, str], **headers: str) -> PageOf:
        """A form, as it is."""
        return self.ask("POST", path, urlencode(form), headers)

    def submit(self, page: PageOf, path: str, **changes: str) -> PageOf:
        """The form of a page that goes to this path, filled in."""
        return self.send(path, page.forms[f"/dashboard{path}"] | changes)

    def follow(self, page: PageOf) -> PageOf:
        """Go where the answer leads to."""
        assert page.status == 303, page
        return self.get(page.headers["location"].removeprefix("/dashboard"))

    def ask(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> PageOf:
        """One request."""
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"/dashboard{path}", body, sent)
            answer = connection.getresponse()
            pairs = [(name.lower(), value) for name, value in answer.getheaders()]
            text = answer.read().decode()
        finally:
            connection.close()
        cookies = [value for name, value in pairs if name == "set-cookie"]
        for value in cookies:
            for name, morsel in SimpleCookie(value).items():
                self.cookies[name] = morsel.value
                self.same_site[name] = morsel["samesite"]
        return PageOf(answer.status, dict(pairs), cookies, text)
