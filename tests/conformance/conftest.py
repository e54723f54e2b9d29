"""Real etcd for the suites: three members for each test process; a test that harms them revives them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hookline.node.etcd.keys import Keys
from tests.etcd_members import EtcdMembers
from tests.etcd_parts import fresh_keys


@pytest.fixture(scope="session")
def etcd_session() -> Iterator[EtcdMembers]:
    with TemporaryDirectory(prefix="hookline-etcd-") as directory, EtcdMembers(Path(directory)) as members:
        yield members


@pytest.fixture
def etcd(etcd_session: EtcdMembers) -> EtcdMembers:
    """Three members, all healthy."""
    etcd_session.revive()
    return etcd_session


@pytest.fixture
def keys() -> Keys:
    """Of a cluster of this test's own."""
    return fresh_keys()
