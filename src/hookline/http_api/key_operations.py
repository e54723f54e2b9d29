"""The calls about API keys in words."""

from hookline import errors as e
from hookline.http_api.operation import BODY, NO_BODY, Operation
from hookline.protocol import http_keys

KEYS: tuple[Operation, ...] = (
    Operation(
        name="createKey",
        tag="Keys",
        summary="Create an API key",
        description=(
            "The answer has the key itself, this once; only a hash of it is kept. A scope allows calls: `read`, "
            "`write`, `cancel`, or `admin`, which allows all. With neither `expires` nor `expires_at` it holds "
            "until it is revoked. At a proxy every cluster gets the key."
        ),
        body=http_keys.KeyRequest,
        replies={201: (http_keys.NewKey, "The key, and its text.")},
        refusals=(*BODY, e.InvalidTime, e.TooManyKeys),
        example={"name": "shop", "scopes": ["read", "write"], "expires": "90d"},
    ),
    Operation(
        name="listKeys",
        tag="Keys",
        summary="List the API keys",
        description="The oldest first, without their texts, and without those that were revoked.",
        query=("limit", "cursor"),
        replies={200: (http_keys.KeyPage, "A page of keys.")},
        refusals=(e.InvalidCursor,),
    ),
    Operation(
        name="getOwnKey",
        tag="Keys",
        summary="Say who calls",
        description="Name, scopes, tenant and expiry of the key that the call shows. It needs the scope `read`.",
        replies={200: (http_keys.OwnKey, "The caller as the service sees it.")},
    ),
    Operation(
        name="getKey",
        tag="Keys",
        summary="Get an API key",
        replies={200: (http_keys.KeyView, "The key without its text.")},
        refusals=(e.InvalidId, e.KeyNotFound),
    ),
    Operation(
        name="rotateKey",
        tag="Keys",
        summary="Give an API key a new text",
        description=(
            "The answer has the new text, this once. Those before it hold for `overlap` more (24 hours, unless given), "
            "so that nobody has to change them at the same moment; `0s` ends them at once."
        ),
        body=http_keys.KeyRotation,
        body_required=False,
        replies={200: (http_keys.NewKey, "The key, and its new text.")},
        refusals=(*BODY, e.InvalidId, e.InvalidTime, e.KeyNotFound, e.Conflict),
        example={"overlap": "1h"},
    ),
    Operation(
        name="revokeKey",
        tag="Keys",
        summary="Revoke an API key",
        description="Every process refuses it within two seconds. There is no way back.",
        replies={204: (None, "It is revoked.")},
        refusals=(*NO_BODY, e.InvalidId, e.KeyNotFound, e.Conflict),
    ),
)
