"""Holds keys with all their versions, as etcd does. It executes the real transactions and range requests."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hookline.node.etcd import rpc_pb2 as rpc

_VERSIONS_KEPT = 200  # of a key; older ones are not read


class Version(NamedTuple):
    """A key at a revision; ``value`` None: deleted."""

    mod: int
    create: int
    value: bytes | None


class Image(NamedTuple):
    """All that a store holds at one moment, as ``etcdctl snapshot save`` keeps it."""

    revision: int
    versions: dict[bytes, list[Version]]


EMPTY = Image(1, {})


class Store:
    """A key-value store with revisions, as etcd's.

    Args:
        changed: called with (key, value, revision) for each put.
    """

    def __init__(self, changed: Callable[[bytes, bytes, int], None]) -> None:
        self.revision = 1
        self._changed = changed
        self._keys: list[bytes] = []
        self._versions: dict[bytes, list[Version]] = {}

    def image(self) -> Image:
        """As it is now."""
        return Image(self.revision, {key: list(versions) for key, versions in self._versions.items()})

    def put_back(self, image: Image) -> None:
        """Be as it was then, revisions too; nobody is told."""
        self.revision = image.revision
        self._versions = {key: list(versions) for key, versions in image.versions.items()}
        self._keys = sorted(self._versions)

    # --- reads ---------------------------------------------------------------------------------------------------

    def range(self, request: rpc.RangeRequest, revision: int | None = None) -> rpc.RangeResponse:
        """As of ``revision``, the newest when it is None."""
        found = list(self._found(request.key, request.range_end, revision))
        if request.sort_order == rpc.RangeRequest.DESCEND:
            found.reverse()
        count = len(found)
        if request.limit:
            found = found[: request.limit]
        kvs = [
            rpc.KeyValue(
                key=key,
                create_revision=version.create,
                mod_revision=version.mod,
                value=b"" if request.keys_only else version.value,
            )
            for key, version in found
        ]
        header = rpc.ResponseHeader(revision=self.revision)
        return rpc.RangeResponse(header=header, kvs=kvs, more=count > len(kvs), count=count)

    def _found(self, key: bytes, range_end: bytes, revision: int | None = None) -> Iterator[tuple[bytes, Version]]:
        if not range_end:
            version = self.at(key, revision)
            if version is not None:
                yield key, version
            return
        for place in range(bisect_left(self._keys, key), len(self._keys)):
            name = self._keys[place]
            if name >= range_end:
                return
            version = self.at(name, revision)
            if version is not None:
                yield name, version

    def at(self, key: bytes, revision: int | None = None) -> Version | None:
        """A key as it was at a revision, or is."""
        for version in reversed(self._versions.get(key, ())):
            if revision is None or version.mod <= revision:
                return None if version.value is None else version
        return None

    # --- transactions --------------------------------------------------------------------------------------------

    def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        """All or nothing, and in one revision."""
        succeeded = all(map(self._holds, request.compare))
        revision = self.revision + 1
        responses = [self._do(op, revision) for op in (request.success if succeeded else request.failure)]
        header = rpc.ResponseHeader(revision=self.revision)
        return rpc.TxnResponse(header=header, succeeded=succeeded, responses=responses)

    def _holds(self, compare: rpc.Compare) -> bool:
        if compare.range_end:
            versions = [version for _, version in self._found(compare.key, compare.range_end)]
            return all(self._compares(compare, version) for version in versions)
        return self._compares(compare, self.at(compare.key))

    @staticmethod
    def _compares(compare: rpc.Compare, version: Version | None) -> bool:
        if compare.target == rpc.Compare.VALUE:
            assert compare.result == rpc.Compare.EQUAL, "no transaction compares values otherwise"
            return version is not None and version.value == compare.value
        if compare.target == rpc.Compare.MOD:
            found, wanted = version.mod if version else 0, compare.mod_revision
        else:
            assert compare.target == rpc.Compare.CREATE, "no transaction compares anything else"
            found, wanted = version.create if version else 0, compare.create_revision
        return found == wanted if compare.result == rpc.Compare.EQUAL else found > wanted

    def _do(self, op: rpc.RequestOp, revision: int) -> rpc.ResponseOp:
        match op.WhichOneof("request"):
            case "request_put":
                self._put(op.request_put.key, op.request_put.value, revision)
                return rpc.ResponseOp(response_put=rpc.PutResponse())
            case "request_delete_range":
                request = op.request_delete_range
                keys = [key for key, _ in self._found(request.key, request.range_end)]
                for key in keys:
                    self.revision = revision
                    self._versions[key].append(Version(revision, 0, None))
                return rpc.ResponseOp(response_delete_range=rpc.DeleteRangeResponse(deleted=len(keys)))
            case _:
                return rpc.ResponseOp(response_range=self.range(op.request_range))

    def _put(self, key: bytes, value: bytes, revision: int) -> None:
        before = self.at(key)
        if key not in self._versions:
            insort(self._keys, key)
        versions = self._versions.setdefault(key, [])
        versions.append(Version(revision, before.create if before else revision, value))
        if len(versions) > 2 * _VERSIONS_KEPT:
            del versions[:_VERSIONS_KEPT]
        self.revision = revision
        self._changed(key, value, revision)

    def compact(self, revision: int) -> None:
        """Forget what is older, except for the newest version of each key."""
        for key in list(self._keys):
            versions = self._versions[key]
            while len(versions) > 1 and versions[1].mod <= revision:
                del versions[0]
            if versions[-1].value is None and versions[-1].mod <= revision:
                self._keys.remove(key)
                del self._versions[key]
