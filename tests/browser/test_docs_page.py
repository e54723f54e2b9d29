"""``/docs`` as a reader has it: with a mouse, with the keyboard only, and with a screen reader."""

import json

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.integration.node_under_test import NodeUnderTest
from tests.integration.proxy_under_test import Clusters

JOB = {"url": "https://example.com/hook", "payload": {"n": 1.50, "big": 12345678901234567890, "e": [], "o": {}}}


@pytest.fixture
def docs(shared_node: NodeUnderTest, page: Page) -> Page:
    """The page of a node."""
    page.goto(f"http://127.0.0.1:{shared_node.port}/docs")
    return page


def asked(page: Page, *, agrees: bool) -> list[str]:
    """Collects what the page asks from now on, and answers it."""
    questions: list[str] = []

    def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.accept() if agrees else dialog.dismiss()

    page.on("dialog", answer)
    return questions


def test_examples_are_whole_and_say_the_address_the_reader_is_at(docs: Page, shared_node: NodeUnderTest) -> None:
    origin = f"http://127.0.0.1:{shared_node.port}"
    examples = docs.locator("pre:has(.origin)")
    assert examples.count() > 20
    for text in examples.all_inner_texts():
        assert origin in text
        assert "127.0.0.1:7070" not in text
    cut = "found => found.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)"
    for width in (1280, 400):
        docs.set_viewport_size({"width": width, "height": 900})
        assert docs.locator("pre").evaluate_all(cut) == []
    assert docs.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page needs no sideways scrolling"


def test_a_call_that_reads_is_sent_at_once(docs: Page, shared_node: NodeUnderTest) -> None:
    job = shared_node.create(**JOB)
    questions = asked(docs, agrees=False)
    call = docs.locator("#getJob")
    call.get_by_text("Try it").click()
    call.get_by_label("id (path)").fill(job["id"])
    call.get_by_role("button", name="Send GET /jobs/{id}").click()
    answer = call.get_by_role("status")
    expect(answer.locator(".status")).to_contain_text("200")
    expect(answer.locator(".headers")).to_contain_text("hookline-node: n1")
    shown = answer.locator(".body").inner_text()
    assert json.loads(shown) == json.loads(shared_node.get(f"/jobs/{job['id']}").body)
    assert '"big": 12345678901234567890' in shown
    assert '"e": []' in shown
    assert questions == []
    call.get_by_label("id (path)").fill("a/b?c")
    call.get_by_role("button").click()
    expect(answer.locator(".status")).to_contain_text("404")
    docs.context.set_offline(True)
    call.get_by_role("button").click()
    expect(answer.locator(".status")).to_contain_text("No answer")


def test_a_call_shows_the_key_that_was_given(docs: Page) -> None:
    sent: list[str | None] = []
    docs.on("request", lambda request: sent.append(request.headers.get("authorization")))
    call = docs.locator("#listJobs")
    call.get_by_text("Try it").click()
    status = call.get_by_role("status").locator(".status")
    call.get_by_role("button", name="Send GET /jobs").click()
    expect(status).to_contain_text("200")
    docs.get_by_label("API key").fill("k1")
    call.get_by_label("limit (query)").fill("0")
    call.get_by_role("button").click()
    expect(status).to_contain_text("400")
    assert sent == [None, "Bearer k1"]


def test_a_call_that_changes_something_asks_first(docs: Page, shared_node: NodeUnderTest) -> None:
    before = shared_node.stored()
    call = docs.locator("#createJob")
    call.get_by_text("Try it").click()
    button = call.get_by_role("button", name="Send POST /jobs")
    refused = asked(docs, agrees=False)
    button.click()
    expect(call.locator("output")).to_be_hidden()
    assert len(refused) == 1
    assert f"POST http://127.0.0.1:{shared_node.port}/jobs" in refused[0]
    assert shared_node.stored() == before


def test_the_prefilled_example_makes_a_job_with_the_keyboard_alone(docs: Page, shared_node: NodeUnderTest) -> None:
    asked(docs, agrees=True)
    call = docs.locator("#createJob")
    call.locator("summary").focus()
    docs.keyboard.press("Enter")
    docs.keyboard.press("Tab")
    docs.keyboard.type("from the docs")
    for _ in range(10):
        if docs.evaluate("document.activeElement.tagName") == "BUTTON":
            break
        docs.keyboard.press("Tab")
    docs.keyboard.press("Enter")
    answer = call.get_by_role("status")
    expect(answer.locator(".status")).to_contain_text("201")
    assert docs.evaluate("document.activeElement.tagName") == "BUTTON", "the focus stays"
    job = json.loads(answer.locator(".body").inner_text())
    assert shared_node.get(f"/jobs/{job['id']}").json["payload"] == {"order": 4711, "paid": True}
    docs.keyboard.press("Enter")
    expect(answer.locator(".status")).to_contain_text("200")
    for name in ("cancelJob", "deleteJob"):  # neither takes a body
        other = docs.locator(f"#{name}")
        other.get_by_text("Try it").click()
        other.get_by_label("id (path)").fill(job["id"])
        other.get_by_role("button").click()
        expect(other.get_by_role("status").locator(".status")).to_contain_text("20")
    assert shared_node.get(f"/jobs/{job['id']}").status == 404


def test_every_field_has_a_name_for_a_screen_reader(docs: Page) -> None:
    docs.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    unnamed = "found => found.filter(one => !one.labels.length).map(one => one.id)"
    assert docs.locator("input, select, textarea").evaluate_all(unnamed) == []
    assert docs.get_by_role("button").count() == docs.locator("button").count()
    twice = "found => found.map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at)"
    assert docs.locator("[id]").evaluate_all(twice) == []


def test_the_page_of_a_proxy_works_alike(three: Clusters, page: Page) -> None:
    door = three.start_proxy()
    page.goto(f"http://127.0.0.1:{door.port}/docs")
    call = page.locator("#getRoute")
    call.get_by_text("Try it").click()
    call.get_by_label("id (query)").fill("order-1")
    call.get_by_role("button").click()
    expect(call.get_by_role("status").locator(".body")).to_contain_text('"rule": "modulo"')
    assert f"http://127.0.0.1:{door.port}/topology/route" in page.locator("#getRoute pre").first.inner_text()
