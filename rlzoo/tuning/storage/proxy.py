"""Optuna's gRPC proxy in front of a database, with what it leaves out: who may take a trial, and who is alive.

The server locks the study's row in the database for a client as long as that one's call lasts, and keeps heartbeats
where workers that reach the database themselves keep theirs. So both may work on one study, and a client that dies
takes its calls, and with them its locks, along.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
from optuna.storages import GrpcStorageProxy
from optuna.storages._grpc.auto_generated import api_pb2_grpc
from optuna.storages._grpc.client import GrpcClientCache
from optuna.storages._grpc.servicer import OptunaStorageProxyService
from optuna.storages._heartbeat import BaseHeartbeat

from rlzoo.tuning.storage.database import row_lock

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

SERVICE = "rlzoo.Study"
MAX_CALLS = 1000
"""At the same time; those that wait for a lock are among them."""
LOOK_SECONDS = 0.5
"""Between two looks whether a client that waits for a lock is still there."""
WAIT_SECONDS = 60.0
"""How long to wait for a proxy, such as while it is started anew; what it was answering then fails."""
FIRST_SECONDS = 10.0
"""Likewise, for the first time: it may be the wrong address."""
BEAT_SECONDS = 10.0
ALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 20_000)]
"""Both sides notice it when the other's machine is gone."""
SERVER = [*ALIVE, ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000), ("grpc.so_reuseport", 0)]
CLIENT = [
    *ALIVE,
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


def address(url: str) -> tuple[str, int]:
    """Host and port of `grpc://host:port`.

    Raises:
        ValueError: if it is no such thing.
    """
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None or parts.path not in ("", "/") or parts.query or "@" in url:
        raise ValueError(url)
    return parts.hostname, parts.port


def start_server(storage: RDBStorage, url: str, host: str, port: int) -> tuple[grpc.Server, int]:
    """Serve a database; to be stopped by the caller.

    Args:
        storage: of the database, with heartbeats.
        url: of the database, for locks.
        host: to listen on.
        port: likewise; 0 takes a free one.

    Returns:
        The server, and its port.

    Raises:
        RuntimeError: if it cannot listen there.
    """
    from optuna.storages import get_storage

    server = grpc.server(ThreadPoolExecutor(max_workers=MAX_CALLS), options=SERVER)
    api_pb2_grpc.add_StorageServiceServicer_to_server(OptunaStorageProxyService(get_storage(storage)), server)
    own = {
        "Ping": grpc.unary_unary_rpc_method_handler(lambda request, context: b""),
        "Hold": grpc.unary_stream_rpc_method_handler(_Locks(url).hold),
        "Beat": grpc.unary_unary_rpc_method_handler(_answering(storage.record_heartbeat)),
        "Stale": grpc.unary_unary_rpc_method_handler(_answering(storage._get_stale_trial_ids)),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, own),))
    found = server.add_insecure_port(f"{f'[{host}]' if ':' in host else host}:{port}")
    server.start()
    return server, found


def _answering(method: Callable[[int], Any]) -> Callable[[bytes, Any], bytes]:
    return lambda request, context: json.dumps(method(int(request))).encode()


class _Locks:
    """Locks in a database, each held for one client at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def hold(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answers once when the lock is the client's, and holds it until the call ends."""
        name, ended = request.decode(), threading.Event()
        if not context.add_callback(ended.set):
            return
        with self._turn(name, ended) as ours:  # one connection to the database for each lock, however many wait
            if ours:
                with row_lock(self._url, name):
                    if not ended.is_set():
                        yield b"held"
                    ended.wait()

    @contextmanager
    def _turn(self, name: str, ended: threading.Event) -> Iterator[bool]:
        with self._guard:
            turn = self._turns.setdefault(name, threading.Lock())
        while not turn.acquire(timeout=LOOK_SECONDS):
            if ended.is_set():
                yield False
                return
        try:
            yield True
        finally:
            turn.release()


class Proxy(GrpcStorageProxy, BaseHeartbeat):
    """The storage of a worker that reaches a study through `rlzoo tune serve`.

    Args:
        url: `grpc://host:port`.
        heartbeat_seconds: between two signs of life of a trial.
    """

    def __init__(self, url: str, heartbeat_seconds: int) -> None:
        host, port = address(url)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls it experimental
            super().__init__(host=f"[{host}]" if ":" in host else host, port=port)
        self._heartbeat_seconds = heartbeat_seconds
        self._has_answered = False

    def _setup(self) -> None:
        """Optuna's, with options for the channel."""
        asked = [{"service": "optuna.StorageService"}, {"service": SERVICE, "method": "Stale"}]
        waiting = {"name": asked, "waitForReady": True, "timeout": f"{WAIT_SECONDS:.3f}s"}
        options = [*CLIENT, ("grpc.service_config", json.dumps({"methodConfig": [waiting]}))]
        self._channel = grpc.insecure_channel(f"{self._host}:{self._port}", options=options)
        self._stub = api_pb2_grpc.StorageServiceStub(self._channel)
        self._cache = GrpcClientCache(self._stub)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Be the only one who has this lock in the database.

        Raises:
            ConnectionError: if nobody answers, or it was lost meanwhile.
        """
        seconds = WAIT_SECONDS if self._has_answered else FIRST_SECONDS
        try:
            self._channel.unary_unary(f"/{SERVICE}/Ping")(b"", timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
                raise
            raise ConnectionError(f"no proxy answers within {seconds:g} s") from None
        self._has_answered = True
        call = self._channel.unary_stream(f"/{SERVICE}/Hold")(name.encode())
        try:
            next(call, None)
            yield
            if not call.is_active():
                raise ConnectionError("the proxy was stopped in the middle")
        finally:
            call.cancel()

    def record_heartbeat(self, trial_id: int) -> None:
        try:
            self._channel.unary_unary(f"/{SERVICE}/Beat")(str(trial_id).encode(), timeout=BEAT_SECONDS)
        except grpc.RpcError:
            return  # the trial finds out for itself; the next sign may get through

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        found: list[int] = json.loads(self._channel.unary_unary(f"/{SERVICE}/Stale")(str(study_id).encode()))
        return found

    def get_heartbeat_interval(self) -> int:
        return self._heartbeat_seconds

    def get_heartbeat_stale_trial_callback(self) -> None:
        return None

    get_failed_trial_callback = get_heartbeat_stale_trial_callback  # its name before Optuna 4.9
