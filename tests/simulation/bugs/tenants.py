"""Bugs to switch on: one tenant's names are looked up without the tenant."""

import re
from typing import Any

import pytest

from hookline.http_api.callers import ApiCaller
from hookline.node.state_machine.matching import Fitting, Match
from hookline.node.state_machine.reads import Reads
from hookline.node.state_machine.tables import STATEMENTS

Patch = pytest.MonkeyPatch


def a_key_is_looked_up_without_its_tenant(patch: Patch) -> None:
    statement = re.sub(r"AND k.tenant = \?", "AND ? IS NOT NULL LIMIT 1", STATEMENTS["key"])
    assert statement != STATEMENTS["key"]
    patch.setitem(STATEMENTS, "key", statement)


def a_job_is_read_without_its_tenant(patch: Patch) -> None:
    read = Reads.job

    def anybodys(self: Reads, tenant: str, job_id: str) -> Any:
        return read(self, tenant, job_id) or read(self, "", job_id)

    patch.setattr(Reads, "job", anybodys)


def a_filter_forgets_the_tenant(patch: Patch) -> None:
    fits = Fitting.__call__

    def anybodys(self: Fitting, row: Match) -> bool:
        return fits(
            self, Match(row.seq, row.id, self.tenant, row.state, row.lane, row.created_ms, row.size, row.schedule)
        )

    patch.setattr(Fitting, "__call__", anybodys)


def the_header_of_an_operator_is_ignored(patch: Patch) -> None:
    patch.setattr(ApiCaller, "acting", lambda self: self)
