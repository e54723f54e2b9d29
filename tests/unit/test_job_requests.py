import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline import errors
from hookline.clock import SystemClock
from hookline.errors import ForbiddenDestination
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_cursor, decode_number, encode_cursor
from hookline.http_api.strict_json import check_unique_names, check_utf8, unique_fields
from hookline.node.api.job_fields import check_headers
from hookline.node.api.job_requests import JobRequests, fingerprint
from hookline.node.config import NodeConfig
from hookline.node.vault import Vault
from hookline.protocol.destination_patterns import parse_patterns
from hookline.protocol.http import JobChanges, JobRequest
from hookline.protocol.ids import shard_hint
from hookline.protocol.jobs import decode_spec

NOW_MS = 1_900_000_000_000
URL = "https://example.com/hook"
SECRET = "whsec_" + "a" * 32


class Tokens:
    """Fresh bytes that tell how often they were asked for."""

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.drawn.append(size)
        return len(self.drawn).to_bytes(size, "big")


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def requests(tokens: Tokens) -> JobRequests:
    return JobRequests(NodeConfig(data_dir=Path("unused"), shard=7), Vault([b"k" * 32]), tokens)


def body(**fields: Any) -> bytes:
    return json.dumps({"url": URL} | fields).encode()


def test_what_the_node_allows_and_denies_is_looked_at_when_a_job_is_made(tokens: Tokens) -> None:
    allow, deny = (parse_patterns(text, "x") for text in ("10.2.0.0/16,shop", "10.2.9.0/24"))
    config = NodeConfig(data_dir=Path("unused"), allow_destinations=allow, deny_destinations=deny)
    reading = JobRequests(config, Vault([b"k" * 32]), tokens)
    assert reading.create(body(url="http://10.2.0.5:9000/"), NOW_MS).spec.destination == "http://10.2.0.5:9000"
    assert reading.create(body(url="http://shop:9000/"), NOW_MS).spec.destination == "http://shop:9000"
    for url in ("http://10.2.9.1/", "http://10.3.0.1/", "http://169.254.169.254/"):
        with pytest.raises(ForbiddenDestination):
            reading.create(body(url=url), NOW_MS)


def test_the_command_says_what_the_spec_says(requests: JobRequests) -> None:
    new = requests.create(body(payload={"a": 1}, priority=5, labels={"t": "a"}, guarantee="at_most_once"), NOW_MS)
    command, spec = new.command, new.spec
    work = command.work
    assert decode_spec(work.spec) == spec
    assert (work.destination, work.priority, work.at_most_once) == ("https://example.com:443", 5, True)
    assert (work.size, spec.body, spec.is_json) == (8, b'{"a": 1}', True)
    assert work.labels == ("t=a",)
    assert command.due_ms == NOW_MS
    assert shard_hint(command.id) == 7


def test_only_who_can_come_again_has_a_fingerprint(requests: JobRequests) -> None:
    assert requests.create(body(), NOW_MS).command.fingerprint == b""
    assert len(requests.create(body(), NOW_MS, key="k").command.fingerprint) == 16
    assert len(requests.create(body(id="a"), NOW_MS).command.fingerprint) == 16


def test_a_key_expires_after_its_window(requests: JobRequests) -> None:
    command = requests.create(body(), NOW_MS, key="k").command
    assert (command.key, command.key_expires_ms) == ("k", NOW_MS + 24 * 3_600_000)
    assert requests.create(body(), NOW_MS).command.key_expires_ms == 0


def test_a_fingerprint_does_not_depend_on_when(requests: JobRequests) -> None:
    one = requests.create(body(delay="1h"), NOW_MS, key="k").command
    two = requests.create(body(delay="1h"), NOW_MS + 5_000, key="k").command
    assert one.fingerprint == two.fingerprint
    assert two.due_ms == one.due_ms + 5_000


@pytest.mark.parametrize(
    "field", ["url", "method", "headers", "payload", "run_at", "timeout", "labels", "secret", "id"]
)
def test_every_field_counts_in_the_fingerprint(field: str) -> None:
    values = {"headers": {"a": "b"}, "labels": ["a"], "payload": msgspec.Raw(b"1")}
    with_it = msgspec.structs.replace(JobRequest(url=URL), **{field: values.get(field, "x")})
    assert fingerprint(with_it) != fingerprint(JobRequest(url=URL))


@pytest.mark.parametrize("changed", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize(
    "large",
    [
        {"headers": {f"x-{number}": "x" for number in range(6_000)}},
        {"labels": {f"l{number}": "x" for number in range(6_000)}},
        {"url": "https://example.com/" + "x" * 70_000},
        {"retry": {"schedule": [1] * 40_000}},
    ],
    ids=lambda large: next(iter(large)),
)
def test_only_a_payload_may_be_large(requests: JobRequests, large: dict[str, Any], changed: bool) -> None:
    text = json.dumps({"url": "https://example.com/", "payload": "x" * 900_000} | large).encode()
    with pytest.raises(errors.PayloadTooLarge, match="all of a job but its payload may have at most 65536 bytes"):
        requests.changes(text) if changed else requests.create(text, NOW_MS)


def test_an_unknown_field_of_a_large_request_is_named(requests: JobRequests) -> None:
    with pytest.raises(errors.UnknownField, match="'paylod'"):
        requests.create(json.dumps({"url": "https://example.com/", "paylod": "x" * 100_000}).encode(), NOW_MS)


def test_a_payload_of_a_mebibyte_is_taken_as_it_is(requests: JobRequests) -> None:
    payload = b'"' + b"x" * (1024 * 1024 - 2) + b'"'
    text = b'{"url": "https://example.com/", "payload": %b}'
    assert requests.create(text % payload, NOW_MS).spec.body == payload
    with pytest.raises(errors.PayloadTooLarge, match="at most 1048576 are allowed"):
        requests.create(text % (payload[:-1] + b'x"'), NOW_MS)


@pytest.mark.parametrize(("asked", "ms"), [(None, 30_000), ("1h", 3_600_000), (0.1, 100)])
def test_a_timeout_may_be_as_long_as_the_operator_allows(requests: JobRequests, asked: Any, ms: int) -> None:
    new = requests.create(body() if asked is None else body(timeout=asked), NOW_MS)
    assert (new.spec.timeout_ms, new.command.work.timeout_ms) == (ms, ms)
    with pytest.raises(errors.InvalidTime, match="from 100 ms to 1h, which --attempt-max sets"):
        requests.create(body(timeout="1h1s"), NOW_MS)


def test_ids_are_all_different(requests: JobRequests, tokens: Tokens) -> None:
    really_random = JobRequests(NodeConfig(data_dir=Path("unused")), Vault([b"k" * 32]), SystemClock().token)
    assert len({really_random.mint_id(NOW_MS) for _ in range(1_000)}) == 1_000
    for _ in range(200):
        requests.mint_id(NOW_MS)
    assert len(tokens.drawn) == 1, "random bytes are drawn for many ids at once"


def test_a_secret_is_sealed_and_kept_when_it_is_the_same(requests: JobRequests) -> None:
    old = requests.create(body(secret=SECRET), NOW_MS).spec
    assert old.sealed_secret is not None
    assert SECRET.encode() not in old.sealed_secret
    assert requests.changed(JobChanges(secret=SECRET), old) == old
    assert requests.changed(JobChanges(secret="whsec_" + "b" * 32), old).sealed_secret != old.sealed_secret


def test_an_error_about_a_secret_never_shows_it(requests: JobRequests) -> None:
    with pytest.raises(errors.InvalidSecret) as raised:
        requests.create(body(secret="whsec_hunter2hunter2"), NOW_MS)
    assert "hunter2" not in json.dumps(raised.value.to_problem())


def test_no_change_is_no_change(requests: JobRequests) -> None:
    old = requests.create(body(payload=1, headers={"a": "b"}, labels=["x"], secret=SECRET), NOW_MS).spec
    assert requests.changed(JobChanges(), old) == old


def test_a_change_replaces_one_kind_of_body_by_the_other(requests: JobRequests) -> None:
    old = requests.create(body(payload=1), NOW_MS).spec
    changed = requests.changed(JobChanges(body_base64="aGk="), old)
    assert (changed.body, changed.is_json) == (b"hi", False)
    assert requests.changed(JobChanges(payload=msgspec.Raw(b"[]")), changed).is_json is True


def test_header_names_keep_their_spelling() -> None:
    pairs = (("X-Shop-Id", "1"), ("accept", "*/*"))
    assert check_headers(pairs) == pairs


json_text = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
OBJECT_NAMES = st.sampled_from(["url", "payload", "headers", "id", "labels"])


@given(st.lists(st.tuples(OBJECT_NAMES, json_text), max_size=6), st.booleans())
def test_a_field_is_found_twice_exactly_when_it_is(pairs: list[tuple[str, Any]], ascii_only: bool) -> None:
    text = "{" + ",".join(f"{json.dumps(n)}:{json.dumps(v, ensure_ascii=ascii_only)}" for n, v in pairs) + "}"
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        assert set(unique_fields(text.encode())) == set(names)
    else:
        with pytest.raises(errors.InvalidJson):
            unique_fields(text.encode())


@given(
    st.lists(st.tuples(st.text(alphabet=':a\\"é', max_size=3), st.text(alphabet=':b\\"', max_size=3)), max_size=5),
    st.booleans(),
)
def test_the_same_for_names_the_user_chooses(pairs: list[tuple[str, str]], ascii_only: bool) -> None:
    text = "{" + ",".join(f"{json.dumps(n, ensure_ascii=ascii_only)}:{json.dumps(v)}" for n, v in pairs) + "}"
    raw = msgspec.Raw(text.encode())
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        check_unique_names(raw)
    else:
        with pytest.raises(errors.InvalidJson):
            check_unique_names(raw)


@given(st.text(max_size=50), st.text(max_size=20))
def test_a_cursor_comes_back(position: str, scope: str) -> None:
    assert decode_cursor(encode_cursor(position, scope), scope) == position


@given(st.text(max_size=60))
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(errors.InvalidCursor):
        decode_cursor(cursor, "jobs")


@pytest.mark.parametrize("position", ["abc", "-1", "1.5", "1" * 5_000, "", "\u0663"])
def test_a_forged_cursor_that_is_no_number_is_refused(position: str) -> None:
    """Its check is not a secret."""
    with pytest.raises(errors.InvalidCursor):
        decode_number(encode_cursor(position, "jobs"), "jobs")
    assert decode_number(encode_cursor("17", "jobs"), "jobs") == 17


def test_many_names_of_which_the_last_is_there_twice_are_read_once() -> None:
    """A list of names that is gone through for each name would take minutes for these."""
    names = [f"n{number}" for number in range(200_000)]
    text = "{" + ",".join(f'"{name}":1' for name in (*names, names[-1])) + "}"
    with pytest.raises(errors.InvalidJson, match="twice"):
        unique_fields(text.encode())


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode), st.integers(1, 5))
def test_a_body_is_utf8_whatever_the_parts_that_it_is_looked_at_in(text: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_DECODED_BYTES", size)
        try:
            text.decode()
        except UnicodeDecodeError as error:
            with pytest.raises(errors.InvalidJson, match=f"byte {error.start}$"):
                check_utf8(text)
        else:
            if not text.startswith(b"\xef\xbb\xbf"):
                check_utf8(text)
