"""The destinations that jobs may have, before any name is resolved, and what each refusal tells to do."""

import pytest

from hookline.errors import ForbiddenDestination
from hookline.protocol.destination_patterns import parse_patterns
from hookline.protocol.destination_rules import OPEN, KnownRules, Rules, check_address, check_target
from hookline.protocol.urls import parse_url

CLOSED = Rules()


def allowing(allow: str, deny: str = "") -> Rules:
    return Rules(parse_patterns(allow, "allow-destinations"), parse_patterns(deny, "deny-destinations"))


def refusal(url: str, rules: Rules) -> str:
    with pytest.raises(ForbiddenDestination) as caught:
        check_target(parse_url(url), rules)
    assert (caught.value.code, caught.value.field) == ("forbidden_destination", "url")
    return caught.value.detail


@pytest.mark.parametrize("port", [80, 443, 8000, 8080, 8443])
def test_default_ports_are_allowed(port: int) -> None:
    check_target(parse_url(f"http://a.com:{port}/"), CLOSED)


@pytest.mark.parametrize("port", [1, 22, 25, 6379, 7070, 65535])
def test_the_refusal_of_a_port_gives_the_very_option(port: int) -> None:
    told = refusal(f"http://a.com:{port}/", CLOSED)
    assert f"port {port} is not allowed; allowed are 80, 443, 8000, 8080, 8443" in told
    wanted = ",".join(map(str, sorted({80, 443, 8000, 8080, 8443, port})))
    assert f"--destination-ports {wanted}" in told
    assert "--allow-destinations a.com" in told
    assert "allow-private" not in told
    for ports in (frozenset({port}), None):
        check_target(parse_url(f"http://a.com:{port}/"), Rules(ports=ports))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[fd00::1]/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://a.localhost/",
        "http://a.b.LocalHost/",
        "http://a.com:22/",
    ],
)
def test_creation_refuses_what_can_be_told_without_dns_and_never_advises_to_open_all(url: str) -> None:
    assert "allow-private" not in refusal(url, CLOSED)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.com/",
        "https://8.8.8.8:8443/",
        "http://[2606:4700::1111]/",
        "http://localhost.com/",
        "http://notlocalhost/",
    ],
)
def test_creation_takes_what_may_be_public(url: str) -> None:
    check_target(parse_url(url), CLOSED)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:5000/", "http://localhost:22/", "http://[::1]:1/", "http://10.0.0.1/", "http://a.com:25/"]
)
def test_creation_with_private_destinations_allowed(url: str) -> None:
    check_target(parse_url(url), OPEN)


@pytest.mark.parametrize(
    "url", ["http://0.0.0.0/", "http://[::]/", "http://224.0.0.1/", "http://[ff02::1]/", "http://[::ffff:0.0.0.0]/"]
)
@pytest.mark.parametrize("rules", [OPEN, allowing("0.0.0.0/0,::/0")], ids=["open", "all named"])
def test_creation_never_takes_what_is_no_server(url: str, rules: Rules) -> None:
    assert "no server can have" in refusal(url, rules)


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("http://10.2.0.5/", "10.2.0.5"),
        ("http://127.0.0.1:22/", "127.0.0.1"),
        ("http://[fd00::1]:9000/", "fd00::1"),
        ("http://localhost:9000/", "localhost"),
        ("http://169.254.169.254/", "169.254.169.254"),
    ],
)
def test_what_a_refusal_says_to_give_is_what_opens_it(url: str, value: str) -> None:
    assert refusal(url, CLOSED).endswith(f"--allow-destinations {value}")
    check_target(parse_url(url), allowing(value))


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("10.2.0.0/16", "http://10.2.3.4:9000/"),
        ("fd00::/8", "http://[fd12::1]:9000/"),
        ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/"),
        ("127.0.0.0/8", "http://localhost:9000/"),
        ("::1", "http://localhost:9000/"),
        ("shop", "http://shop:9000/"),
        ("SHOP.Internal", "http://shop.internal:1/"),
        ("*.svc.cluster.local", "http://a.b.svc.cluster.local:9000/"),
        ("shop:9000", "http://shop:9000/"),
        ("10.0.0.1:9000", "http://10.0.0.1:9000/"),
        ("[fd00::1]:9000", "http://[fd00::1]:9000/"),
        ("*.internal:9000", "http://shop.internal:9000/"),
        ("10.2.0.0/16", "http://any-name:9000/"),  # where it leads is seen at the attempt
        ("x\u00e4.example", "http://x\u00e4.example:9000/"),
        ("169.254.0.0/16", "http://169.254.169.254/"),
        ("169.254.169.254/32", "http://169.254.169.254/"),
        ("10.2.0.0/16 , shop", "http://shop:9000/"),
    ],
)
def test_what_is_named_is_open(allow: str, url: str) -> None:
    check_target(parse_url(url), allowing(allow))
    refusal(url, allowing(allow, allow)) if "any-name" not in url and "localhost" not in url else None


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("10.2.0.0/16", "http://10.3.0.1/"),
        ("*.svc.cluster.local", "http://svc.cluster.local:9000/"),
        ("*.svc.cluster.local", "http://evilsvc.cluster.local:9000/"),
        ("shop", "http://shop.example:9000/"),
        ("shop:9000", "http://shop:9001/"),
        ("10.0.0.1:9000", "http://10.0.0.1/"),
        ("*.internal", "http://localhost/"),
        ("10.0.0.0/8", "http://localhost/"),
        ("0.0.0.0/0", "http://169.254.169.254/"),
        ("168.0.0.0/6", "http://169.254.169.254/"),
        ("100.64.0.0/10", "http://100.100.100.200/"),
        ("fc00::/7", "http://[fd00:ec2::254]/"),
        ("::/0", "http://[fe80::1]/"),
        ("::/0", "http://[64:ff9b::a9fe:a9fe]/"),
        ("2002::/16", "http://[2002:a9fe:a9fe::1]/"),
        ("0.0.0.0/0", "http://[::ffff:169.254.169.254]/"),
    ],
)
def test_what_is_not_named_or_only_lies_within_stays_closed(allow: str, url: str) -> None:
    refusal(url, allowing(allow))


def test_denied_is_denied_on_a_laptop_too() -> None:
    rules = Rules(deny=parse_patterns("10.0.0.0/8,*.example", "deny-destinations"), is_open=True)
    for url in ("http://10.1.1.1/", "http://a.example/", "http://[64:ff9b::a01:101]/"):
        assert "is closed by --deny-destinations" in refusal(url, rules)
    with pytest.raises(ForbiddenDestination):
        check_address(parse_url("http://a.test/"), "10.1.1.1", rules)


def test_what_is_remembered_is_what_the_rules_say() -> None:
    known = KnownRules(Rules(deny=parse_patterns("10.1.0.0/16", "deny"), allow=parse_patterns("10.0.0.0/8", "allow")))
    for _ in range(2):
        known.check_target(parse_url("http://a.test/"))
        known.check_address(parse_url("http://a.test/"), "10.2.1.1")
        known.check_address(parse_url("http://a.test/other"), "8.8.8.8")
        for refused in ("10.1.1.1", "127.0.0.1"):
            with pytest.raises(ForbiddenDestination):
                known.check_address(parse_url("http://a.test/"), refused)
        with pytest.raises(ForbiddenDestination):
            known.check_target(parse_url("http://localhost/"))


def test_another_port_is_another_question() -> None:
    known = KnownRules(Rules())
    known.check_address(parse_url("http://a.test/"), "8.8.8.8")
    with pytest.raises(ForbiddenDestination):
        known.check_address(parse_url("http://a.test:22/"), "8.8.8.8")


def test_little_is_remembered() -> None:
    known = KnownRules(Rules())
    for number in range(10_000):
        known.check_target(parse_url(f"http://a{number}.test/"))
    assert len(known) <= 4_096
