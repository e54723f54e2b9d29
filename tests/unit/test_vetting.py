"""No attempt gets an address to connect to unless every address of its name is allowed at that moment."""

from collections.abc import AsyncIterator

import pytest

from hookline.clock import SystemClock
from hookline.errors import ForbiddenDestination, ResolveFailed
from hookline.node.attempts.resolver import Resolver
from hookline.node.attempts.vetting import Vetter
from hookline.protocol.destination_patterns import parse_patterns
from hookline.protocol.destination_rules import OPEN, Rules
from hookline.protocol.urls import parse_url

PUBLIC, OTHER_PUBLIC, PUBLIC_6 = "8.8.8.8", "1.1.1.1", "2606:4700::1111"
OWN = frozenset({(PUBLIC, 8080), (PUBLIC_6, 443)})


class ManualClock(SystemClock):
    """Time moves when the test says so."""

    now_ms = 0.0

    def boot_ms(self) -> float:
        return self.now_ms


class Dns:
    """A name server whose answers the test changes."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.get(host, [])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def dns() -> Dns:
    return Dns()


@pytest.fixture
async def resolver(dns: Dns, clock: ManualClock) -> AsyncIterator[Resolver]:
    async with Resolver(dns, clock) as resolver:
        yield resolver


@pytest.fixture
def vetter(resolver: Resolver) -> Vetter:
    return Vetter(resolver, Rules(), own_addresses=OWN)


@pytest.fixture
def lenient(resolver: Resolver) -> Vetter:
    return Vetter(resolver, OPEN, own_addresses=OWN)


async def test_connects_to_the_first_of_the_public_addresses(vetter: Vetter, dns: Dns) -> None:
    dns.answers["a.com"] = [PUBLIC_6, PUBLIC]
    assert await vetter.vet(parse_url("http://a.com/")) == PUBLIC_6


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:8.8.8.8"],
        ["64:ff9b::808:808"],
        ["0.0.0.0"],
        ["not an address"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, OTHER_PUBLIC, PUBLIC_6, "fd00::1"],
    ],
)
async def test_one_address_that_is_not_public_refuses_the_name(vetter: Vetter, dns: Dns, answer: list[str]) -> None:
    dns.answers["a.com"] = answer
    target = parse_url("http://a.com/")
    with pytest.raises(ForbiddenDestination) as refusal:
        await vetter.vet(target)
    assert not any(address in str(refusal.value.to_problem()) for address in answer)
    assert not refusal.value.retryable
    with pytest.raises(ForbiddenDestination):
        vetter.vet_cached(target)


async def test_a_name_that_turns_private_between_attempts_gets_no_connection(
    vetter: Vetter, dns: Dns, clock: ManualClock
) -> None:
    target = parse_url("http://rebind.com/")
    connections = []
    for attempt in range(10):
        clock.now_ms = attempt * 30_000
        dns.answers["rebind.com"] = [PUBLIC] if attempt % 2 == 0 else ["127.0.0.1"]
        try:
            connections.append(await vetter.vet(target))
        except ForbiddenDestination:
            assert attempt % 2 == 1
    assert connections == [PUBLIC] * 5
    assert len(dns.asked) == 10


async def test_a_private_answer_within_the_ttl_is_not_even_seen(vetter: Vetter, dns: Dns, clock: ManualClock) -> None:
    dns.answers["rebind.com"] = [PUBLIC]
    target = parse_url("http://rebind.com/")
    await vetter.vet(target)
    dns.answers["rebind.com"] = ["127.0.0.1"]
    clock.now_ms = 29_999
    assert vetter.vet_cached(target) == PUBLIC
    assert await vetter.vet(target) == PUBLIC
    clock.now_ms = 30_000
    assert vetter.vet_cached(target) is None
    with pytest.raises(ForbiddenDestination):
        await vetter.vet(target)


async def test_no_address_is_a_retryable_failure(vetter: Vetter) -> None:
    target = parse_url("http://gone.com/")
    with pytest.raises(ResolveFailed) as failed:
        await vetter.vet(target)
    assert failed.value.retryable
    assert vetter.vet_cached(target) is None


async def test_literals_need_no_lookup(vetter: Vetter, dns: Dns) -> None:
    assert vetter.vet_cached(parse_url("http://1.1.1.1/")) == "1.1.1.1"
    assert await vetter.vet(parse_url("https://[2606:4700::1]/")) == "2606:4700::1"
    for url in ("http://127.0.0.1/", "http://[::1]/", "http://[::ffff:8.8.8.8]/", "http://[fd00::1]/"):
        with pytest.raises(ForbiddenDestination):
            vetter.vet_cached(parse_url(url))
    assert dns.asked == []


async def test_localhost_is_refused_by_what_it_resolves_to(vetter: Vetter, dns: Dns) -> None:
    dns.answers["localhost"] = ["::1", "127.0.0.1"]
    with pytest.raises(ForbiddenDestination):
        await vetter.vet(parse_url("http://localhost/"))


async def test_ports_are_checked_before_any_lookup(vetter: Vetter, dns: Dns) -> None:
    for url in ("http://a.com:22/", "http://1.1.1.1:6379/"):
        with pytest.raises(ForbiddenDestination):
            await vetter.vet(parse_url(url))
    assert dns.asked == []


async def test_no_port_list_means_any_port(resolver: Resolver, dns: Dns) -> None:
    dns.answers["a.com"] = [PUBLIC]
    vetter = Vetter(resolver, Rules(ports=None), own_addresses=OWN)
    assert await vetter.vet(parse_url("http://a.com:22/")) == PUBLIC


async def test_our_own_nodes_are_refused(vetter: Vetter, dns: Dns) -> None:
    dns.answers["us.com"] = [OTHER_PUBLIC, PUBLIC]
    for url in ("http://us.com:8080/", "http://8.8.8.8:8080/", "https://[2606:4700::1111]/"):
        with pytest.raises(ForbiddenDestination, match="leads back to this service"):
            await vetter.vet(parse_url(url))
    assert await vetter.vet(parse_url("http://us.com/")) == OTHER_PUBLIC  # another port of that machine


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", PUBLIC])
async def test_private_destinations_can_be_allowed(lenient: Vetter, dns: Dns, address: str) -> None:
    dns.answers["a.test"] = [address]
    assert await lenient.vet(parse_url("http://a.test:12345/")) == address
    literal = f"[{address}]" if ":" in address else address
    assert lenient.vet_cached(parse_url(f"http://{literal}:8080/")) == address


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "nonsense"])
async def test_what_is_no_server_is_never_allowed(lenient: Vetter, dns: Dns, address: str) -> None:
    dns.answers["a.test"] = ["127.0.0.1", address]
    with pytest.raises(ForbiddenDestination):
        await lenient.vet(parse_url("http://a.test/"))


async def test_unreachable_literals_are_never_allowed(lenient: Vetter) -> None:
    for url in ("http://0.0.0.0/", "http://[::]/", "http://239.0.0.1/"):
        with pytest.raises(ForbiddenDestination):
            lenient.vet_cached(parse_url(url))


def allowing(resolver: Resolver, allow: str, deny: str = "") -> Vetter:
    rules = Rules(parse_patterns(allow, "allow-destinations"), parse_patterns(deny, "deny-destinations"))
    return Vetter(resolver, rules, own_addresses=frozenset({("10.2.0.7", 7070), ("node.internal", 7070)}))


async def test_an_allowed_name_may_lead_into_the_own_network_at_any_port(resolver: Resolver, dns: Dns) -> None:
    vetter = allowing(resolver, "*.svc.cluster.local")
    dns.answers["shop.svc.cluster.local"] = dns.answers["other.internal"] = ["10.2.0.5"]
    assert await vetter.vet(parse_url("http://shop.svc.cluster.local:9000/")) == "10.2.0.5"
    with pytest.raises(ForbiddenDestination, match=r"--allow-destinations other\.internal$") as refusal:
        await vetter.vet(parse_url("http://other.internal/"))
    assert "10.2.0.5" not in refusal.value.detail


async def test_an_allowed_network_is_open_by_any_name_and_at_any_port(resolver: Resolver, dns: Dns) -> None:
    vetter = allowing(resolver, "10.2.0.0/16")
    dns.answers["shop"] = ["10.2.0.5"]
    assert await vetter.vet(parse_url("http://shop:9000/")) == "10.2.0.5"
    assert vetter.vet_cached(parse_url("http://10.2.255.1:9000/")) == "10.2.255.1"
    dns.answers["public.example"] = [PUBLIC]
    with pytest.raises(ForbiddenDestination, match="--destination-ports 80,443,8000,8080,8443,9000"):
        await vetter.vet(parse_url("http://public.example:9000/"))


@pytest.mark.parametrize("answer", [["10.3.0.1"], ["10.2.0.5", "10.3.0.1"], ["127.0.0.1"], ["169.254.169.254"]])
async def test_a_name_that_leads_out_of_the_allowed_network_gets_no_connection(
    resolver: Resolver, dns: Dns, clock: ManualClock, answer: list[str]
) -> None:
    vetter = allowing(resolver, "10.2.0.0/16")
    target = parse_url("http://rebind.example/")
    dns.answers["rebind.example"] = ["10.2.0.5"]
    assert await vetter.vet(target) == "10.2.0.5"
    clock.now_ms = 30_000
    dns.answers["rebind.example"] = answer
    with pytest.raises(ForbiddenDestination):
        await vetter.vet(target)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "64:ff9b::a9fe:a9fe"])
async def test_no_allowed_name_leads_to_metadata(resolver: Resolver, dns: Dns, address: str) -> None:
    vetter = allowing(resolver, "shop.internal,0.0.0.0/0,::/0")
    dns.answers["shop.internal"] = [address]
    with pytest.raises(ForbiddenDestination, match="link-local or metadata address") as refusal:
        await vetter.vet(parse_url("http://shop.internal/"))
    assert address not in refusal.value.detail


async def test_what_is_denied_is_closed_whatever_else_is_allowed(resolver: Resolver, dns: Dns) -> None:
    dns.answers |= {"a.shop.internal": ["10.2.0.5"], "b.shop.internal": ["10.2.9.5"], "evil.example": [PUBLIC]}
    vetter = allowing(resolver, "*.shop.internal,10.2.0.0/16", "10.2.9.0/24,evil.example")
    assert await vetter.vet(parse_url("http://a.shop.internal/")) == "10.2.0.5"
    for url in ("http://b.shop.internal/", "http://10.2.9.1/", "http://evil.example/"):
        with pytest.raises(ForbiddenDestination, match="is closed by --deny-destinations"):
            await vetter.vet(parse_url(url))


async def test_our_own_nodes_stay_closed_unless_they_are_named_with_their_port(resolver: Resolver, dns: Dns) -> None:
    dns.answers |= {"node.internal": ["10.2.0.7"], "alias.internal": ["10.2.0.7"]}
    urls = {name: parse_url(f"http://{name}:7070/") for name in ("10.2.0.7", "node.internal", "alias.internal")}
    for allow in ("10.2.0.0/16", "10.2.0.7", "10.2.0.7/32,*.internal,node.internal"):
        vetter = allowing(resolver, allow)
        for name, target in urls.items():
            with pytest.raises(ForbiddenDestination, match=f"--allow-destinations {name}:7070$"):
                await vetter.vet(target)
    assert await allowing(resolver, "10.2.0.7:7070").vet(urls["10.2.0.7"]) == "10.2.0.7"
    assert await allowing(resolver, "alias.internal:7070").vet(urls["alias.internal"]) == "10.2.0.7"
    assert await allowing(resolver, "10.2.0.7").vet(parse_url("http://10.2.0.7:9000/")) == "10.2.0.7"
