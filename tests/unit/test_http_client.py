"""The pure pieces of the HTTP client: the bytes of a request, the reading of an answer, the kept connections."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.http_client.answer import INTERIM_MAX, Answer, AnswerReader, BadAnswer
from hookline.http_client.pool import IdlePool
from hookline.http_client.request import Unsendable, request_parts
from hookline.protocol.limits import RESPONSE_HEADER_BYTES_MAX

# --- the bytes of a request -------------------------------------------------------------------------------------


def whole(method: str, path: str, host: str, headers: Sequence[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    return b"".join(request_parts(method, path, host, headers, body))


def test_a_large_body_is_not_copied() -> None:
    body = b"x" * 1_000_000
    head, sent = request_parts("POST", "/", "h", [], body)
    assert sent is body
    assert head == b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"


def test_a_request_is_sent_byte_for_byte() -> None:
    headers = [(b"accessToken", b"a  b\tc"), (b"X-API-KEY", b"k"), (b"soapaction", b'"x"'), (b"X-Empty", b"")]
    assert whole("POST", "/a/../b/%2e?f='x'&y=[1]", "e.example:81", headers, b'{"a": 1}') == (
        b"POST /a/../b/%2e?f='x'&y=[1] HTTP/1.1\r\nHost: e.example:81\r\naccessToken: a  b\tc\r\nX-API-KEY: k\r\n"
        b'soapaction: "x"\r\nX-Empty: \r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_methods_that_have_a_body_say_that_it_is_empty(method: str) -> None:
    assert whole(method, "/", "h", []) == b"%s / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % method.encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_other_methods_have_a_length_with_a_body_only(method: str) -> None:
    assert whole(method, "/", "h", []) == b"%s / HTTP/1.1\r\nHost: h\r\n\r\n" % method.encode()
    assert whole(method, "/", "h", [], b"x").endswith(b"Content-Length: 1\r\n\r\nx")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", []),
        ("/a\r\nX: y", []),
        ("/\xe4", []),
        ("/", [(b"bad name", b"v")]),
        ("/", [(b"", b"v")]),
        ("/", [(b"x", b"line\r\nbreak")]),
        ("/", [(b"x", b"line\nbreak")]),
        ("/", [(b"x", b"v\r\nanother: header")]),
        ("/ HTTP/1.1\r\nanother: header\r\nx: y", []),
        ("/", [(b"x", b"return\rhere")]),
        ("/", [(b"x", b"nul\0")]),
        ("/", [(b"x", b"\x1b[31m")]),
        ("/", [(b"x", b" begins with a space")]),
        ("/", [(b"x", b"ends with a tab\t")]),
        ("/", [(b"x\r\nY", b"v")]),
    ],
)
def test_what_would_not_be_this_one_request_is_not_sent(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unsendable):
        request_parts("POST", path, "h", headers)


# --- the reading of an answer -----------------------------------------------------------------------------------


def read(data: bytes, *, ends: bool = False, is_head: bool = False, body_max: int | None = None) -> AnswerReader:
    reader = AnswerReader(is_head=is_head, body_max=body_max)
    reader.feed(data)
    if ends:
        reader.end()
    return reader


def read_in_steps(data: bytes, step: int) -> AnswerReader:
    reader = AnswerReader()
    for at in range(0, len(data), step):
        if not reader.is_complete:
            reader.feed(data[at : at + step])
    return reader


def told(reader: AnswerReader) -> tuple[int, bytes, bool, bool, bool]:
    answer = reader.answer()
    return answer.status, answer.body, answer.is_whole, reader.is_complete, reader.is_reusable


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
WHOLE_AND_KEPT = (True, True, True)
WHOLE_AND_OVER = (True, True, False)
CUT_AND_OVER = (False, True, False)
NOT_YET = (False, False, False)

ANSWERS = {
    "a length": (OK + b"content-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "no body": (OK + b"content-length: 0\r\n\r\n", b"", WHOLE_AND_KEPT),
    "the same length twice": (OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "chunks": (CHUNKED + b"1;a=b\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok", WHOLE_AND_KEPT),
    "chunks with trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX-A: b\r\n\r\n", b"ok", WHOLE_AND_KEPT),
    "a length behind chunks": (CHUNKED + b"2\r\nok\r\n0\r\ncontent-length: 9\r\n\r\n", b"ok", CUT_AND_OVER),
    "204": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", b"", WHOLE_AND_KEPT),
    "304": (b"HTTP/1.1 304 \r\n\r\n", b"", WHOLE_AND_KEPT),
    "asked to close": (OK + b"Connection: Foo, CLOSE\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "an old version": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "an old version that stays": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        b"ok",
        WHOLE_AND_KEPT,
    ),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok",
        b"ok",
        WHOLE_AND_KEPT,
    ),
    "more than an answer": (OK + b"content-length: 2\r\n\r\nokHTTP/1.1 200", b"ok", WHOLE_AND_OVER),
    "more than chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 2", b"ok", WHOLE_AND_OVER),
    "more than no body": (b"HTTP/1.1 204 X\r\n\r\nx", b"", WHOLE_AND_OVER),
    # What is about us is strict, but what was handled is a success: the status line decides.
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", b"ok", WHOLE_AND_KEPT),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "an odd reason": (b"HTTP/1.1 200 \xff\x01\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "lines before it": (b"\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "a folded line": (OK + b"X-A: b\r\n c\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "a space before the colon": (OK + b"X-A : b\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "a space in the name": (OK + b"X A: b\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "no colon": (OK + b"nonsense\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "no name": (OK + b": b\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "a fold with nothing before it": (OK + b" x\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_OVER),
    "a control character": (OK + b"X-A: a\x00\x01b\r\ncontent-length: 2\r\n\r\nok", b"ok", WHOLE_AND_KEPT),
    "two lengths": (OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok", b"ok", NOT_YET),
    "a length that is none": (OK + b"content-length: two\r\n\r\nok", b"ok", NOT_YET),
    "a negative length": (OK + b"content-length: -2\r\n\r\nok", b"ok", NOT_YET),
    "another coding": (OK + b"transfer-encoding: gzip\r\n\r\nok", b"ok", NOT_YET),
    "a length and chunks": (
        OK + b"content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
        WHOLE_AND_OVER,
    ),
    "until the end": (OK + b"\r\nok", b"ok", NOT_YET),
    "chunks that are none": (CHUNKED + b"2\r\nok\r\nzz\r\n", b"ok", CUT_AND_OVER),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read(name: str) -> None:
    data, body, rest = ANSWERS[name]
    status = next((number for number in (204, 304) if b"HTTP/1.1 %d" % number in data), 200)
    assert told(read(data)) == (status, body, *rest)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_however_it_is_cut(name: str) -> None:
    data, *_ = ANSWERS[name]
    whole = read(data)
    for step in (1, 2, 3, 7):
        assert read_in_steps(data, step).answer() == whole.answer()


@pytest.mark.parametrize(
    ("data", "body", "is_whole"),
    [
        (OK + b"\r\nok", b"ok", True),
        (OK + b"content-length: 30\r\n\r\ndatabase is down", b"database is down", False),
        (CHUNKED + b"5\r\nhel", b"hel", False),
        (OK + b"transfer-encoding: gzip, chunked\r\n\r\nx", b"x", False),
        (OK + b"transfer-encoding: gzip\r\n\r\nx", b"x", True),
    ],
)
def test_what_came_before_the_connection_ended_is_kept(data: bytes, body: bytes, is_whole: bool) -> None:
    assert told(read(data, ends=True)) == (200, body, is_whole, True, False)


def test_an_answer_to_head_has_no_body() -> None:
    assert told(read(OK + b"content-length: 5\r\n\r\n", is_head=True)) == (200, b"", *WHOLE_AND_KEPT)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"content-length: 9\r\n\r\n123456789", b"1234"),
        (CHUNKED + b"9\r\n123456789\r\n0\r\n\r\n", b"1234"),
        (OK + b"\r\n123456789", b"1234"),
        (OK + b"content-length: 99\r\n\r\n12345", b"1234"),
    ],
)
def test_a_long_body_is_cut(data: bytes, body: bytes) -> None:
    assert told(read(data, body_max=4)) == (200, body, *CUT_AND_OVER)


def test_a_body_that_just_fits_is_whole() -> None:
    assert told(read(OK + b"content-length: 4\r\n\r\n1234", body_max=4)) == (200, b"1234", *WHOLE_AND_KEPT)


def test_chunks_that_are_mostly_overhead_are_cut() -> None:
    reader = read(CHUNKED, body_max=64 * 1024)
    fed = 0
    while not reader.is_complete:
        reader.feed(b"1;%b\r\nx\r\n" % (b"y" * 100) * 100)
        fed += 1
        assert fed < 10
    assert told(reader)[2:] == CUT_AND_OVER


def test_an_endless_trailer_is_cut() -> None:
    reader = read(CHUNKED + b"2\r\nok\r\n0\r\n")
    for number in range(10_000):
        if reader.is_complete:
            break
        reader.feed(b"t%d: %b\r\n" % (number, b"x" * 1_000))
    assert told(reader) == (200, b"ok", *CUT_AND_OVER)
    assert number < 100


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 999999 X\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 099 X\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2 X\r\n\r\n", "not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n", "101"),
        (OK + b"x: " + b"y" * RESPONSE_HEADER_BYTES_MAX + b"\r\n\r\n", "larger than"),
        (b"x" * (RESPONSE_HEADER_BYTES_MAX + 1), "larger than"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * (INTERIM_MAX + 1), "interim"),
    ],
)
def test_what_is_no_answer(data: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        read(data)
    with pytest.raises(BadAnswer, match=why):
        read_in_steps(data, 100)


def test_ten_interim_answers_are_taken() -> None:
    assert told(read(b"HTTP/1.1 103 Early\r\n\r\n" * INTERIM_MAX + OK + b"content-length: 0\r\n\r\n"))[0] == 200


def test_odd_header_lines_are_made_readable_or_dropped() -> None:
    reader = read(
        OK + b"X-A:  b\r\n\t c\r\nY : d\r\nz z: e\r\n f\r\nnonsense\r\n: g\r\nX-A: h\r\ncontent-length: 0\r\n\r\n"
    )
    assert reader.answer() == Answer(
        200, [(b"x-a", b"b c"), (b"y", b"d"), (b"x-a", b"h"), (b"content-length", b"0")], b"", is_whole=True
    )


def test_there_is_no_answer_before_the_head_is_there() -> None:
    reader = AnswerReader()
    reader.end()
    assert (reader.status, reader.has_begun) == (None, False)
    reader = read(b"HTTP/1.1 200 OK\r\nx: ", ends=True)
    assert (reader.status, reader.has_begun) == (None, True)


PIECES = (b"HTTP/1.1 200 OK", b"\r\n", b"\n", b":", b" ", b"chunked", b"transfer-encoding: ", b"content-length: ", b"7")


@given(st.lists(st.sampled_from((*PIECES, b"\xff", b"0", b"HTTP/1.1 100 A\r\n\r\n")), max_size=30))
def test_no_bytes_at_all_do_anything_but_these(parts: list[bytes]) -> None:
    reader = AnswerReader(body_max=100)
    try:
        for part in parts:
            if not reader.is_complete:
                reader.feed(part)
        reader.end()
    except BadAnswer:
        return
    if reader.status is not None:
        assert reader.is_complete
        assert len(reader.answer().body) <= 100


# --- kept connections -------------------------------------------------------------------------------------------


def test_the_connection_used_last_is_taken_first() -> None:
    pool: IdlePool[str, str] = IdlePool(4, 10)
    pool.put("a", "1", 0)
    pool.put("a", "2", 1)
    pool.put("b", "3", 2)
    assert [pool.take(key) for key in ("a", "a", "a", "b")] == ["2", "1", None, "3"]
    assert len(pool) == 0


def test_connections_get_old() -> None:
    pool: IdlePool[str, str] = IdlePool(4, 10)
    pool.put("a", "1", 0)
    pool.put("a", "2", 1)
    assert pool.expire(3.9) == []
    assert pool.next_expiry_s() == 4
    assert pool.expire(4) == ["1"]
    assert pool.take("a") == "2"
    assert pool.next_expiry_s() is None


def test_the_oldest_makes_room() -> None:
    pool: IdlePool[str, str] = IdlePool(4, 2)
    assert pool.put("a", "1", 0) == []
    assert pool.put("b", "2", 0) == []
    assert pool.put("c", "3", 0) == ["1"]
    assert [pool.take("a"), pool.take("b")] == [None, "2"]


def test_one_that_has_ended_is_not_taken() -> None:
    pool: IdlePool[str, str] = IdlePool(4, 10)
    pool.put("a", "1", 0)
    pool.remove("1")
    pool.remove("1")
    assert pool.take("a") is None
    assert pool.expire(100) == []
