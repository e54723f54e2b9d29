import pytest

from hookline.node.api.views import attempt_view
from hookline.protocol.jobs import AttemptRecord, JobSpec, RetryPolicy
from hookline.protocol.redaction import carries_credentials, without_echoes


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "AUTHORIZATION", "Proxy-Authorization", "X-Amz-Authorization", "Cookie", "Set-Cookie"),
        *("X-Api-Key", "api_key", "ApiKey", "X-Auth-Token", "PRIVATE-TOKEN", "X-Vault-Token", "X-Functions-Key"),
        *(
            "Ocp-Apim-Subscription-Key",
            "X-Shopify-Access-Token",
            "X-Client-Secret",
            "X-Auth-Key",
            "X-Hub-Signature-256",
        ),
    ],
)
def test_names_that_carry_credentials(name: str) -> None:
    assert carries_credentials(name)


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Type", "User-Agent", "X-Key", "X-Author", "Idempotency-Key", "ETag"]
)
def test_other_names(name: str) -> None:
    assert not carries_credentials(name)


def test_a_receiver_that_repeats_what_it_got() -> None:
    headers = (("Authorization", "Bearer s3cr3t-t0ken"), ("X-Tenant", "t-98765"), ("Cookie", "a"))
    spec = JobSpec("u", "d", "POST", headers, b"", False, 1, RetryPolicy(), False, 0, {}, redact=("x-tenant",))
    row = AttemptRecord(
        number=1,
        outcome=1,
        status=500,
        error=None,
        started_ms=0,
        duration_ms=1,
        node="n",
        term=1,
        response_headers=(("set-cookie", "id=1"), ("x-echo", "t-98765!"), ("x-tenant", "other")),
        response_body=b"a: no such token s3cr3t-t0ken of Bearer s3cr3t-t0ken, t-98765",
    )
    view = attempt_view(row, spec)
    assert view.response_headers == {"set-cookie": "***", "x-echo": "***!", "x-tenant": "***"}
    assert view.response_body == "a: no such token *** of ***, ***"


def test_short_values_are_left_in_the_text() -> None:
    assert without_echoes("a cat", ["a"]) == "a cat"
