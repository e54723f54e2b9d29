"""/openapi.json says what a node does: every route is in it, and schemathesis finds nothing that it does not say."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis import checks as known_checks
from schemathesis.core.result import Ok

from hookline.errors import by_code
from hookline.http_api.openapi import openapi_document
from hookline.protocol.calls import BOTH, Server, calls_of
from tests.integration.node_under_test import NodeUnderTest, node_config

ROOT_KEY = "root-key-of-the-tests"
EXAMPLES = 10  # for each of the 29 calls, good and bad: about 15 seconds in all


@pytest.fixture(scope="module")
def api_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node"), root_key=ROOT_KEY), None).running() as running:
        yield running


DESCRIBED = schemathesis.openapi.from_dict(openapi_document("node"))
# What is too long for its field may be too large for the call: that is a refusal as well.
REJECTING = DESCRIBED.config.checks.negative_data_rejection
REJECTING.expected_statuses = [*REJECTING.expected_statuses, "413"]
CALLS = {found.ok().label: found.ok() for found in DESCRIBED.get_all_operations() if isinstance(found, Ok)}
assert len(CALLS) == len(list(DESCRIBED.get_all_operations())), "each is described as OpenAPI has it"
# What is named by a schema can be broken; a call without parameters and body cannot, nor a host that is any text.
BREAKABLE = [
    label
    for label, call in CALLS.items()
    if call.definition.raw.get("requestBody")
    or {parameter["name"] for parameter in call.definition.raw.get("parameters", ())} - {"host"}
]
# A url, a time, a cron expression or base64 is more than JSON Schema can say, so a 400 is a right answer to text that
# fits the schema. That what is right is accepted, test_api_*.py show.
NOT_FOR_GOOD = [known_checks.positive_data_acceptance]
# A batch with a bad job is a good batch: 200, with an error for that job.
NOT_FOR_BAD = {"POST /jobs/batch": [known_checks.negative_data_rejection]}


@pytest.mark.parametrize("call", CALLS)
def test_schemathesis_finds_nothing_with_good_data(api_node: NodeUnderTest, call: str) -> None:
    _check(api_node, call, GenerationMode.POSITIVE, NOT_FOR_GOOD)


@pytest.mark.parametrize("call", BREAKABLE)
def test_schemathesis_finds_nothing_with_bad_data(api_node: NodeUnderTest, call: str) -> None:
    _check(api_node, call, GenerationMode.NEGATIVE, NOT_FOR_BAD.get(call, []))


def _check(node: NodeUnderTest, call: str, mode: GenerationMode, excluded: list[Any]) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=CALLS[call].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        key = {"Authorization": f"Bearer {ROOT_KEY}"}
        case.call_and_validate(base_url=f"http://127.0.0.1:{node.port}", headers=key, excluded_checks=excluded)

    check()


def test_a_node_says_nothing_of_what_only_proxies_have() -> None:
    document = openapi_document("node")
    assert "/topology" not in document["paths"]
    shapes = document["components"]["schemas"]
    assert "incomplete" not in shapes["JobPage"]["properties"]
    assert "clusters" not in shapes["Health"]["properties"]


def test_every_route_is_described_and_nothing_else() -> None:
    routed = {(call.path, call.method) for call in calls_of("node") if call.scope != "internal"}
    paths = openapi_document("node")["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == routed


@pytest.mark.parametrize("server", BOTH)
def test_operation_ids_are_unique(server: Server) -> None:
    names = [call["operationId"] for methods in openapi_document(server)["paths"].values() for call in methods.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("server", BOTH)
def test_every_code_is_one_of_ours(server: Server) -> None:
    codes = openapi_document(server)["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(codes) <= set(by_code())


def test_the_examples_work(api_node: NodeUnderTest) -> None:
    for path, methods in openapi_document("node")["paths"].items():
        for method, call in methods.items():
            example = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            if example is not None and "{id}" not in path:
                url = path.replace("{host}", "shop.example").replace("{tenant}", "acme")
                answer = api_node.call(method.upper(), url, example, {"Authorization": f"Bearer {ROOT_KEY}"})
                assert answer.status in (200, 201), (path, answer.body)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.loaded |= {"src", "srcset", "data"} & found.keys()
        self.ids.add(found.get("id") or "")
        self.links.add(found.get("href") or "")


def test_the_page_is_whole_and_loads_nothing(api_node: NodeUnderTest) -> None:
    answer = api_node.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    page = Page()
    page.feed(answer.body.decode())
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not {link for link in page.links if link and not link.startswith(("#", "/"))}
    assert not page.tags & {"link", "img", "iframe"}
    assert not page.loaded
    for methods in openapi_document("node")["paths"].values():
        assert {call["operationId"] for call in methods.values()} <= page.ids
