"""A thin etcd client: the calls Hookline needs, over several endpoints, with no retry of its own.

Whether a failed write may be repeated is a question of safety, so it is the caller's. An error says which of three
things is known: the request surely had no effect, it may have had one, or etcd said no. Why not a ready-made client:
docs/decisions/0008-etcd-client.md. Source of the interface: https://etcd.io/docs/v3.5/learning/api/
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from hookline.errors import InvalidConfig, LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.outage import Outage

CHANNEL_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 6_000),  # etcd refuses pings faster than every 5 s
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),  # no limit
    ("grpc.http2.ping_timeout_ms", 3_000),  # else a half-open connection is noticed after a minute
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
_DENIALS = {  # what etcd says, and what to do
    "user name is empty": "etcd wants a user: give --etcd-user and HOOKLINE_ETCD_PASSWORD",
    "invalid user ID or password": "etcd does not know this user, or not with this password: correct --etcd-user and "
    "HOOKLINE_ETCD_PASSWORD",
    "permission denied": "etcd does not let this user read and write the cluster's keys: grant its role readwrite on "
    "all keys that begin with /hookline/, or give another --etcd-user",
    "authentication is not enabled": "etcd knows no users, since its authentication is off: leave out --etcd-user and "
    "HOOKLINE_ETCD_PASSWORD, or turn it on",
}
_REASON_CHARS_MAX = 160
_NO_EFFECT_DETAILS = ("etcdserver: too many requests", "etcdserver: no leader", "etcdserver: not leader")


class EtcdUnclear(LogFault):
    """etcd did not answer; whether the request had an effect is not known."""

    code = "etcd_unclear"
    is_outage = True


class EtcdRefused(LogFault):
    """etcd refused the request; it had no effect."""

    code = "etcd_refused"


class EtcdWithoutLeader(EtcdRefused):
    """etcd has no leader at the moment, or too much to do."""

    code = "etcd_without_leader"
    is_outage = True


class EtcdDenied(EtcdRefused):
    """etcd does not let this node in; a person has to correct its settings, or etcd's."""

    code = "etcd_denied"


class EtcdFull(EtcdRefused):
    """etcd's database has reached its quota; it takes no writes until space is made."""

    code = "etcd_full"


class EtcdTooLarge(EtcdRefused):
    """etcd takes no request of that size: give its members --max-request-bytes 1572864, their default, or more."""

    code = "etcd_too_large"


class EtcdCompacted(EtcdRefused):
    """The revision asked for has been compacted."""

    code = "etcd_compacted"


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """The way to etcd, and the means to get in.

    Attributes:
        endpoints: urls of all members, ``http://`` or ``https://``, all of one kind.
        ca_file, cert_file, key_file: PEM files for TLS; without ``ca_file`` the system's authorities are trusted.
        user, password: for etcd's authentication.
    """

    endpoints: tuple[str, ...]
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise InvalidConfig("--etcd names no endpoint; give the urls of all members", field="etcd")
        for endpoint in self.endpoints:
            if not endpoint.startswith(("http://", "https://")):
                raise InvalidConfig(f"--etcd has {endpoint!r}; use http://host:port or https://host:port", field="etcd")
        if len({endpoint.split(":", 1)[0] for endpoint in self.endpoints}) > 1:
            raise InvalidConfig("--etcd mixes http and https; use one of them for all members", field="etcd")

    @property
    def is_secure(self) -> bool:
        """The members speak TLS."""
        return self.endpoints[0].startswith("https://")

    def targets(self) -> list[str]:
        """``host:port`` of each endpoint, as gRPC takes them."""
        return [endpoint.split("://", 1)[1].rstrip("/") for endpoint in self.endpoints]

    def credentials(self) -> grpc.ChannelCredentials:
        """For TLS channels."""

        def read(path: Path | None) -> bytes | None:
            return path.read_bytes() if path else None

        return grpc.ssl_channel_credentials(read(self.ca_file), read(self.key_file), read(self.cert_file))


class EtcdClient:
    """Calls one endpoint at a time; ``rotate`` moves on to the next, which callers do when an answer is unclear.

    Attributes:
        member: the endpoint that is called, by its place in the address.
        token: of the user who has logged in; None: log in before the next call.
    """

    def __init__(self, address: EtcdAddress, outage: Outage | None = None) -> None:
        self._address = address
        self._outage = outage or Outage(address.endpoints)
        self._members = self._connected()
        self._former: list[_Member] = []  # what was under way when the certificates changed goes on with these
        self.member = 0
        self._failed = 0
        self.token: str | None = None

    def _connected(self) -> list["_Member"]:
        credentials = self._address.credentials() if self._address.is_secure else None
        return [_Member(target, credentials) for target in self._address.targets()]

    def renew(self) -> None:
        """Connect by the certificates that are in the files now. Raises OSError when a file cannot be read.

        Idle connections end by themselves, after half an hour; a stream goes on until it breaks.
        """
        self._members, former = self._connected(), self._members
        self._former += former

    def rotate(self) -> None:
        """Use the next endpoint from now on; nothing happens when another task has moved on from the failed one."""
        if self._failed == self.member:
            self.member = (self.member + 1) % len(self._members)

    async def txn(self, request: rpc.TxnRequest, timeout_s: float) -> rpc.TxnResponse:
        """One transaction, sent once. Raises EtcdUnclear, EtcdRefused, EtcdFull."""
        answer: rpc.TxnResponse = await self._call(lambda member: member.txn, request, timeout_s)
        return answer

    async def range(self, request: rpc.RangeRequest, timeout_s: float) -> rpc.RangeResponse:
        """A read. Raises EtcdUnclear, EtcdCompacted."""
        answer: rpc.RangeResponse = await self._call(
            lambda member: member.range, request, timeout_s, is_proof=not request.serializable
        )
        return answer

    async def compact(self, revision: int, timeout_s: float, *, physical: bool = False) -> None:
        """Forget what is older than ``revision``; nothing happens when that was done before.

        ``physical``: answer when the space is free.
        """
        request = rpc.CompactionRequest(revision=revision, physical=physical)
        try:
            await self._call(lambda member: member.compact, request, timeout_s)
        except EtcdCompacted:
            return

    async def alarms(self, request: rpc.AlarmRequest, timeout_s: float) -> rpc.AlarmResponse:
        """Read, raise or disarm alarms."""
        answer: rpc.AlarmResponse = await self._call(lambda member: member.alarm, request, timeout_s)
        return answer

    async def statuses(self, timeout_s: float) -> list[rpc.StatusResponse | None]:
        """The status of each member, in the order of the endpoints; None for one that does not answer."""

        async def ask(member: _Member) -> rpc.StatusResponse | None:
            try:
                status: rpc.StatusResponse = await self._ask(member.status, rpc.StatusRequest(), timeout_s)
            except LogFault:
                return None
            return status

        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(ask(member)) for member in self._members]
        return [task.result() for task in asking]

    async def members(self, timeout_s: float) -> list[rpc.Member]:
        """All members of etcd, those that no endpoint names too. Raises EtcdUnclear, EtcdRefused."""
        answer = await self._call(lambda member: member.members, rpc.MemberListRequest(), timeout_s)
        return list(answer.members)

    async def defragment(self, endpoint: int, timeout_s: float) -> None:
        """Give the free space of one member's file back; the member answers nothing else meanwhile."""
        await self._ask(self._members[endpoint].defragment, rpc.DefragmentRequest(), timeout_s)

    async def watch(self, key: bytes, range_end: bytes) -> AsyncIterator[rpc.WatchResponse]:
        """Changes from now on, a hint only; the first response says that the stream is open.

        Ends or raises EtcdUnclear, EtcdRefused when it breaks.
        """
        create = rpc.WatchCreateRequest(key=key, range_end=range_end)
        endpoint = self.member
        member = self._members[endpoint]
        # Without hasleader a member that is cut off from the others keeps the stream open and silent.
        metadata = [("hasleader", "true"), *self._metadata()]
        stream = member.watch(metadata=metadata)
        try:
            await stream.write(rpc.WatchRequest(create_request=create))
            async for response in stream:
                if response.canceled:
                    return
                yield response
        except grpc.aio.AioRpcError as error:
            self._failed = endpoint
            raise mapped(error) from error
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Close all connections."""
        for member in (*self._members, *self._former):
            await member.channel.close()

    async def _call(
        self, pick: Callable[["_Member"], Any], request: Any, timeout_s: float, *, is_proof: bool = True
    ) -> Any:
        """``is_proof``: an answer proves that etcd works, not only this member of it."""
        endpoint = self.member
        try:
            answer = await self._ask(pick(self._members[endpoint]), request, timeout_s)
        except LogFault as error:
            self._failed = endpoint
            if error.is_outage:
                self._outage.failed(endpoint, error.detail.removeprefix("etcd: "))
            raise
        if is_proof:
            self._outage.answered()
        return answer

    async def _ask(self, method: Any, request: Any, timeout_s: float) -> Any:
        if self._address.user is not None and self.token is None:
            await self._log_in(timeout_s)
        try:
            return await method(request, timeout=timeout_s, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED or "auth store is old" in (error.details() or ""):
                self.token = None  # expired, or users have changed since; refused before it had any effect
            raise mapped(error) from error

    def _metadata(self) -> Sequence[tuple[str, str]]:
        return [("token", self.token)] if self.token else []

    async def _log_in(self, timeout_s: float) -> None:
        request = rpc.AuthenticateRequest(name=self._address.user or "", password=self._address.password or "")
        try:
            answer = await self._members[self.member].authenticate(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise mapped(error) from error
        self.token = answer.token


class _Member:
    """The methods of one etcd member."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None) -> None:
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            self.channel = grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
        self.txn = self._unary("KV/Txn", rpc.TxnResponse)
        self.range = self._unary("KV/Range", rpc.RangeResponse)
        self.compact = self._unary("KV/Compact", rpc.CompactionResponse)
        self.alarm = self._unary("Maintenance/Alarm", rpc.AlarmResponse)
        self.status = self._unary("Maintenance/Status", rpc.StatusResponse)
        self.defragment = self._unary("Maintenance/Defragment", rpc.DefragmentResponse)
        self.members = self._unary("Cluster/MemberList", rpc.MemberListResponse)
        self.authenticate = self._unary("Auth/Authenticate", rpc.AuthenticateResponse)
        self.watch: Any = self.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=rpc.WatchResponse.FromString,
        )

    def _unary(self, method: str, response: Any) -> Any:
        return self.channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )


def mapped(error: grpc.RpcError) -> LogFault:
    """Tells from a gRPC error whether the request may have had an effect."""
    code, details = error.code(), error.details() or ""
    text = f"etcd: {_reason(code, details)}"
    denial = next((advice for said, advice in _DENIALS.items() if said in details), None)
    if denial is not None:
        return EtcdDenied(f"{denial} ({details})")
    match code:
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "space exceeded" in details:
            return EtcdFull(text)
        case _ if "request is too large" in details:
            return EtcdTooLarge(
                "etcd refuses requests of that size; start its members with --max-request-bytes 1572864, their default,"
                f" or more ({details})"
            )
        case grpc.StatusCode.OUT_OF_RANGE:
            return EtcdCompacted(text)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return EtcdRefused(text)
        case _ if details in _NO_EFFECT_DETAILS:
            return EtcdWithoutLeader(text)
        case _:
            return EtcdUnclear(text)


def _reason(code: grpc.StatusCode, details: str) -> str:
    """Picks from gRPC's words what an operator needs: of a chain of causes the last."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "no answer in time"
    if details.startswith("etcdserver: "):
        return details
    last = details.rpartition(": ")[2][:_REASON_CHARS_MAX].rstrip(".")
    return last if code is grpc.StatusCode.UNAVAILABLE and last else f"{code.name}: {details[:_REASON_CHARS_MAX]}"
