"""The load balancers of ``deploy/`` before proxies: what a client sees when a proxy dies, stops or falls silent."""

import http.client
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hookline import Client
from hookline.client.replies import surely_refused
from hookline.errors import Unavailable
from tests.end_to_end.balancers import BALANCERS, Balancer, haproxy
from tests.end_to_end.callers import calling
from tests.end_to_end.fleet import Fleet, ProxyProcess, ServedNode, fresh_port, running
from tests.end_to_end.processes import Journal, journal_receiver, until
from tests.scripted_server import DROP, Answer, Asked, ScriptedServer, scripted_server

both = pytest.mark.parametrize("name", list(BALANCERS))


@dataclass(frozen=True, slots=True)
class Stack:
    """Two clusters, two proxies, and each load balancer before them."""

    fleet: Fleet
    balancers: dict[str, Balancer]
    journal: Journal
    hook: str


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("stack")
    nodes = [ServedNode(directory / f"c{shard}", shard) for shard in range(2)]
    with journal_receiver() as (port, journal), running(Fleet(nodes, 2, directory, {})) as fleet:
        backends = [proxy.address for proxy in fleet.proxies]
        with BALANCERS["haproxy"](directory, backends) as first, BALANCERS["nginx"](directory, backends) as second:
            yield Stack(fleet, {"haproxy": first, "nginx": second}, journal, f"http://127.0.0.1:{port}/hook")


@pytest.fixture
def stack(everything: Stack) -> Stack:
    """With both proxies up, as far as HAProxy knows too."""
    check = everything.balancers["haproxy"]
    until(lambda: check.takes_to_be_up("proxy1") and check.takes_to_be_up("proxy2"), "both proxies are up")
    return everything


@both
def test_a_killed_proxy_costs_no_call_more_than_one_repetition(stack: Stack, name: str) -> None:
    victim = stack.fleet.proxies[0]
    with calling(stack.balancers[name].port, stack.hook) as load:
        _wait_until_all_serve(stack)
        victim.kill()
        load.go_on(60)
        victim.start()
        until(lambda: _served(victim) > 40, "the proxy has its share of the load again")
    assert not load.failed()
    load.check_deliveries(stack.journal)


@both
def test_a_proxy_that_stops_fails_no_call(stack: Stack, name: str) -> None:
    leaving = stack.fleet.proxies[1]
    with calling(stack.balancers[name].port, stack.hook) as load:
        _wait_until_all_serve(stack)
        assert leaving.stop() == 0
        load.go_on(20)
        leaving.start()
        load.go_on(20)
    assert not load.broken()
    load.check_deliveries(stack.journal)


def test_a_silent_proxy_is_left_out_until_it_speaks_again(stack: Stack) -> None:
    """The kernel of a paused process still takes connections: only health checks find it out."""
    balancer, victim = stack.balancers["haproxy"], stack.fleet.proxies[0]
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        until(lambda: not balancer.takes_to_be_up("proxy1"), "health checks have found it out")
        with calling(balancer.port, stack.hook) as load:
            load.go_on(20)
        assert not load.broken()
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    until(lambda: balancer.takes_to_be_up("proxy1"), "it is back")
    load.check_deliveries(stack.journal)


@both
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_was_sent_is_never_sent_again(name: str, method: str, tmp_path: Path) -> None:
    """The proxy may have accepted what it did not answer: whether to repeat it is for the client to say."""
    with scripted_server() as first, scripted_server() as second:
        first.script = second.script = lambda asked: Answer(200, {}) if asked.path == "/health" else DROP
        with BALANCERS[name](tmp_path, [_address(first), _address(second)]) as balancer:
            for path in ("/jobs/a", "/jobs/b", "/jobs/c", "/jobs/d"):
                assert _status(balancer.port, method, path) in (502, None)
                assert [asked.path for asked in first.asked + second.asked].count(path) == 1


@both
def test_one_lost_answer_does_not_take_the_last_proxy_out(name: str, tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        is_lost = asked.path == "/jobs/a" and [one.path for one in living.asked].count("/jobs/a") == 1
        return DROP if is_lost else Answer(200, {})

    with scripted_server() as living:
        living.script = script
        with BALANCERS[name](tmp_path, [f"127.0.0.1:{fresh_port()}", _address(living)]) as balancer:
            assert [_status(balancer.port, "POST", "/jobs/before") for _ in range(4)] == [200] * 4
            assert _status(balancer.port, "POST", "/jobs/a") in (502, None)
            assert _status(balancer.port, "POST", "/jobs/a") == 200


def test_a_request_that_reaches_no_proxy_is_surely_not_accepted(tmp_path: Path) -> None:
    """The SDK repeats it then, also without id and key."""
    with (
        BALANCERS["haproxy"](tmp_path, [f"127.0.0.1:{fresh_port()}" for _ in range(2)]) as balancer,
        Client(f"http://127.0.0.1:{balancer.port}", retries=0) as client,
        pytest.raises(Unavailable, match="reaches no proxy") as raised,
    ):
        client.create_job("https://example.com/hook")
    assert raised.value.retry_after_s == 1
    assert surely_refused(raised.value)


@pytest.mark.parametrize("files_max", [1_024, 20_000])
def test_haproxy_starts_under_every_limit_of_open_files(files_max: int, tmp_path: Path) -> None:
    with scripted_server() as server:
        server.script = lambda _asked: Answer(200, {})
        backends = [_address(server), f"127.0.0.1:{fresh_port()}"]
        with haproxy(tmp_path, backends, files_max) as balancer:
            assert _status(balancer.port, "POST", "/jobs") == 200
            assert "FD limit" not in balancer.log.read_text()


def _address(server: ScriptedServer) -> str:
    return server.url.removeprefix("http://")


def _status(port: int, method: str, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, "{}", {"content-type": "application/json"})
        return connection.getresponse().status
    except http.client.RemoteDisconnected:
        return None
    finally:
        connection.close()


def _wait_until_all_serve(stack: Stack) -> None:
    """The balancer that is called sends calls to both proxies: nginx leaves one that was away alone for 2 s."""
    before = [_served(proxy) for proxy in stack.fleet.proxies]
    until(
        lambda: all(_served(proxy) >= start + 10 for proxy, start in zip(stack.fleet.proxies, before, strict=True)),
        "both proxies are called",
    )


def _served(proxy: ProxyProcess) -> float:
    """Calls that this proxy has passed on since it started."""
    _, text = proxy.raw_call("GET", "/metrics", None, {})
    lines = [line for line in text.decode().splitlines() if line.startswith("hookline_proxy_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
