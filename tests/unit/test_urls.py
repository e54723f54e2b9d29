"""Jobs take some urls, normalised, and refuse others with words that help."""

import pytest

from hookline.errors import InvalidUrl
from hookline.protocol.limits import URL_BYTES_MAX
from hookline.protocol.urls import parse_url

# ruff: noqa: RUF001 (characters that look like others are what this is about)

LABEL_63 = "a" * 63
HOST_253 = ".".join(["a" * 49] * 5) + ".com"  # 5 * 49 + 5 + 3

AS_GIVEN = "/b/../%2e%2E/./;d?$filter=name%20eq%20'x'&e=@:/?[]!()*+,~_-.%zz%"

ACCEPTED = [
    # given, url, host, port, destination, host header
    ("http://a.com", "http://a.com/", "a.com", 80, "http://a.com:80", "a.com"),
    ("https://a.com", "https://a.com/", "a.com", 443, "https://a.com:443", "a.com"),
    ("HTTPS://Hooks.Example.COM/In", "https://hooks.example.com/In", "hooks.example.com", 443, None, None),
    ("http://a.com:80/", "http://a.com/", "a.com", 80, "http://a.com:80", "a.com"),
    ("https://a.com:443/", "https://a.com/", "a.com", 443, "https://a.com:443", "a.com"),
    ("http://a.com:443/", "http://a.com:443/", "a.com", 443, "http://a.com:443", "a.com:443"),
    ("https://a.com:8443/x", "https://a.com:8443/x", "a.com", 8443, "https://a.com:8443", "a.com:8443"),
    ("http://a.com:65535/", "http://a.com:65535/", "a.com", 65535, None, "a.com:65535"),
    ("http://a.com:1/", "http://a.com:1/", "a.com", 1, None, "a.com:1"),
    ("http://a.com?x=1", "http://a.com/?x=1", "a.com", 80, None, None),
    ("http://a.com/?", "http://a.com/?", "a.com", 80, None, None),
    (f"http://a.com/{AS_GIVEN}", f"http://a.com/{AS_GIVEN}", "a.com", 80, None, None),
    ("http://my_app_1:8080/hook", "http://my_app_1:8080/hook", "my_app_1", 8080, "http://my_app_1:8080", None),
    ("http://_in.A_B.example/", "http://_in.a_b.example/", "_in.a_b.example", 80, None, "_in.a_b.example"),
    ("http://a_.com/", "http://a_.com/", "a_.com", 80, None, None),
    ("http://1_0/", "http://1_0/", "1_0", 80, None, None),  # no number to any parser
    ("http://127.0.0.0x7f_1/", "http://127.0.0.0x7f_1/", "127.0.0.0x7f_1", 80, None, None),
    ("http://a.com/user@b.com:99/", "http://a.com/user@b.com:99/", "a.com", 80, None, None),
    ("http://localhost:8080/", "http://localhost:8080/", "localhost", 8080, None, "localhost:8080"),
    ("http://r3---sn-4g.example.com/", "http://r3---sn-4g.example.com/", "r3---sn-4g.example.com", 80, None, None),
    ("http://3com.com/", "http://3com.com/", "3com.com", 80, None, None),
    ("http://1.2.3.4.com/", "http://1.2.3.4.com/", "1.2.3.4.com", 80, None, None),
    ("http://a.0x7g/", "http://a.0x7g/", "a.0x7g", 80, None, None),
    (f"http://{LABEL_63}.com/", f"http://{LABEL_63}.com/", f"{LABEL_63}.com", 80, None, None),
    (f"http://{HOST_253}/", f"http://{HOST_253}/", HOST_253, 80, None, None),
    ("https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, None, None),
    ("https://BÜCHER.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, None, None),
    ("https://XN--BCHER-KVA.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, None, None),
    ("https://faß.de/", "https://xn--fa-hia.de/", "xn--fa-hia.de", 443, None, None),
    ("https://中文.com/", "https://xn--fiq228c.com/", "xn--fiq228c.com", 443, None, None),
    ("https://אב.com/", "https://xn--4dbc.com/", "xn--4dbc.com", 443, None, None),
]

LITERALS = [
    ("http://192.0.2.1/", "192.0.2.1", "http://192.0.2.1:80", "192.0.2.1"),
    ("http://255.255.255.255:8080/", "255.255.255.255", "http://255.255.255.255:8080", "255.255.255.255:8080"),
    ("http://0.0.0.0/", "0.0.0.0", "http://0.0.0.0:80", "0.0.0.0"),
    ("http://[::1]/", "::1", "http://[::1]:80", "[::1]"),
    ("http://[::1]:8080/", "::1", "http://[::1]:8080", "[::1]:8080"),
    ("https://[2001:DB8::1]/", "2001:db8::1", "https://[2001:db8::1]:443", "[2001:db8::1]"),
    ("http://[::ffff:127.0.0.1]/", "::ffff:7f00:1", "http://[::ffff:7f00:1]:80", "[::ffff:7f00:1]"),
    ("http://[::ffff:7f00:1]/", "::ffff:7f00:1", "http://[::ffff:7f00:1]:80", "[::ffff:7f00:1]"),
    ("http://[::ffff:0:1]/", "::ffff:0:1", "http://[::ffff:0:1]:80", "[::ffff:0:1]"),
]

REFUSED = [
    # given, a piece of the detail
    ("", "must start with http:// or https://"),
    ("a.com", "must start with http:// or https://"),
    ("//a.com/", "must start with http:// or https://"),
    ("/path", "must start with http:// or https://"),
    ("://a.com", "must start with http:// or https://"),
    ("http:a.com", "must start with http:// or https://"),
    ("http:/a.com", "must start with http:// or https://"),
    ("javascript:alert(1)", "must start with http:// or https://"),
    ("http://", "host is missing"),
    ("http:///a.com", "host is missing"),
    ("http:///", "host is missing"),
    ("http://?x", "host is missing"),
    ("http://:80/", "host is missing"),
    ("file:///etc/passwd", "scheme must be http or https, not file"),
    ("file://a.com/etc/passwd", "scheme must be http or https, not file"),
    ("gopher://a.com/_x", "scheme must be http or https, not gopher"),
    ("ftp://a.com/", "scheme must be http or https, not ftp"),
    ("ws://a.com/", "scheme must be http or https, not ws"),
    ("unix://a.com/", "scheme must be http or https"),
    ("view-source:http://a.com/", "scheme must be http or https"),
    ("http://http://a.com/", "port must be a number"),
    # what other parsers skip or turn into something else
    (" http://a.com/", "a space is not allowed"),
    ("http://a.com/ ", "a space is not allowed"),
    ("http://a .com/", "a space is not allowed"),
    ("http://a.com/x y", "a space is not allowed"),
    ("ht\ttp://a.com/", "control character U+0009"),
    ("http://a.c\nom/", "control character U+000A"),
    ("http://a.com/\r\nHost: b", "control character U+000D"),
    ("http://a.com/\0", "control character U+0000"),
    ('http://a.com/x"y', '" is not allowed in a url (character 15); percent-encode it as %22'),
    ("http://a.com/<", "< is not allowed in a url (character 14); percent-encode it as %3C"),
    ("http://a.com/a>", "> is not allowed in a url (character 15); percent-encode it as %3E"),
    ("http://a.com/?q=^", "^ is not allowed in a url (character 17); percent-encode it as %5E"),
    ("http://a.com/`", "a backtick is not allowed in a url (character 14); percent-encode it as %60"),
    ("http://a.com/{id}", "{ is not allowed in a url (character 14); percent-encode it as %7B"),
    ("http://a.com/a|b", "| is not allowed in a url (character 15); percent-encode it as %7C"),
    ("http://a.com?b}", "} is not allowed in a url (character 15); percent-encode it as %7D"),
    ("http://a.com/a/\\", "a backslash is not allowed in a url (character 16); percent-encode it as %5C"),
    ("http://a.com/x y", "a space is not allowed in a url (character 15); percent-encode it as %20"),
    ("http://a.com/\t", "control character U+0009 is not allowed in a url (character 14); percent-encode it as %09"),
    ("http://a.com/é", "é (U+00E9) is not allowed in a url (character 14); percent-encode it as %C3%A9"),
    ("http://a.com/😀", "percent-encode it as %F0%9F%98%80"),
    ("http://bücher.example/ü", "ü (U+00FC) is not allowed in a url (character 23)"),
    ("http://a.com/#top", "a fragment (#…) is not allowed in a url (character 14); leave it out"),
    ("http://a b.com/", "a space is not allowed in a url (character 9); leave it out"),
    ("http://a.com\x7f/", "control character U+007F"),
    ("http://a.com/\x85", "control character U+0085"),
    ("http:\\\\a.com\\", "a backslash is not allowed"),
    ("http://a.com\\@b.com/", "a backslash is not allowed"),
    ("http://a.com/\\b", "a backslash is not allowed"),
    ("http://a.com/#top", "a fragment"),
    ("http://a.com#@b.com/", "a fragment"),
    ("http://a.com/ü", "percent-encode"),
    ("http://a.com/?q=ü", "percent-encode"),
    ("http://a.com/\u2028", "percent-encode"),
    ("http://a.com/\ud800", "half of a surrogate pair"),
    ("http://user@a.com/", "user name and password"),
    ("http://user:secret@a.com/", "user name and password"),
    ("http://@a.com/", "user name and password"),
    ("http://a.com:80@b.com/", "user name and password"),
    # ports
    ("http://a.com:0/", "port must be a number from 1 to 65535, not 0"),
    ("http://a.com:-1/", "port must be a number from 1 to 65535, not -1"),
    ("http://a.com:65536/", "port must be a number from 1 to 65535, not 65536"),
    ("http://a.com:080/", "port must be a number"),
    ("http://a.com:+80/", "port must be a number"),
    ("http://a.com:8_0/", "port must be a number"),
    ("http://a.com:８０/", "port must be a number"),
    ("http://a.com:٨٠/", "port must be a number"),
    ("http://a.com:80x/", "port must be a number"),
    ("http://a.com:0x50/", "port must be a number"),
    ("http://a.com:/", "port must be a number"),
    ("http://a.com:80:80/", "more than one colon"),
    ("http://a.com:" + "9" * 1000 + "/", "port must be a number"),
    # hosts that getaddrinfo or a url parser turns into an address
    ("http://2130706433/", "neither a name nor a canonical IPv4 address"),
    ("http://0x7f000001/", "neither a name nor a canonical IPv4 address"),
    ("http://0X7F000001/", "neither a name nor a canonical IPv4 address"),
    ("http://017700000001/", "neither a name nor a canonical IPv4 address"),
    ("http://127.1/", "neither a name nor a canonical IPv4 address"),
    ("http://127.0.1/", "neither a name nor a canonical IPv4 address"),
    ("http://0/", "neither a name nor a canonical IPv4 address"),
    ("http://0x/", "neither a name nor a canonical IPv4 address"),
    ("http://127.0.0.0x1/", "neither a name nor a canonical IPv4 address"),
    ("http://0x7f.0.0.1/", "neither a name nor a canonical IPv4 address"),
    ("http://0177.0.0.1/", "neither a name nor a canonical IPv4 address"),
    ("http://127.0.0.01/", "neither a name nor a canonical IPv4 address"),
    ("http://1.2.3.256/", "neither a name nor a canonical IPv4 address"),
    ("http://1.2.3.4.5/", "neither a name nor a canonical IPv4 address"),
    ("http://a.com.1/", "neither a name nor a canonical IPv4 address"),
    ("http://a.0xff/", "neither a name nor a canonical IPv4 address"),
    ("http://1.2.3.4./", "empty label"),
    ("http://2130706433./", "empty label"),
    ("http://１２７.0.0.1/", "internationalised label"),
    ("http://127.0.0.１/", "internationalised label"),
    ("http://１２７。０。０。１/", "internationalised label"),
    ("http://127。0。0。1/", "internationalised label"),
    ("http://①②⑦.0.0.1/", "internationalised label"),
    ("http://١٢٧.0.0.1/", "internationalised label"),
    ("http://xn--127-0/", "internationalised label"),
    ("http://%31%32%37.0.0.1/", "letters, digits, underscores and inner hyphens"),
    ("http://127.0.0.1%00.a.com/", "letters, digits, underscores and inner hyphens"),
    # names
    ("http://a.com./", "empty label"),
    ("http://.a.com/", "empty label"),
    ("http://a..com/", "empty label"),
    ("http://./", "empty label"),
    ("http://-a.com/", "letters, digits, underscores and inner hyphens"),
    ("http://a-.com/", "letters, digits, underscores and inner hyphens"),
    ("http://a.com,b.com/", "letters, digits, underscores and inner hyphens"),
    ("http://a.com;/", "letters, digits, underscores and inner hyphens"),
    ("http://a!b.com/", "letters, digits, underscores and inner hyphens"),
    ("http://*.com/", "letters, digits, underscores and inner hyphens"),
    ("http://a'b.com/", "letters, digits, underscores and inner hyphens"),
    ("http://a]b.com/", "letters, digits, underscores and inner hyphens"),
    (f"http://{LABEL_63}a.com/", "longer than 63"),
    (f"http://{HOST_253}a/", "longer than 253"),
    (f"http://{'ü' * 70}.com/", "internationalised label"),
    ("http://" + ".".join(["ü" * 20] * 11) + "/", "longer than 253"),
    ("http://xn--a.com/", "internationalised label"),
    ("http://xn--.com/", "internationalised label"),
    ("http://a\u00adb.com/", "internationalised label"),
    ("http://a\u200bb.com/", "internationalised label"),
    ("http://\u2100.com/", "internationalised label"),
    ("http://a\uff0fb.com/", "internationalised label"),
    ("http://a\uff20b.com/", "internationalised label"),
    ("http://\ud800.com/", "internationalised label"),
    ("http://1a.אב/", "right-to-left"),
    # IPv6
    ("http://::1/", "[address]"),
    ("http://2001:db8::1/", "[address]"),
    ("http://[::1/", "[address]"),
    ("http://[::1]x/", "[address]"),
    ("http://[::1]8080/", "[address]"),
    ("http://[::1]]/", "[address]"),
    ("http://[]/", "not an IPv6 address"),
    ("http://[127.0.0.1]/", "not an IPv6 address"),
    ("http://[v1.a]/", "not an IPv6 address"),
    ("http://[::g]/", "not an IPv6 address"),
    ("http://[fe80::1%eth0]/", "zone"),
    ("http://[fe80::1%25eth0]/", "zone"),
    ("http://[::1%]/", "zone"),
    ("http://[0:0:0:0:0:0:0:1]/", "canonical form, [::1]"),
    ("http://[::0001]/", "canonical form, [::1]"),
    ("http://[::127.0.0.1]/", "canonical form, [::7f00:1]"),
    ("http://[0::ffff:127.0.0.1]/", "canonical form, [::ffff:7f00:1]"),
    ("http://[64:ff9b::127.0.0.1]/", "canonical form, [64:ff9b::7f00:1]"),
    # length
    ("http://a.com/" + "a" * (URL_BYTES_MAX - 12), "longer than 8192 bytes"),
    ("http://a.com/" + "a" * 1_000_000, "longer than 8192 bytes"),
    ("http://a.com?" + "a" * (URL_BYTES_MAX - 13), "longer than 8192 bytes"),  # the "/" makes it one too many
]


@pytest.mark.parametrize(("given", "url", "host", "port", "destination", "host_header"), ACCEPTED)
def test_accepts_names(
    given: str, url: str, host: str, port: int, destination: str | None, host_header: str | None
) -> None:
    target = parse_url(given)
    assert (target.url, target.host, target.port, target.is_literal) == (url, host, port, False)
    assert target.scheme == url.partition(":")[0]
    assert destination in (None, target.destination)
    assert target.destination == f"{target.scheme}://{host}:{port}"
    assert host_header in (None, target.host_header)


@pytest.mark.parametrize(("given", "host", "destination", "host_header"), LITERALS)
def test_accepts_canonical_addresses(given: str, host: str, destination: str, host_header: str) -> None:
    target = parse_url(given)
    assert (target.host, target.destination, target.host_header) == (host, destination, host_header)
    assert target.is_literal
    assert target.url == f"{target.scheme}://{host_header}/"


@pytest.mark.parametrize(
    ("given", "detail"), REFUSED, ids=[f"{ascii(url)[:60]}-{n}" for n, (url, _) in enumerate(REFUSED)]
)
def test_refuses_and_says_why(given: str, detail: str) -> None:
    for _ in range(2):  # the second time the origin could come from the cache
        with pytest.raises(InvalidUrl) as refusal:
            parse_url(given)
        assert detail in refusal.value.detail
        assert refusal.value.field == "url"
        assert refusal.value.code == "invalid_url"
        assert len(refusal.value.detail) < 300


def test_a_refusal_never_repeats_a_password() -> None:
    with pytest.raises(InvalidUrl) as refusal:
        parse_url("https://user:hunter2@a.com/")
    assert "hunter2" not in str(refusal.value.to_problem())


def test_longest_url() -> None:
    url = "http://a.com/" + "a" * (URL_BYTES_MAX - 13)
    assert len(url) == URL_BYTES_MAX
    assert parse_url(url).url == url


def test_path_and_query_stay_as_given_for_the_same_origin() -> None:
    assert [parse_url(f"http://same.example/{n}?n={n}").url for n in range(3)] == [
        f"http://same.example/{n}?n={n}" for n in range(3)
    ]


def test_a_url_that_was_read_before_is_read_the_same() -> None:
    for url in ("http://A.test:80/x?y", "http://a.test/" + "x" * 300):
        assert parse_url(url) == parse_url(url)
    for _ in range(2):
        with pytest.raises(InvalidUrl, match="scheme"):
            parse_url("ftp://a.test/")
