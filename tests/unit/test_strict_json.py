"""How errors of JSON read."""

from typing import Any

import msgspec
import pytest

from hookline.errors import InvalidJson
from hookline.http_api import strict_json


def test_an_abbreviation_keeps_its_capitals() -> None:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
    with pytest.raises(InvalidJson) as caught:
        strict_json.decode(decoder, b"{'a': 1}")
    assert caught.value.detail.startswith("JSON is malformed")
