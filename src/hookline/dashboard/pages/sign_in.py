"""Signing in with an API key, and out again; and for which tenant an operator acts."""

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


def own_path(path: str) -> str:
    """The path if it is a page of ours, else the first page: a link must not lead elsewhere through us."""
    is_ours = path.startswith((f"{_HOME}/", f"{_HOME}?")) and "\\" not in path and path.isprintable()
    return path if is_ours else _HOME


def sign_in_page(visit: Visit, wanted: str, wrong: str = "", status: int = 200) -> Response:
    """The page to sign in at, with what went wrong."""
    provider, start = visit.desk.provider, ""
    if provider is not None:
        start = f"{provider.start_url(visit.origin)}?{urlencode({'next': wanted})}"
    named = "" if provider is None else provider.settings.shown
    return visit.page("sign_in.html", status, next=wanted, wrong=wrong, start=start, provider=named)


async def _show(visit: Visit) -> Response:
    if visit.desk.host.guard is None:
        return visit.look_at("")
    return sign_in_page(visit, visit.asks().get("next", ""))


async def _enter(visit: Visit) -> Response:
    fields = await visit.form()
    wanted = fields.get("next", "")
    try:
        await visit.sign_in(fields.get("key", "").strip())
    except Unauthorized:
        wrong = "This key does not hold: it is mistyped, expired or revoked. Ask for one with hookline keys create."
        return sign_in_page(visit, wanted, wrong, 401)
    except TooManyBadKeys as error:
        return sign_in_page(visit, wanted, f"{error.detail}", 429)
    except Forbidden:
        wrong = "This key may not read. The dashboard needs the scope read; further scopes give it more buttons."
        return sign_in_page(visit, wanted, wrong, 403)
    response = visit.look_at("")
    response.headers["location"] = own_path(wanted)
    return response


async def _leave(visit: Visit) -> Response:
    await visit.form()
    visit.forget()
    visit.act_for(None)
    return visit.look_at("/sign-in")


async def _act_for(visit: Visit) -> Response:
    sent = await visit.form()
    if not visit.me.is_operator:
        raise Forbidden("only an operator's key may act for a tenant")
    visit.act_for(sent.get("tenant", "").strip() or None)
    return visit.look_at("")


PAGES = (
    PageRow("GET", "/sign-in", None, _show),
    PageRow("POST", "/sign-in", None, _enter),
    PageRow("POST", "/sign-out", None, _leave),
    PageRow("POST", "/act-for", "read", _act_for),
)
