"""The calls about the audit log in words."""

from hookline import errors as e
from hookline.http_api.operation import Operation
from hookline.protocol import http_audit

AUDIT: tuple[Operation, ...] = (
    Operation(
        name="listAudit",
        tag="Audit",
        summary="List who changed what",
        description=(
            "The newest first: who changed keys, topology, destinations or the cluster, or many jobs at once. A row is "
            "in the same entry of the log as the change. No secret is in it. At a proxy the rows of all clusters."
        ),
        query=("action", "actor", "after", "limit", "cursor"),
        replies={200: (http_audit.AuditPage, "A page of the audit log.")},
        refusals=(e.InvalidCursor, e.InvalidTime),
    ),
)
