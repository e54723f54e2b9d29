"""Requests that break HTTP, or stretch it: a server refuses each with one answer, and stores nothing."""

JOB = b'{"url":"https://example.com/hook"}'
HEAD = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

SMUGGLED = {
    "CL and TE": HEAD + b"Content-Length: 34\r\nTransfer-Encoding: chunked\r\n\r\n" + JOB,
    "TE and CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 34\r\n\r\n0\r\n\r\n",
    "two Content-Lengths": HEAD + b"Content-Length: 34\r\nContent-Length: 34\r\n\r\n" + JOB,
    "a list of Content-Lengths": HEAD + b"Content-Length: 34, 34\r\n\r\n" + JOB,
    "a signed Content-Length": HEAD + b"Content-Length: +34\r\n\r\n" + JOB,
    "a negative Content-Length": HEAD + b"Content-Length: -1\r\n\r\n" + JOB,
    "bare LF": (HEAD + b"Content-Length: 34\r\n\r\n").replace(b"\r\n", b"\n") + JOB,
    "one bare LF": HEAD + b"X-A: b\nContent-Length: 34\r\n\r\n" + JOB,
    "bare CR": HEAD + b"X-A: b\rContent-Length: 34\r\n\r\n" + JOB,
    "bare LF in a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n22\n" + JOB + b"\n0\n\n",
    "gzip and chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n22\r\n" + JOB + b"\r\n0\r\n\r\n",
    "xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n22\r\n" + JOB + b"\r\n0\r\n\r\n",
    "space before the colon": HEAD + b"Content-Length : 34\r\n\r\n" + JOB,
    "a folded header": HEAD + b"X-A: b\r\n c\r\nContent-Length: 34\r\n\r\n" + JOB,
    "chunked in HTTP/1.0": b"POST /jobs HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n" + JOB + b"\r\n0\r\n\r\n",
    "no Host": b"POST /jobs HTTP/1.1\r\nContent-Length: 34\r\n\r\n" + JOB,
    "two Hosts": b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nHost: b\r\nContent-Length: 34\r\n\r\n" + JOB,
    "HTTP/2.0": b"GET /jobs HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "space in the path": b"GET /jo bs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no HTTP": b"hello\r\n\r\n",
}

LARGE_HEADS = {
    "one large header": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 65_536 + b"\r\n\r\n",
    "many headers": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 11_000 + b"\r\n",
    "many headers of 7 KB": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 1_100,
    "a header without end": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000,
    "a path without end": b"GET /" + b"a" * 100_000,
}

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n22\r\n" + JOB + b"\r\n0\r\n"

LARGE_TRAILERS = {
    "many trailers": CHUNKED + b"".join(b"t%d: x\r\n" % n for n in range(20_000)),
    "one long trailer": CHUNKED + b"t: " + b"x" * 200_000,
}
