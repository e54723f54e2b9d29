"""The guides for which one node will do, followed."""

import http.server
import json
from pathlib import Path

import pytest

import hookline
from tests.docs.conftest import Opens, Surroundings
from tests.docs.here import Here
from tests.docs.reader import Reader
from tests.end_to_end.fleet import fresh_port
from tests.end_to_end.processes import Answer, journal_receiver, running_node, until
from tests.otlp_receiver import otlp_receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # which from-celery has too
PLACES_ORDER = """
import os, django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django.db import transaction
from shop.jobs import client
from shop.orders import place

class Order:
    pk = 42
    def save(self): pass

before = len(list(client.list_jobs(state="pending")))
with transaction.atomic():
    place(Order())
    print(len(list(client.list_jobs(state="pending"))) - before)
print(len(list(client.list_jobs())) > before)
"""


def answering(status: int) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler, _body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def test_behind_gunicorn(opens: Opens) -> None:
    with opens("behind-gunicorn", GUNICORN_CMD_ARGS="--bind 127.0.0.1:8000") as page:
        page.follow("Celery")
        assert json.loads(page.run("curl -sf -X POST http://127.0.0.1:8000/orders"))["job"]
        page.follow("Django")
        assert page.python("from tasks import ship; print(ship(7) == ship(7) == 'ship-7')") == "True\n"
        page.follow("A client of your own")
        assert page.python(PLACES_ORDER, "site") == "0\nTrue\n"
        page.follow()


def test_delete_data(opens: Opens, surroundings: Surroundings) -> None:
    with opens("delete-data") as page:
        page.id = page.client.create_job("https://shop.example.com/", delay="1h").id
        page.follow("Only what it sent")
        with pytest.raises(hookline.JobNotFound):
            page.client.get_job(page.id)
        page.id = page.client.create_job(surroundings.receiver, payload=1).id
        page.client.wait_for_job(page.id)
        page.follow()
        assert page.client.get_job(page.id).payload_removed


def test_develop_a_receiver(opens: Opens) -> None:
    with opens("develop-a-receiver") as page, journal_receiver() as (port, journal):
        page.here.ports[8000] = port
        page.follow("Stand before your application")
        until(lambda: "/orders?token=abc" in page.served("hookline listen").shown(), "the call is shown")
        page.served("hookline listen").signal()
        (page.directory / "secret.txt").write_text(SECRET)
        page.follow("Send a past webhook again")
        page.id = page.client.create_job(page.here.here("http://127.0.0.1:9000/orders"), payload={"order": 42}).id
        page.client.wait_for_job(page.id)
        assert [body for *_, body in journal.requests] == [b'{"order":42}']
        page.follow()
        (name, _, headers, body) = journal.requests[-1]
        assert (name, headers["hookline-replay"], body) == (page.id, "true", b'{"order":42}')
        assert hookline.verify(body, headers, SECRET).id == page.id


def test_watch_in_a_terminal(opens: Opens) -> None:
    with opens("watch-in-a-terminal") as page:
        page.follow()
        assert "CLUSTER" in page.shown


def test_find_what_is_wrong(opens: Opens) -> None:
    with opens("find-what-is-wrong") as page:
        page.follow()
        assert "nothing is wrong" in page.shown


def test_from_celery(opens: Opens) -> None:
    with opens("from-celery") as page:
        page.follow()
        page.run("gunicorn --bind 127.0.0.1:8000 shop:app")
        page.client.put_destination(page.here.here("http://127.0.0.1:8000"), secrets=[SECRET])
        made = page.python("from calls import enqueue; print(enqueue(7))").strip()
        assert page.client.wait_for_job(made).state == "succeeded"
        unsigned = "curl -s -w '%{http_code}' -X POST http://127.0.0.1:8000/tasks/resize -d 1"
        assert page.run(unsigned) == "not from Hookline401"


def test_from_cron(opens: Opens) -> None:
    with opens("from-cron") as page:
        page.follow("All of a crontab")
        assert "nightly-report" in page.shown
        lines = "backup 15 3 * * * https://shop.example.com/tasks/backup\nping 0 */4 * * 1-5 https://shop.example.com/ping\n"
        (page.directory / "schedules.txt").write_text(page.here.here(lines))
        page.follow()
        made = "nightly-report", "backup", "ping"
        for name in made:  # the other guides have some of these names too
            page.run(f"curl -sf -X DELETE http://127.0.0.1:7070/schedules/{name}")


def test_from_cloud_tasks_and_qstash(opens: Opens, surroundings: Surroundings) -> None:
    with opens("from-cloud-tasks-and-qstash") as page:
        page.follow("Move what waits")
        task = {"id": "task-1", "url": f"{surroundings.receiver}/moved", "payload": {"n": 1}}
        (page.directory / "tasks.jsonl").write_text(json.dumps(task) + "\n")
        page.follow()
        until(lambda: surroundings.journal.count("task-1") == 1, "the task that was moved is delivered")
        page.run("hookline jobs import tasks.jsonl")
        assert surroundings.journal.count("task-1") == 1


def test_limits(opens: Opens, surroundings: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running_node(tmp_path_factory.mktemp("full") / "data", "--pending-jobs-max", "1") as node,
        opens("limits") as page,
    ):
        page.here.ports[7070] = node.port
        page.run('curl -s http://127.0.0.1:7070/jobs -d \'{"url": "https://example.com/", "delay": "1h"}\'')
        page.follow()


def test_long_calls(opens: Opens) -> None:
    with opens("long-calls") as page:
        page.follow()
        assert '"timeout":"20m"' in page.shown


def test_measure(opens: Opens) -> None:
    with opens("measure") as page:
        page.follow("Keep a report")
        assert "250 jobs" in page.shown
        page.follow()
        assert json.loads(page.run("cat report.json"))["lost"] == 0


def test_plan_capacity(opens: Opens) -> None:
    with opens("plan-capacity") as page:
        page.follow()
        assert '"currency": "EUR"' in page.shown


def test_workers(opens: Opens, surroundings: Surroundings) -> None:
    url = f"http://127.0.0.1:{fresh_port()}"
    with opens("workers", HOOKLINE_URL=url) as page:
        page.here.ports[7070] = int(url.rpartition(":")[2])  # `hookline up` starts here
        page.follow()
        with hookline.Client(url) as client:
            made = client.create_job(surroundings.receiver, payload=1).id
            assert client.wait_for_job(made).state == "succeeded"
            assert [attempt.node for attempt in client.attempts(made)] == ["w1"]


def test_hide_and_encrypt_payloads(opens: Opens) -> None:
    with opens("hide-and-encrypt-payloads") as page:
        page.follow("Encrypt")
        shown = page.client.get_job(page.id)
        assert (shown.payload, shown.redact) == ("***", ["payload", "response_body"])
        page.here.ports[7070] = fresh_port()  # `hookline serve` starts here
        page.follow()
        job = '{"url": "https://example.org/", "payload": "planted", "delay": 3600}'
        page.run(f"curl http://127.0.0.1:7070/jobs -d '{job}'")
        files = page.run("cat data/state.db data/state.db-wal | grep -ac planted || true")
        assert files.strip() == "0"


PEMS = """
import trustme
authority = trustme.CA()
pair = authority.issue_cert("node.internal")
authority.cert_pem.write_to_path("shop-ca.pem")
pair.cert_chain_pems[0].write_to_path("client.pem")
pair.private_key_pem.write_to_path("client.key")
"""


def test_receivers_that_ask(opens: Opens) -> None:
    with opens("receivers-that-ask") as page:
        page.python(PEMS)
        page.follow("Through a proxy")
        shop = page.client.get_destination(page.here.here("https://shop.example.com"))
        assert shop.auth is not None
        assert shop.tls is not None
        assert (shop.auth.type, shop.tls.own_ca) == ("bearer", True)
        page.here.ports[7070] = fresh_port()  # `hookline serve` starts here
        page.follow()


def test_private_networks(opens: Opens) -> None:
    with opens("private-networks") as page:
        page.here.ports[7070] = page.here.ports[7000]  # `hookline up` starts here
        create = """curl http://127.0.0.1:7070/jobs -d '{"url": "http://HOST/", "delay": "1h"}'"""
        page.follow("What stays closed")
        for allowed in ("10.2.3.4", "billing.internal:9000", "a.svc.cluster.local"):
            page.run(create.replace("HOST", allowed))
        for closed in ("10.3.0.1", "169.254.169.254"):
            assert "forbidden_destination" in page.run(create.replace("HOST", closed), fails=True)
        page.served("hookline up").signal()
        page.follow()
        for denied in ("10.2.9.5", "a.db.internal"):
            assert "forbidden_destination" in page.run(create.replace("HOST", denied), fails=True)


def test_retries(opens: Opens, surroundings: Surroundings) -> None:
    surroundings.answers.append(answering(503))
    with opens("retries") as page:
        page.follow("Dead jobs")
        page.id = page.client.create_job(surroundings.receiver, retry={"max_attempts": 1}).id
        assert page.client.wait_for_job(page.id).state == "dead"
        surroundings.answers.pop()
        page.follow()


def test_schedules(opens: Opens) -> None:
    with opens("schedules") as page:
        page.follow("Create it")
        assert "2026-03-29T03:00:00+02:00" in page.shown
        page.follow()
        page.run("curl -sf -X DELETE http://127.0.0.1:7070/schedules/nightly-report")


def test_test_your_webhooks(opens: Opens) -> None:
    with opens("test-your-webhooks") as page:
        page.follow()
        strict = "python -m pytest -q --strict-markers -W error -p no:cacheprovider -p no:randomly -p no:cov"
        shown = page.run(f"{strict} -p no:asyncio -p no:anyio --ignore test_async_welcome.py")
        assert "6 passed" in shown, "no plugin but ours is needed"
        asyncio = "-o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function"
        assert "1 passed" in page.run(f"{strict} {asyncio} test_async_welcome.py")


def test_clock_wrong(opens: Opens) -> None:
    with opens("clock-wrong", {"http://10.0.0.1:7070": "http://127.0.0.1:7070"}) as page:
        page.follow()


def test_use_api_keys(tmp_path: Path) -> None:
    here = Here({"hookline up": "hookline up --port 7070"})
    with Reader("docs/how-to/use-api-keys.md", tmp_path / "reader", here) as page:
        page.follow()
        assert "shop" not in page.run("hookline keys list"), "it was revoked"
        assert "operator" in page.run("hookline keys list --profile demo")


def test_audit(opens: Opens) -> None:
    with opens("audit", {"https://shop.example.com": "https://shop.example.com"}) as page:
        page.follow()
        assert "concurrency 5" in page.run("hookline audit --output wide")


def test_traces(surroundings: Surroundings, tmp_path: Path) -> None:
    with otlp_receiver() as collector:
        words = {
            "--traces-ratio 0.1": "--traces-ratio 1",
            "http://127.0.0.1:4318": collector.url,
        }
        with Reader("docs/how-to/traces.md", tmp_path / "reader", Here(words, None, surroundings.words())) as page:
            page.follow()
            page.served("hookline up").signal()
        spans = collector.wait_for("POST /jobs", "commit", "attempt POST")
    assert {span.service for span in spans} == {"hookline-node"}


def test_tenants(tmp_path: Path) -> None:
    here = Here({"hookline up": "hookline up --port 7070"})
    with Reader("docs/how-to/tenants.md", tmp_path / "reader", here) as page:
        page.follow()
        assert "globex" in page.run("hookline tenants list")
        assert "order-1" in page.run("hookline jobs list --tenant globex")
        assert "order-1" not in page.run("hookline jobs list")


DJANGO_SITE = """
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test")
import django; django.setup()
from django.core.wsgi import get_wsgi_application
from django.urls import path
from django_shop import orders
urlpatterns = [path("orders", orders)]
app = get_wsgi_application()
"""


def test_verify_webhooks(opens: Opens) -> None:
    shop = {
        "https://shop.example.com:443": "http://127.0.0.1:8000",
        "destinations/shop.example.com": "destinations/http:%2F%2F127.0.0.1:8000",
    }
    with opens("verify-webhooks", shop) as page:
        page.follow("In other languages")
        (page.directory / "django_site.py").write_text(DJANGO_SITE)
        page.run('export WEBHOOK_SECRET="$SECRET"')

        def check_delivery() -> None:
            job = page.client.create_job(page.here.here("http://127.0.0.1:8000/orders"), payload={"order": 42})
            assert page.client.wait_for_job(job.id).state == "succeeded"

        for server in (
            "gunicorn --bind 127.0.0.1:8000 flask_shop:app",
            "gunicorn --bind 127.0.0.1:8000 django_site:app",
            "uvicorn --port 8000 fastapi_shop:app",
        ):
            page.run(server)
            check_delivery()
            forged = "curl -o /dev/null -w '%{http_code}' -X POST http://127.0.0.1:8000/orders -d '{\"order\": 43}'"
            assert page.run(forged) == "401", server
            page.served(server.split()[0]).signal()
        page.run("OLD_SECRET=$SECRET; NEW_SECRET=$(hookline secret new)")
        page.follow()
        page.run('export WEBHOOK_SECRET="$NEW_SECRET"')
        page.run("gunicorn flask_shop:app --bind 127.0.0.1:8000")
        check_delivery()
