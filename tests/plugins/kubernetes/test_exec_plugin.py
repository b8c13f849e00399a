"""Programs that give credentials: real ones, in all the ways in which they can go wrong."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import Wait
from dockyard.errors import CanceledError
from dockyard_kubernetes import exec_plugin
from dockyard_kubernetes.cluster import open_cluster
from dockyard_kubernetes.exec_plugin import Plugin, plugin_of
from dockyard_kubernetes.failure import KubeconfigError
from support.api_peer import Api, Line, Request

V1 = "client.authentication.k8s.io/v1"
SECRET = "s3cr3t-s3cr3t"
CLUSTER = {"server": "https://h:6443", "certificate-authority-data": "QQ=="}

MakePlugin = Callable[..., Plugin]


def credential(**status: str) -> str:
    """Give Python code that prints a credential."""
    content = {"kind": "ExecCredential", "apiVersion": V1, "status": status}
    return f"print({json.dumps(json.dumps(content))})\n"


def counting(code: str) -> str:
    """Give Python code that also counts how often it was run, in the file ``runs``."""
    return f"import os; open(os.environ['RUNS'], 'a').write('x')\n{code}"


@pytest.fixture
def make_plugin(tmp_path: Path) -> MakePlugin:
    """Make a plugin of Python code; further keys of ``exec`` by name."""

    def make(code: str, **more: Any) -> Plugin:  # noqa: ANN401  # keys of exec
        program = tmp_path / "bin" / "give-token"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\n{code}")
        program.chmod(0o755)
        content = {"apiVersion": V1, "command": "give-token", "interactiveMode": "Never", **more}
        variables = {"PATH": f"{program.parent}:/usr/bin:/bin", "RUNS": str(tmp_path / "runs")}
        return plugin_of(content, tmp_path / "config", CLUSTER, variables)

    return make


def show(plugin: Plugin, cancel: Cancellation | None = None) -> str:
    with Wait(50, cancel) as wait:
        return plugin.show(wait).authorization


def failure(plugin: Plugin) -> KubeconfigError:
    with pytest.raises(KubeconfigError, match="^the credential plugin give-token ") as caught:
        show(plugin)
    text = f"{caught.value} {caught.value.hint} {plugin!r} {caught.value!r}"
    assert SECRET not in text
    assert "\n" not in text
    assert caught.value.__context__ is None or SECRET not in repr(caught.value.__context__)
    return caught.value


# --- what it gives -------------------------------------------------------------------------


def test_a_token_is_asked_for_once(make_plugin: MakePlugin, tmp_path: Path) -> None:
    plugin = make_plugin(counting(credential(token="t")))

    assert [show(plugin) for _ in range(3)] == ["Bearer t"] * 3

    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize(("seconds", "runs"), [(3600, "x"), (5, "xx"), (-60, "xx")])
def test_a_token_that_is_over_is_asked_for_again(
    make_plugin: MakePlugin, tmp_path: Path, seconds: int, runs: str
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    plugin = make_plugin(counting(credential(token="t", expirationTimestamp=text)))

    assert show(plugin) == show(plugin)

    assert (tmp_path / "runs").read_text() == runs


def test_a_refused_token_is_asked_for_again(make_plugin: MakePlugin, tmp_path: Path) -> None:
    plugin = make_plugin(counting(credential(token="t")))
    with Wait(50) as wait:
        shown = plugin.show(wait)

        assert plugin.refused(shown)

        plugin.show(wait)
    assert (tmp_path / "runs").read_text() == "xx"


@pytest.mark.timeout(30)
def test_a_token_can_be_refused_while_the_program_runs(make_plugin: MakePlugin) -> None:
    plugin = make_plugin(credential(token="t"))
    with Wait(50) as wait:
        shown = plugin.show(wait)

    with plugin._lock:  # another thread runs the program
        assert plugin.refused(shown)


def test_threads_wait_for_one_run(make_plugin: MakePlugin, tmp_path: Path) -> None:
    plugin = make_plugin(counting(f"import time; time.sleep(0.3)\n{credential(token='t')}"))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(show(plugin))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["Bearer t"] * 4
    assert (tmp_path / "runs").read_text() == "x"


def test_a_certificate_is_taken(make_plugin: MakePlugin) -> None:
    plugin = make_plugin(credential(clientCertificateData="CERT", clientKeyData="KEY"))

    with Wait(50) as wait:
        authorization, certificate, key = plugin.show(wait)

    assert authorization == ""
    assert certificate is not None
    assert key is not None
    assert (certificate.data, key.data) == (b"CERT", b"KEY")


def test_it_is_told_what_the_kubeconfig_says(make_plugin: MakePlugin, tmp_path: Path) -> None:
    code = f"""
import json, os, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
open(os.environ["RUNS"], "w").write(json.dumps([sys.argv[1:], os.environ["A"], info]))
assert sys.stdin.read() == ""
{credential(token="t")}"""
    plugin = make_plugin(
        code, args=["get", 7], env=[{"name": "A", "value": "b"}], provideClusterInfo=True
    )

    show(plugin)

    arguments, variable, information = json.loads((tmp_path / "runs").read_text())
    assert (arguments, variable) == (["get", "7"], "b")
    assert information == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": CLUSTER},
    }


def test_a_clusters_ca_file_and_settings_for_plugins_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(b"CA")
    cluster = {
        "server": "https://h",
        "certificate-authority": "ca",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}],
    }

    told = exec_plugin._told(cluster, tmp_path / "config")

    data = base64.b64encode(b"CA").decode()
    assert told == {
        "server": "https://h",
        "certificate-authority-data": data,
        "config": {"a": 1},
    }


def test_a_path_with_a_slash_starts_at_the_kubeconfig(make_plugin: MakePlugin) -> None:
    make_plugin(credential(token="t"))

    assert show(make_plugin(credential(token="t"), command="./bin/give-token")) == "Bearer t"


# --- what goes wrong -----------------------------------------------------------------------


def test_a_missing_program_is_told_with_how_to_get_it(make_plugin: MakePlugin) -> None:
    plugin = make_plugin("", command="nowhere-to-be-found", installHint="apt install\nit")

    with pytest.raises(
        KubeconfigError, match="^the credential plugin nowhere-to-be-found is not installed$"
    ) as caught:
        show(plugin)

    assert caught.value.hint == "apt install; it"


def test_a_program_that_cannot_be_run_is_told(make_plugin: MakePlugin, tmp_path: Path) -> None:
    plugin = make_plugin("")
    (tmp_path / "bin" / "give-token").chmod(0o644)

    assert "cannot be started: permission denied" in str(failure(plugin))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            f"import sys; print('{SECRET}'); sys.exit('no\\nnetwork')",
            "failed with exit code 1: no; network",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "was killed by signal 15"),
        (f"print('{SECRET}')", "printed no JSON"),
        ("print('[' * 100000)", "printed no JSON"),
        ("print('[]')", "printed no ExecCredential"),
        (
            f'print(\'{{"kind": "ExecCredential", "apiVersion": "{SECRET}"}}\')',
            f"answered in another version than {V1}",
        ),
        (credential(), "gave no token and no certificate"),
        (credential(clientKeyData=SECRET, token="t"), "gave a certificate without its key"),
        (
            credential(token=SECRET, expirationTimestamp="soon"),
            "gave an expirationTimestamp that is no time",
        ),
        (credential(token=[SECRET]), "gave a token that is no text"),  # type: ignore[arg-type]
        (f"print('{SECRET}' * 200000)", "printed more than 1 MiB"),
    ],
)
def test_what_goes_wrong_is_told_without_the_secret(
    make_plugin: MakePlugin, code: str, words: str
) -> None:
    assert words in str(failure(make_plugin(code)))


def test_what_it_said_is_told_though_who_listens_comes_late(
    make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    listen = exec_plugin._Listener._listen

    def listen_late(listener: exec_plugin._Listener) -> None:
        assert told.wait(40)
        listen(listener)

    monkeypatch.setattr(exec_plugin._Listener, "_listen", listen_late)
    plugin = make_plugin("import sys; sys.exit('no network')")

    assert "failed with exit code 1: no network" in str(failure(plugin))

    told.set()


def test_a_program_that_hangs_is_ended_in_time(
    make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_plugin, "TIMEOUT", 0.5)
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401  # of Popen
        started.append(start(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    plugin = make_plugin("import time; time.sleep(60)")

    assert "did not answer within 0.5 s" in str(failure(plugin))

    assert [_is_gone(process.pid) for process in started] == [True]


def test_canceling_ends_it_with_all_that_it_started(
    make_plugin: MakePlugin, tmp_path: Path
) -> None:
    code = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "60"])
with open(os.environ["RUNS"] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(os.environ["RUNS"] + ".new", os.environ["RUNS"])
time.sleep(60)
"""
    cancel = Cancellation()
    runs = tmp_path / "runs"

    def turn() -> None:
        deadline = time.monotonic() + 40
        while not runs.exists() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        cancel.cancel()

    thread = threading.Thread(target=turn)
    thread.start()
    with pytest.raises(CanceledError):
        show(make_plugin(code), cancel)
    thread.join()

    assert all(_is_gone(int(pid)) for pid in runs.read_text().split())


def test_a_child_that_is_left_behind_does_not_hold_us_up(make_plugin: MakePlugin) -> None:
    code = f"import subprocess; subprocess.Popen(['sleep', '60'])\n{credential(token='t')}"
    begun = time.monotonic()

    assert show(make_plugin(code)) == "Bearer t"

    assert time.monotonic() - begun < 40


def test_one_that_needs_a_terminal_says_so(
    make_plugin: MakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)

    error = failure(make_plugin(credential(token="t"), interactiveMode="Always"))

    assert "needs a terminal, and there is none" in str(error)


def test_a_person_who_logs_in_sees_what_the_program_says(
    make_plugin: MakePlugin,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    code = (
        "import os, sys; print('open https://login', file=sys.stderr)\n"
        "open(os.environ['RUNS'], 'w').write(os.environ['KUBERNETES_EXEC_INFO'])\n"
    )
    plugin = make_plugin(code + credential(token=SECRET), interactiveMode="IfAvailable")

    assert show(plugin) == f"Bearer {SECRET}"

    said = capfd.readouterr()
    assert "open https://login" in said.err
    assert SECRET not in said.out + said.err
    assert json.loads((tmp_path / "runs").read_text())["spec"] == {"interactive": True}


def test_canceling_ends_the_wait_for_another_threads_run(
    make_plugin: MakePlugin, tmp_path: Path
) -> None:
    plugin = make_plugin(counting("import time; time.sleep(60)"))
    first, second = Cancellation(), Cancellation()
    ends: list[type[BaseException]] = []

    def run(cancel: Cancellation) -> None:
        try:
            show(plugin, cancel)
        except CanceledError as error:
            ends.append(type(error))

    threads = [threading.Thread(target=run, args=(cancel,)) for cancel in (first, second)]
    threads[0].start()
    deadline = time.monotonic() + 40
    while not (tmp_path / "runs").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    threads[1].start()
    second.cancel()
    threads[1].join(40)

    assert ends == [CanceledError]
    first.cancel()
    threads[0].join(40)
    assert ends == [CanceledError] * 2


def test_a_request_is_made_with_a_new_token_when_the_old_one_is_refused(
    api: Api, tmp_path: Path
) -> None:
    def answer(request: Request, line: Line) -> None:
        if request.headers["authorization"] == "Bearer second":
            line.json({"ok": True})
        else:
            line.status(401, "Unauthorized", "Unauthorized")

    program = tmp_path / "login"
    program.write_text(
        f"#!{sys.executable}\nimport os\nnew = not os.path.exists({str(tmp_path / 'ran')!r})\n"
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        f"if new:\n    {credential(token='first')}else:\n    {credential(token='second')}"
    )
    program.chmod(0o755)
    user = {"exec": {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}}
    cluster = open_cluster(api.node(api.serve(answer, tls=True), user=user))

    assert cluster.get("/version") == {"ok": True}

    assert len(api.requests) == 2


def _is_gone(pid: int) -> bool:
    """Wait until a process is no more, or only a zombie of somebody else's."""
    assert pid
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        threading.Event().wait(0.02)
    return False
