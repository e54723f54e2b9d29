"""Signing and verifying by Standard Webhooks, also against the libraries receivers use."""

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric import ed25519

from hookline import errors
from hookline.clock import SystemClock
from hookline.protocol import signatures

KEY = bytes(range(32))
SECRET = signatures.generate_secret(KEY)
OTHER_SECRET = signatures.generate_secret(bytes(32))
# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
PRIVATE_SECRET, PUBLIC_SECRET = signatures.generate_ed25519(SEED)

ID = "0192f0c1-7e4b-7abc-8def-0123456789ab-2"
NOW_S = 1_700_000_000
BODY = b'{"order": 42, "name": "\xc3\xa4"}'


def signed(*secrets: str, webhook_id: str = ID, timestamp_s: int = NOW_S, body: bytes = BODY) -> dict[str, str]:
    keys = [signatures.parse_secret(secret) for secret in secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signatures.sign(keys, webhook_id, timestamp_s, body),
    }


def refused(headers: dict[str, str], secrets: str | list[str] = SECRET, body: bytes = BODY) -> str:
    with pytest.raises(errors.InvalidSignature) as caught:
        signatures.verify(headers, body, secrets, now_s=NOW_S)
    return caught.value.detail


class TestParseSecret:
    @pytest.mark.parametrize("size", [24, 32, 64])
    def test_hmac_keys_of_24_to_64_bytes(self, size: int) -> None:
        key = signatures.parse_secret(signatures.generate_secret(b"k" * size))
        assert (key.version, key.can_sign) == ("v1", True)

    def test_ed25519_keys(self) -> None:
        private, public = signatures.parse_secret(PRIVATE_SECRET), signatures.parse_secret(PUBLIC_SECRET)
        assert (private.version, private.can_sign) == ("v1a", True)
        assert (public.version, public.can_sign) == ("v1a", False)

    def test_a_seed_alone_is_the_same_key_as_seed_and_public(self) -> None:
        seed_only = "whsk_" + base64.b64encode(SEED).decode()
        assert signed(seed_only) == signed(PRIVATE_SECRET)

    def test_padding_may_be_left_out(self) -> None:
        assert SECRET.endswith("=")
        assert signed(SECRET.rstrip("=")) == signed(SECRET)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "whsec_",
            "whsec_" + base64.b64encode(b"k" * 23).decode(),
            "whsec_" + base64.b64encode(b"k" * 65).decode(),
            "whsec_" + "&" * 40,
            "whsec_" + "ä" * 40,
            "whsec_" + "A" * 41,
            " " + SECRET,
            SECRET + "\n",
            SECRET.replace("whsec_", "WHSEC_"),
            base64.b64encode(KEY).decode(),
            "whsk_" + base64.b64encode(b"k" * 31).decode(),
            "whsk_" + base64.b64encode(b"k" * 33).decode(),
            "whsk_" + base64.b64encode(SEED + bytes(32)).decode(),
            "whpk_" + base64.b64encode(b"k" * 31).decode(),
            "whpk_" + base64.b64encode(SEED + PUBLIC).decode(),
        ],
    )
    def test_anything_else_is_refused_without_being_repeated(self, text: str) -> None:
        with pytest.raises(errors.InvalidSecret) as caught:
            signatures.parse_secret(text)
        encoded = text.strip().removeprefix("whsec_").removeprefix("whsk_").removeprefix("whpk_")
        assert not encoded or encoded not in repr(caught.value.to_problem())
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    @pytest.mark.parametrize("secret", [SECRET, PRIVATE_SECRET, PUBLIC_SECRET])
    def test_repr_hides_the_key(self, secret: str) -> None:
        prefix, encoded = secret.split("_", 1)
        key = signatures.parse_secret(secret)
        assert prefix in repr(key)
        assert encoded not in repr(key)
        assert repr(base64.b64decode(encoded)) not in repr(key)


PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME


def doubled(y: int) -> int:
    """The y coordinate of twice the point with this one (RFC 8032, section 5.1.4)."""
    yy = y * y % PRIME
    xx = (yy - 1) * pow(D * yy + 1, -1, PRIME) % PRIME
    return (yy + xx) * pow(1 - D * xx * yy, -1, PRIME) % PRIME


def small_order_ys() -> list[int]:
    """Found by solving for them: of order 1, 2 and 4 by hand, of order 8 where doubling gives y = 0, so y² = -x²."""
    d_inverse = pow(D, -1, PRIME)
    root = square_root((1 + D) % PRIME)
    squares = [(-1 + sign * root) * d_inverse % PRIME for sign in (1, -1)]  # d·y⁴ + 2·y² - 1 = 0
    (square,) = [it for it in squares if pow(it, (PRIME - 1) // 2, PRIME) == 1]
    y = square_root(square)
    return [1, PRIME - 1, 0, y, PRIME - y]


def square_root(square: int) -> int:
    root = pow(square, (PRIME + 3) // 8, PRIME)
    root = root if root * root % PRIME == square else root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    assert root * root % PRIME == square
    return root


def public_secret(y: int, sign: int) -> str:
    return signatures.PUBLIC_PREFIX + base64.b64encode((y | sign << 255).to_bytes(32, "little")).decode()


class TestWeakPublicKeys:
    """Keys for which a signature can be made up without a private key."""

    @pytest.mark.parametrize("sign", [0, 1])
    @pytest.mark.parametrize("y", small_order_ys())
    def test_all_points_of_small_order_are_refused(self, y: int, sign: int) -> None:
        assert doubled(doubled(doubled(y))) == 1, "eight times the point is the neutral one"
        with pytest.raises(errors.InvalidSecret, match="weak"):
            signatures.parse_secret(public_secret(y, sign))

    @pytest.mark.parametrize("sign", [0, 1])
    @pytest.mark.parametrize("above", range(19))
    def test_encodings_above_the_prime_are_refused(self, above: int, sign: int) -> None:
        with pytest.raises(errors.InvalidSecret, match="weak"):
            signatures.parse_secret(public_secret(PRIME + above, sign))

    def test_bytes_that_are_no_point_are_refused(self) -> None:
        assert len([y for y in range(2, 200) if not self._is_taken(y)]) > 50, "about half of all bytes are not a point"

    def test_a_made_up_signature_never_verifies(self) -> None:
        headers = signed(SECRET) | {"webhook-signature": "v1a," + base64.b64encode(b"\1" + bytes(63)).decode()}
        with pytest.raises(errors.InvalidSecret):
            signatures.verify(headers, BODY, public_secret(1, 0), now_s=NOW_S)

    def _is_taken(self, y: int) -> bool:
        try:
            signatures.parse_secret(public_secret(y, 0))
        except errors.InvalidSecret:
            return False
        return True


class TestGenerate:
    def test_secret(self) -> None:
        assert signatures.generate_secret(KEY) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    def test_ed25519_matches_rfc_8032(self) -> None:
        assert base64.b64decode(PRIVATE_SECRET.removeprefix("whsk_")) == SEED + PUBLIC
        assert base64.b64decode(PUBLIC_SECRET.removeprefix("whpk_")) == PUBLIC

    def test_too_few_or_too_many_bytes(self) -> None:
        for wrong in (b"k" * 23, b"k" * 65):
            with pytest.raises(errors.InvalidSecret):
                signatures.generate_secret(wrong)
        for wrong in (b"k" * 31, SEED + PUBLIC):
            with pytest.raises(errors.InvalidSecret):
                signatures.generate_ed25519(wrong)


class TestSign:
    def test_one_signature_per_key_in_order(self) -> None:
        both = signed(PRIVATE_SECRET, SECRET)["webhook-signature"]
        assert both == " ".join([signed(PRIVATE_SECRET)["webhook-signature"], signed(SECRET)["webhook-signature"]])
        assert [part.split(",")[0] for part in both.split(" ")] == ["v1a", "v1"]

    def test_no_key_no_signature(self) -> None:
        assert signatures.sign([], ID, NOW_S, BODY) == ""

    def test_a_public_key_cannot_sign(self) -> None:
        with pytest.raises(errors.InvalidSecret, match="only verify"):
            signed(PUBLIC_SECRET)

    def test_signing_twice_with_one_key_gives_the_same(self) -> None:
        key = signatures.parse_secret(SECRET)
        first = signatures.sign([key], ID, NOW_S, BODY)
        signatures.sign([key], "another", NOW_S, b"else")
        assert signatures.sign([key], ID, NOW_S, BODY) == first

    def test_v1a_is_plain_ed25519_over_id_timestamp_body(self) -> None:
        content = f"{ID}.{NOW_S}.".encode() + BODY
        by_hand = ed25519.Ed25519PrivateKey.from_private_bytes(SEED).sign(content)
        assert signed(PRIVATE_SECRET)["webhook-signature"] == "v1a," + base64.b64encode(by_hand).decode()


class TestVerify:
    def test_own_signatures(self) -> None:
        signatures.verify(signed(SECRET), BODY, SECRET, now_s=NOW_S)
        signatures.verify(signed(PRIVATE_SECRET), BODY, PUBLIC_SECRET, now_s=NOW_S)
        signatures.verify(signed(PRIVATE_SECRET), BODY, PRIVATE_SECRET, now_s=NOW_S)

    def test_header_names_in_any_case(self) -> None:
        headers = {name.title(): value for name, value in signed(SECRET).items()}
        signatures.verify(headers, BODY, SECRET, now_s=NOW_S)

    def test_any_of_several_secrets_and_signatures(self) -> None:
        signatures.verify(signed(OTHER_SECRET, SECRET), BODY, [PUBLIC_SECRET, SECRET], now_s=NOW_S)
        signatures.verify(signed(OTHER_SECRET, PRIVATE_SECRET), BODY, (SECRET, PUBLIC_SECRET), now_s=NOW_S)

    def test_unknown_versions_are_ignored(self) -> None:
        headers = signed(SECRET)
        headers["webhook-signature"] = f"v2,AAAA v9 , {headers['webhook-signature']} v1a,AAAA"
        signatures.verify(headers, BODY, SECRET, now_s=NOW_S)

    def test_other_secret(self) -> None:
        assert refused(signed(OTHER_SECRET)).startswith("No signature matches: another secret")
        assert refused(signed(PRIVATE_SECRET), signatures.generate_ed25519(bytes(32))[1])

    def test_only_other_versions(self) -> None:
        assert refused(signed(PRIVATE_SECRET)) == (
            "No signature matches: the webhook-signature header has none of version v1."
        )

    def test_a_signature_counts_only_under_its_own_version(self) -> None:
        headers = signed(SECRET)
        headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
        assert refused(headers, [SECRET, PUBLIC_SECRET])

    @pytest.mark.parametrize("value", ["v1", "v1,", ",", "v1,ä", "v1,\ud800", "v1a,", "v1a,!", "v1a," + "A" * 88])
    def test_malformed_signatures_are_refused_not_crashed_on(self, value: str) -> None:
        assert refused(signed(SECRET) | {"webhook-signature": value}, [SECRET, PUBLIC_SECRET])

    def test_other_spellings_of_the_same_base64_are_refused(self) -> None:
        headers = signed(PRIVATE_SECRET)
        assert headers["webhook-signature"].endswith("==")
        signature = headers["webhook-signature"].removesuffix("==")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        sibling = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1] + "=="
        assert base64.b64decode(sibling.split(",")[1]) == base64.b64decode(signature.split(",")[1] + "==")
        assert refused(headers | {"webhook-signature": sibling}, PUBLIC_SECRET)

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_missing_or_empty_header(self, name: str) -> None:
        headers = signed(SECRET)
        assert refused(headers | {name: ""}) == f"The {name} header is missing."
        del headers[name]
        assert refused(headers) == f"The {name} header is missing."

    @pytest.mark.parametrize("webhook_id", [f"a.{NOW_S}", "a.", ".", f"{ID}.", "a.b.c"])
    def test_an_id_with_a_dot_is_refused_as_it_could_be_read_in_two_ways(self, webhook_id: str) -> None:
        longer = f"{NOW_S}.".encode() + BODY
        content_alike = signed(SECRET, webhook_id="a", body=longer)["webhook-signature"]
        assert signed(SECRET, webhook_id=f"a.{NOW_S}")["webhook-signature"] == content_alike
        for secret in (SECRET, PRIVATE_SECRET):
            assert "has a dot" in refused(signed(secret, webhook_id=webhook_id), secret)

    def test_a_time_that_is_no_number_is_no_time(self) -> None:
        for now_s, tolerance_s in ((float("nan"), 300), (NOW_S, float("nan"))):
            with pytest.raises(errors.InvalidSignature):
                signatures.verify(signed(SECRET), BODY, SECRET, now_s=now_s, tolerance_s=tolerance_s)  # type: ignore[arg-type]

    def test_a_header_given_twice(self) -> None:
        assert refused(signed(SECRET) | {"Webhook-Id": "another"}) == "The webhook-id header is there more than once."

    def test_timestamp_at_and_past_the_tolerance(self) -> None:
        for inside in (NOW_S - 300, NOW_S + 300):
            signatures.verify(signed(SECRET, timestamp_s=inside), BODY, SECRET, now_s=NOW_S)
        assert "is 301 s in the past, outside the tolerance of 300 s" in refused(
            signed(SECRET, timestamp_s=NOW_S - 301)
        )
        assert "is 301 s in the future" in refused(signed(SECRET, timestamp_s=NOW_S + 301))

    def test_tolerance_can_be_widened(self) -> None:
        signatures.verify(signed(SECRET, timestamp_s=NOW_S - 900), BODY, SECRET, now_s=NOW_S, tolerance_s=900)

    @pytest.mark.parametrize(
        "value", ["now", "1.7e9", "1700000000.0", "-1", " 1700000000", "1" * 13, "\uff11\uff17" + "\uff10" * 8]
    )
    def test_timestamp_that_is_not_whole_seconds(self, value: str) -> None:
        assert "not whole seconds" in refused(signed(SECRET) | {"webhook-timestamp": value})

    def test_at_most_16_signatures(self) -> None:
        headers = signed(SECRET)
        signature = headers["webhook-signature"]
        signatures.verify(headers | {"webhook-signature": "v2,A " * 15 + signature}, BODY, SECRET, now_s=NOW_S)
        assert "more than 16" in refused(headers | {"webhook-signature": "v2,A " * 16 + signature})

    @pytest.mark.parametrize("secrets", [[], (), "", [SECRET, ""]])
    def test_no_secret_never_verifies(self, secrets: list[str] | str) -> None:
        with pytest.raises(errors.InvalidSecret):
            signatures.verify(signed(SECRET), BODY, secrets, now_s=NOW_S)

    def test_ids_beyond_ascii_are_refused_not_crashed_on(self) -> None:
        signatures.verify(signed(SECRET, webhook_id="jöb"), BODY, SECRET, now_s=NOW_S)
        assert refused(signed(SECRET, webhook_id="j?b") | {"webhook-id": "j\ud800b"})


Library = type[standardwebhooks.Webhook] | type[svix.webhooks.Webhook]


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.webhooks.Webhook], ids=["standardwebhooks", "svix"])
class TestInterop:
    """Both ways with the PyPI libraries, which know ``v1`` only."""

    def test_they_verify_ours(self, library: Library) -> None:
        headers = signed(SECRET, timestamp_s=SystemClock().wall_ms() // 1000)
        library(SECRET).verify(BODY, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            library(OTHER_SECRET).verify(BODY, headers)

    def test_they_verify_ours_during_a_rotation(self, library: Library) -> None:
        headers = signed(PRIVATE_SECRET, OTHER_SECRET, SECRET, timestamp_s=SystemClock().wall_ms() // 1000)
        library(SECRET).verify(BODY, headers)
        library(OTHER_SECRET).verify(BODY, headers)

    def test_we_verify_theirs(self, library: Library) -> None:
        signature = library(SECRET).sign(ID, datetime.fromtimestamp(NOW_S, UTC), BODY.decode())
        assert signature == signed(SECRET)["webhook-signature"]
        headers = {"webhook-id": ID, "webhook-timestamp": str(NOW_S), "webhook-signature": signature}
        signatures.verify(headers, BODY, SECRET, now_s=NOW_S)
