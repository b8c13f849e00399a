"""Agents for ``RUN --mount=type=ssh`` and for git over ssh (wire.md 4.5).

The daemon opens one call for each connection that a step makes to its agent's socket. Requests
are answered in their order, the next one when the daemon took the answer to the last.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from dockyard.cancellation import Cancellation
from dockyard.driver import SshAgent
from dockyard.errors import AgentError, CanceledError, InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line, quoted
from dockyard.session.service import refuse, unary
from dockyard.session.ssh_absence import CHECK, DEFAULT, FORWARD, ID_KEY, absent
from dockyard.session.ssh_agent import Agent, KeyAgent, Requests, SocketAgent
from dockyard.session.ssh_key import MAX_KEY, KeyFormatError, PrivateKey, parse_key, text
from dockyard.session.turns import Turns
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.messages import BYTES_MESSAGE, CHECK_AGENT_REQUEST, CHECK_AGENT_RESPONSE
from dockyard.wire.packet import bytes_header
from dockyard.wire.transport import Buffer

_JOBS = 4
"""Requests that are answered at a time, so that threads are left to other services."""
_CALLS = 256
"""Connections at a time."""
_MUCH = 512 << 10
"""Bytes of requests that wait, above which the daemon gets no more room."""

T = TypeVar("T")

Warn = Callable[[str], None]


def open_agents(wanted: Iterable[SshAgent], here: Path) -> dict[str, Agent]:
    """Get the agents of a build ready, by their ids; keys are read now.

    Args:
        wanted: What the build is given.
        here: What relative paths are relative to.

    Raises:
        InputError: One cannot be used; says which and why.
    """
    agents: dict[str, Agent] = {}
    for one in wanted:
        name = one.id or DEFAULT
        if name in agents:
            raise InputError(f"duplicate agent ID {quoted(name)}")
        paths = one.keys or ((one.socket,) if one.socket else ())
        shown = f"{{{name} [{' '.join(one.keys)}] false}}"
        try:
            agents[name] = _open(name, paths, here)
        except InputError as error:
            message = f"failed to convert agent config {shown}: {error.message}"
            raise InputError(in_line(message), hint=error.hint) from error
    return agents


class SshAgents:
    """Serves agents by their ids."""

    def __init__(self, agents: Mapping[str, Agent], *, warn: Warn = lambda _: None) -> None:
        """Take the agents.

        Args:
            agents: From :func:`open_agents`.
            warn: Takes why an agent did not answer; the step sees only that it hung up.
        """
        self.failed: BaseException | None = None
        self._agents = dict(agents)
        self._warn = warn
        self._warned: set[str] = set()

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        desk = _Desk(loop)

        def forward(call: ServerCall) -> None:
            self._forward(desk, call)

        return {
            CHECK: unary(self._check),
            FORWARD: forward,
        }

    def _check(self, request: bytes) -> bytes:
        self._agent(decode(CHECK_AGENT_REQUEST, request).get("ID", ""))
        return encode(CHECK_AGENT_RESPONSE, {})

    def _forward(self, desk: _Desk, call: ServerCall) -> None:
        try:
            agent = self._agent(call.get(ID_KEY) or "")
        except CallError as error:
            call.finish(error.code, error.message)
            return
        if desk.calls >= _CALLS:
            call.finish(Code.RESOURCE_EXHAUSTED, f"more than {_CALLS} connections to ssh agents")
            return
        _Forwarding(desk, call, agent, self._report)

    def _agent(self, name: str) -> Agent:
        agent = self._agents.get(name or DEFAULT)
        if agent is None:
            raise absent(name)
        return agent

    def _report(self, error: AgentError) -> None:
        if error.message not in self._warned:
            self._warned.add(error.message)
            self._warn(error.message)


class _Desk:
    """Lets a few requests be answered at a time, whichever connection they come from."""

    def __init__(self, loop: Loop) -> None:
        self.calls = 0
        self.loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = 0

    def in_thread(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Do ``work`` when it is its turn."""

        def after(result: T | None, error: BaseException | None) -> None:
            self._busy -= 1
            self._start()
            done(result, error)

        self._waiting.append(lambda: self.loop.in_thread(work, after))
        self._start()

    def _start(self) -> None:
        while self._waiting and self._busy < _JOBS:
            self._busy += 1
            self._waiting.popleft()()


class _Forwarding:
    """One connection of a step to an agent."""

    def __init__(
        self, desk: _Desk, call: ServerCall, agent: Agent, report: Callable[[AgentError], None]
    ) -> None:
        self._desk = desk
        self._call = call
        self._talk = agent.converse()
        self._turns = Turns(desk, self._talk.close)
        self._report = report
        self._requests = Requests()
        self._cancel = Cancellation()
        self._answer: bytes | None = None
        self._received = 0
        self._ended = False
        desk.calls += 1
        call.on_message = self._on_message
        call.on_half_close = self._on_half_close
        call.on_cancel = self._stop
        call.set_source(self._next)

    def _on_message(self, message: memoryview) -> None:
        try:
            data = decode(BYTES_MESSAGE, message).get("data", b"")
        except CodecError as error:
            self._fail(error)
            return
        self._requests.add(data)
        self._received += len(data)
        if self._received > _MUCH:
            self._call.pause()
        self._go_on()

    def _on_half_close(self) -> None:
        self._ended = True
        self._go_on()

    def _go_on(self) -> None:
        """Turn to the next request, unless one is being answered."""
        if self._answer is not None or not self._turns.free:
            return
        try:
            request = self._requests.next()
        except AgentError as error:
            self._fail(error)
            return
        if request is not None:
            self._received -= len(request) + 4
            self._turns.do(partial(self._talk.answer, request, self._cancel), self._answered)
        elif self._ended:
            self._hang_up()
        else:
            self._call.resume()

    def _answered(self, answer: bytes | None, error: BaseException | None) -> None:
        """Give the daemon the answer, or hang up when there is none."""
        if error is None and answer is not None:
            self._answer = text(answer)
            self._call.wake()
        else:
            self._fail(error or RuntimeError("no answer"))

    def _next(self, _budget: int) -> Sequence[Buffer] | None:
        if self._answer is None:
            return None if self._turns.over else ()
        answer, self._answer = self._answer, None
        self._desk.loop.call_soon(self._go_on)
        header = bytes_header(len(answer))
        return [frame(len(header) + len(answer)) + header, answer]

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, AgentError):
            self._report(error)
        if isinstance(error, (AgentError, CanceledError)):
            self._hang_up()  # as an agent does
        else:
            self._stop()
            refuse(self._call, error)

    def _hang_up(self) -> None:
        self._stop()
        self._call.finish()
        self._call.wake()

    def _stop(self) -> None:
        if not self._turns.over:
            self._desk.calls -= 1
            self._cancel.cancel()
            self._turns.stop()


# --- getting ready --------------------------------------------------------------------------


def _open(name: str, paths: Sequence[str], here: Path) -> Agent:
    if not paths or not paths[0]:
        raise InputError("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
    try:
        return _open_paths(paths, here)
    except InputError as error:
        message = f'failed to convert agent config for ID: "{name}": {error.message}'
        raise InputError(message, hint=error.hint) from error


def _open_paths(paths: Sequence[str], here: Path) -> Agent:
    sockets: list[Path] = []
    keys: list[PrivateKey] = []
    for path in paths:
        if sockets:
            raise InputError("only single socket allowed")
        if _is_socket(path, here):
            sockets.append(here / path)
        else:
            keys.append(_read_key(path, here))
    if sockets and keys:
        raise InputError("invalid combination of keys and sockets")
    return SocketAgent(sockets[0]) if sockets else KeyAgent(keys)


def _is_socket(path: str, here: Path) -> bool:
    try:
        return stat.S_ISSOCK((here / path).stat().st_mode)
    except (OSError, ValueError) as error:
        raise InputError(f"stat {path}: {reason(error)}") from error


def _read_key(path: str, here: Path) -> PrivateKey:
    try:
        # Not blocking: what stands there may be a FIFO.
        descriptor = os.open(here / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"failed to open {path}: open {path}: {reason(error)}") from error
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_KEY) or b""
    except OSError as error:
        raise InputError(f"failed to read {path}: read {path}: {reason(error)}") from error
    try:
        return parse_key(data)
    except KeyFormatError as error:
        hint = None
        if "passphrase" in str(error):
            hint = "ssh-add the key to an agent, and pass the agent's socket to --ssh"
        raise InputError(f"failed to parse {path}: {error}", hint=hint) from error
