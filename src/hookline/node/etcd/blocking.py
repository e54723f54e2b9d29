"""One blocking call to etcd, for the thread that renews the lead."""

from typing import Any

import grpc

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import CHANNEL_OPTIONS, EtcdAddress, mapped


class BlockingTxn:
    """Sends transactions over connections of its own, to one endpoint after the other when one does not answer."""

    def __init__(self, address: EtcdAddress) -> None:
        self._address = address
        self._channels = self._connected()
        self._former: list[grpc.Channel] = []
        self._current = 0
        self._token: str | None = None

    def _connected(self) -> list[grpc.Channel]:
        address = self._address
        return [
            grpc.secure_channel(target, address.credentials(), options=CHANNEL_OPTIONS)
            if address.is_secure
            else grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
            for target in address.targets()
        ]

    def renew(self) -> None:
        """As ``EtcdClient.renew``; any thread may call it."""
        self._channels, former = self._connected(), self._channels
        self._former += former

    def __call__(self, request: rpc.TxnRequest, timeout_s: float) -> rpc.TxnResponse:
        """One try. Raises EtcdUnclear or EtcdRefused; the next call then goes to the next endpoint."""
        channel = self._channels[self._current]
        try:
            if self._address.user is not None and self._token is None:
                self._token = self._log_in(channel, timeout_s)
            method: Any = channel.unary_unary(
                "/etcdserverpb.KV/Txn",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=rpc.TxnResponse.FromString,
            )
            metadata = [("token", self._token)] if self._token else None
            answer: rpc.TxnResponse = method(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            self._token = None
            self._current = (self._current + 1) % len(self._channels)
            raise mapped(error) from error
        return answer

    def _log_in(self, channel: grpc.Channel, timeout_s: float) -> str:
        method: Any = channel.unary_unary(
            "/etcdserverpb.Auth/Authenticate",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=rpc.AuthenticateResponse.FromString,
        )
        request = rpc.AuthenticateRequest(name=self._address.user or "", password=self._address.password or "")
        return str(method(request, timeout=timeout_s).token)

    def close(self) -> None:
        """Close the connections."""
        for channel in (*self._channels, *self._former):
            channel.close()
