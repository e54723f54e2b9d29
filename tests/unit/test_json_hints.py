"""A typo in a request is answered with what was probably meant."""

import msgspec
import pytest

from hookline.errors import InvalidRequest, UnknownField
from hookline.http_api import strict_json
from hookline.protocol import http


@pytest.mark.parametrize(
    ("request_type", "body", "said"),
    [
        (http.JobRequest, b'{"url": "x", "delai": 1}', "no field 'delai' here; did you mean 'delay'?"),
        (http.JobRequest, b'{"url": "x", "tags": 1}', "did you mean 'labels'?"),
        (http.JobRequest, b'{"url": "x", "body": 1}', "did you mean 'payload'?"),
        (http.JobRequest, b'{"url": "x", "retries": 1}', "did you mean 'retry'?"),
        (http.JobRequest, b'{"url": "x", "runAt": 1}', "did you mean 'run_at'?"),
        (http.JobRequest, b'{"url": "x", "run-at": 1}', "did you mean 'run_at'?"),
        (http.JobRequest, b'{"url": "x", "retry": {"max_attempt": 1}}', "did you mean 'max_attempts'?"),
        (http.JobRequest, b'{"url": "x", "zzzz": 1}', "no field 'zzzz' here; remove it"),
        (http.JobRequest, b'{"url": "x", "state": 1}', "read-only"),
        (http.JobChanges, b'{"name": "x"}', "remove it"),  # an id cannot be changed
        (http.ScheduleRequest, b'{"cron": "x", "job": {}, "tz": 1}', "did you mean 'timezone'?"),
        (http.ScheduleRequest, b'{"cron": "x", "job": {}, "catch_up": {"polcy": 1}}', "did you mean 'policy'?"),
        (http.DestinationRequest, b'{"rate": {"limt": 1}}', "did you mean 'limit'?"),
    ],
)
def test_an_unknown_field_is_answered_with_a_known_one(request_type: type, body: bytes, said: str) -> None:
    with pytest.raises(UnknownField) as caught:
        strict_json.decode(msgspec.json.Decoder(request_type), body)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("request_type", "body", "said"),
    [
        (http.JobRequest, b'{"guarantee": "twice"}', "guarantee takes at_least_once or at_most_once, not 'twice'"),
        (http.ScheduleRequest, b'{"cron": "", "job": {}, "overlap": "forbid"}', "takes allow or skip, not 'forbid'"),
        (
            http.ScheduleRequest,
            b'{"cron": "", "job": {}, "catch_up": {"policy": "x"}}',
            "catch_up.policy takes all, coalesce or skip, not 'x'",
        ),
        (http.JobRequest, b'{"guarantee": 1}', "guarantee takes at_least_once or at_most_once"),
        (http.JobRequest, b'{"url": 1}', "expected `str`, got `int`"),
        (http.JobRequest, b"[]", "expected `object`, got `array`"),
    ],
)
def test_a_value_that_is_none_of_those_is_answered_with_them(request_type: type, body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        strict_json.decode(msgspec.json.Decoder(request_type), body)
    assert said in caught.value.detail
