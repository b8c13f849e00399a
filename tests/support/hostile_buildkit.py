"""A daemon that abuses the session of the build that it is given, on grpcio and protobuf.

Unlike ``ScriptedBuildKit`` alone it takes the client's session, as BuildKit does: inside a call,
with itself as the client. grpcio cannot adopt a stream, so it dials a socket that is relayed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from support.protos import protos
from support.scripted_buildkit import Refusal, ScriptedBuildKit, Values

BYTES = "moby.filesync.v1.BytesMessage"
PACKET = "fsutil.types.Packet"
STAT, REQ, DATA, FIN, ERR = range(5)
LINK = 0x08000000
DIRECTORY = 0x80000000
SECONDS = 40
"""For so long what the other side has to do is waited for."""

Attack = Callable[["Victim"], None]


class Transfer:
    """One call of DiffCopy, from the daemon's side."""

    def __init__(self, call: Any, said: list[bytes | None], turn: threading.Condition) -> None:  # noqa: ANN401  # grpcio has no types
        self._call = call
        self._said = said
        self._turn = turn
        self.stats: dict[str, Values] = {}
        self.data: dict[int, bytes] = {}
        self.requested: list[int] = []
        self.listed = False
        self.finished = False

    def say(self, **packet: object) -> None:
        """Send a packet."""
        self._push(protos().encode(PACKET, packet))

    def entry(self, path: str, mode: int = 0o644, **more: object) -> None:
        """Send what is known about a file."""
        self.say(type=STAT, stat={"path": path, "mode": mode, **more})

    def over(self) -> None:
        """Say that nothing more comes."""
        self._push(None)

    def hear(self, until: Callable[[], bool] = lambda: False) -> None:
        """Take what comes until something is true or the call ends; raises ``grpc.RpcError``."""
        for message in self._call:
            self._take(protos().decode(PACKET, message))
            if until():
                return

    def _take(self, packet: Values) -> None:
        kind, number = packet.get("type", 0), packet.get("ID", 0)
        if kind == STAT and packet.get("stat"):
            self.stats[packet["stat"]["path"]] = packet["stat"]
        elif kind == STAT:
            self.listed = True
        elif kind == REQ:
            self.requested.append(number)
        elif kind == FIN:
            self.finished = True
        elif kind == DATA:
            self.data[number] = self.data.get(number, b"") + packet.get("data", b"")

    def _push(self, message: bytes | None) -> None:
        with self._turn:
            self._said.append(message)
            self._turn.notify()


class Victim:
    """The session of a client, to be called."""

    def __init__(self, channel: grpc.Channel, exporters: int) -> None:
        self._channel = channel
        self.exporters = exporters

    def transfer(self, service: str, **metadata: str | Sequence[str]) -> Transfer:
        """Begin a transfer with ``FileSync`` or ``FileSend``."""
        said: list[bytes | None] = []
        turn = threading.Condition()

        def messages() -> Iterator[bytes]:
            while True:
                with turn:
                    turn.wait_for(lambda: bool(said), SECONDS)
                    message = said.pop(0) if said else None
                if message is None:
                    return
                yield message

        keys = [
            (name.replace("_", "-"), value)
            for name, values in metadata.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        method = f"/moby.filesync.v1.{service}/DiffCopy"
        call = self._channel.stream_stream(method, _same, _same)(
            messages(), metadata=tuple(keys), timeout=SECONDS, wait_for_ready=True
        )
        return Transfer(call, said, turn)

    def ask(self, method: str, request: tuple[str, Mapping[str, Any]]) -> bytes:
        """Make a call of one message each way."""
        call = self._channel.unary_unary(method, _same, _same)
        answer = call(protos().encode(*request), timeout=SECONDS, wait_for_ready=True)
        assert isinstance(answer, bytes)
        return answer


class HostileBuildKit(ScriptedBuildKit):
    """Listens on a socket file, and attacks everyone who wants something built."""

    def __init__(
        self, folder: Path, attack: Attack, *, admits: bool = True, gateway: bool = True
    ) -> None:
        """Begin to listen.

        Args:
            folder: Where the sockets are made; ``address`` is the one to build with.
            attack: Is given the client's session. What it raises is kept in ``refusals`` and
                ``failures``, which wait for its end: the client may be gone before.
            admits: Whether the build fails when the session refused; else it claims success.
            gateway: Whether the client may lead its build.
        """
        self.address = folder / "control.sock"
        super().__init__(self.address)
        self._refusals: list[grpc.RpcError] = []
        self._failures: list[BaseException] = []
        self._attack = attack
        self._attacks = 0
        """How many go on."""
        self._ended = threading.Condition()
        self._admits = admits
        self._relay = folder / "session.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._relay))
        self._listener.listen()
        self._ends: list[socket.socket] = []
        self.workers = lambda: [{"ID": "w"}]
        self.solve = self._solve_by_attack
        self.status = self._say_nothing
        self._over = threading.Event()
        self._returned = threading.Event()
        self._failed = ""
        self._asked = threading.Event()
        self.bridge["Solve"] = self._answer if gateway else self._know_no_gateway
        self.bridge["Return"] = self._take_result
        handler = grpc.stream_stream_rpc_method_handler(self._session, _same, _same)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "moby.buildkit.v1.Control", {"Session": handler}
                ),
            )
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for event in (self._over, self._asked):
            event.set()  # nobody is to wait on
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        super().__exit__(kind, error, trace)
        for end in (*self._ends, self._listener):
            end.close()

    @property
    def refusals(self) -> list[grpc.RpcError]:
        """What the session refused."""
        self._await_end()
        return self._refusals

    @property
    def failures(self) -> list[BaseException]:
        """What else went wrong with the attacks."""
        self._await_end()
        return self._failures

    def _await_end(self) -> None:
        with self._ended:
            assert self._ended.wait_for(lambda: not self._attacks, SECONDS)

    def _answer(self, _request: Values) -> Values:
        return {"result": {}}

    def _know_no_gateway(self, _request: Values) -> Values:
        # Calls are handled in any order here. The client drops its build at this answer, and a
        # server does not tell of a call that was dropped before its turn.
        self._asked.wait(SECONDS)
        raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    def _take_result(self, request: Values) -> Values:
        self._failed = request.get("error", {}).get("message", "")
        self._returned.set()
        return {}

    def _solve_by_attack(self, request: Values, gone: threading.Event) -> Values:
        self._asked.set()
        while "Frontend" not in request and not self._returned.wait(0.01):
            if gone.is_set():
                return {}
        self._returned.clear()
        if self._failed:  # at the client's own word
            raise Refusal(grpc.StatusCode.UNKNOWN, self._failed)
        with self._ended:
            self._attacks += 1
        # Each build has a session of its own, so no connection to an earlier one may be used again.
        own = (("grpc.use_local_subchannel_pool", 1),)
        try:
            with grpc.insecure_channel(f"unix:{self._relay}", options=own) as channel:
                self._attack(Victim(channel, len(request.get("Exporters", ()))))
        except grpc.RpcError as refusal:
            self._refusals.append(refusal)
            if self._admits:
                raise Refusal(
                    grpc.StatusCode.UNKNOWN, f"it was refused: {_words(refusal)}"
                ) from None
        except BaseException as error:
            self._failures.append(error)
            raise Refusal(grpc.StatusCode.UNKNOWN, f"the attack itself failed: {error}") from error
        finally:
            self._over.set()
            with self._ended:
                self._attacks -= 1
                self._ended.notify_all()
        return {}

    def _say_nothing(self, _request: Values, _gone: threading.Event) -> Iterator[Values]:
        """Tell of no progress, until the build is over."""
        self._over.wait(SECONDS)
        return iter(())

    def _session(self, requests: Iterator[bytes], _call: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            dialed, _ = self._listener.accept()
        except OSError:
            return
        self._ends.append(dialed)

        def inwards() -> None:
            with suppress(grpc.RpcError, OSError):
                for message in requests:
                    dialed.sendall(protos().decode(BYTES, message).get("data", b""))
            with suppress(OSError):
                dialed.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=inwards, daemon=True).start()
        with suppress(OSError):
            while data := dialed.recv(32 << 10):
                yield protos().encode(BYTES, {"data": data})


def _same(data: bytes) -> bytes:
    return data


def _words(error: grpc.RpcError) -> str:
    details = getattr(error, "details", None)
    return str(details()) if details is not None else str(error)
