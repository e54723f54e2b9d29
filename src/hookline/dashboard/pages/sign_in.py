"""Signing in with an API key, and out again."""

from urllib.parse import urlencode

from starlette.responses import Response

from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import Forbidden, TooManyBadKeys, Unauthorized

_HOME = "/dashboard"


def path_for(visit: Visit) -> str:
    """The page to sign in at, which leads back to where they wanted to go."""
    url = visit.request.url
    wanted = url.path + (f"?{url.query}" if url.query else "")
    if visit.request.method != "GET" or wanted == _HOME:
        return f"{_HOME}/sign-in"
    return f"{_HOME}/sign-in?{urlencode({'next': wanted})}"


def _own(path: str) -> str:
    """The path if it is a page of ours, else the first page: a link must not lead elsewhere through us."""
    is_ours = path.startswith((f"{_HOME}/", f"{_HOME}?")) and "\\" not in path and path.isprintable()
    return path if is_ours else _HOME


async def _show(visit: Visit) -> Response:
    if visit.desk.host.guard is None:
        return visit.look_at("")
    return visit.page("sign_in.html", next=visit.asks().get("next", ""), wrong="")


async def _enter(visit: Visit) -> Response:
    fields = await visit.form()
    wanted = fields.get("next", "")
    try:
        await visit.sign_in(fields.get("key", "").strip())
    except Unauthorized:
        return visit.page(
            "sign_in.html",
            401,
            next=wanted,
            wrong="This key does not hold: it is mistyped, expired or revoked. Ask for one with hookline keys create.",
        )
    except TooManyBadKeys as error:
        return visit.page("sign_in.html", 429, next=wanted, wrong=f"{error.detail}")
    except Forbidden:
        wrong = "This key may not read. The dashboard needs the scope read; further scopes give it more buttons."
        return visit.page("sign_in.html", 403, next=wanted, wrong=wrong)
    response = visit.look_at("")
    response.headers["location"] = _own(wanted)
    return response


async def _leave(visit: Visit) -> Response:
    await visit.form()
    visit.forget()
    return visit.look_at("/sign-in")


PAGES = (
    PageRow("GET", "/sign-in", None, _show),
    PageRow("POST", "/sign-in", None, _enter),
    PageRow("POST", "/sign-out", None, _leave),
)
