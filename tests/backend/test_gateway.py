"""gateway keeps the contract of backends against a real Dask Gateway, and leaves no cluster behind."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.gateway import PASSWORD, TOKEN, GatewayServer, serving_gateway
from servers.loopback import free_port

from lcnkit.backend.gateway import Gateway
from lcnkit.cli import main
from lcnkit.config import compose
from lcnkit.errors import BackendError, ConfigError, LcnkitError
from lcnkit.testing.backend import BackendContract, Square, process_id


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    with serving_gateway(tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PASSWORD", PASSWORD)
    monkeypatch.setenv("GATEWAY_TOKEN", TOKEN)
    monkeypatch.setenv("WRONG_PASSWORD", "planted-wr0ng")


def first(backend: Gateway) -> Any:
    """The outcome of one task."""
    with backend.open() as pool:
        return next(pool.map(Square(), [3]))


@pytest.mark.slow
class TestGateway(BackendContract):
    @pytest.fixture
    def backend(self, server: GatewayServer) -> Gateway:
        return Gateway(**server.options(workers=1))

    def test_runs_on_workers_of_the_gateway(self, pool) -> None:
        ids = {outcome.value for outcome in pool.map(process_id, range(10))}
        assert len(ids) == 1
        assert os.getpid() not in ids


@pytest.mark.slow
def test_closes_its_cluster_at_the_end(server: GatewayServer) -> None:
    with Gateway(**server.options(workers=1)).open() as pool:
        assert server.clusters() == [], "nothing is started before the first map"
        assert [outcome.value for outcome in pool.map(Square(), [3])] == [9]
        assert len(server.clusters()) == 1
    assert server.clusters() == []
    assert server.settled()


@pytest.mark.slow
def test_closes_its_cluster_on_an_error(server: GatewayServer) -> None:
    def run() -> None:
        with Gateway(**server.options(workers=1)).open() as pool:
            next(pool.map(Square(), range(100)))
            raise KeyError("from inside")

    with pytest.raises(KeyError, match="from inside"):
        run()
    assert server.clusters() == []
    assert server.settled()


@pytest.mark.slow
def test_cluster_options_image_and_workers(server: GatewayServer) -> None:
    def environment(_: int) -> str | None:
        return os.environ.get("TEST_IMAGE")

    backend = Gateway(**server.options(workers=2, image="fine:1", cluster_options={"worker_threads": 2}))
    with backend.open() as pool:
        assert {outcome.value for outcome in pool.map(environment, range(4))} == {"fine:1"}
        pool.client.wait_for_workers(2, timeout=60)  # type: ignore[attr-defined]
        assert list(pool.client.nthreads().values()) == [2, 2]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_an_adaptive_cluster_grows_with_its_work(server: GatewayServer) -> None:
    def slow(number: int) -> int:
        time.sleep(0.4)
        return number

    seen = set()
    with Gateway(**server.options(adaptive={"minimum": 0, "maximum": 2})).open() as pool:
        for outcome in pool.map(slow, range(120)):
            assert outcome.error is None
            seen.add(len(pool.client.nthreads()))  # type: ignore[attr-defined]
    assert max(seen) == 2, "it did not grow"
    assert server.settled()


@pytest.mark.slow
def test_more_workers_than_allowed_is_said(server: GatewayServer, caplog: pytest.LogCaptureFixture) -> None:
    assert first(Gateway(**server.options(workers=7))).value == 9
    assert any("The gateway says: " in message and "7 workers" in message for message in caplog.messages), caplog.messages


@pytest.mark.slow
def test_a_cluster_that_runs_already_is_used_and_left(server: GatewayServer) -> None:
    name = server.ask("submit")
    try:
        backend = Gateway(**server.options(cluster=name, workers=1))
        assert first(backend).value == 9
        assert first(dataclasses.replace(backend, workers=None)).value == 9
        assert server.clusters() == [name]
    finally:
        server.ask("stop_cluster", name)
    assert server.settled()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": "env:WRONG_PASSWORD"}, "does not let us in (401): check backend.auth, backend.user and what backend.secret refers to."),
        ({"auth": "token", "secret": "env:WRONG_PASSWORD"}, "does not let us in (401)"),
        ({"auth": "jupyterhub", "secret": "env:WRONG_PASSWORD"}, "does not let us in (401)"),
        ({"secret": "env:NO_SUCH_VARIABLE"}, "environment variable NO_SUCH_VARIABLE is not set; it is to hold the secret that backend.secret="),
        ({"auth": "kerberos", "secret": None}, "backend.auth needs another package: "),
        (
            {"cluster_options": {"worker_thread": 2}},
            "no cluster option 'worker_thread'; it offers worker_threads=1, image=plain, size=small. Did you",
        ),
        ({"cluster_options": {"worker_threads": 9}}, "backend.cluster_options.worker_threads is 9: "),
        ({"cluster_options": {"size": "huge"}}, "backend.cluster_options.size is 'huge': "),
        ({"cluster": "no-such-cluster"}, "refuses: "),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(options: dict[str, Any], said: str, server: GatewayServer) -> None:
    with pytest.raises(LcnkitError) as raised:
        first(Gateway(**{**server.options(), **options}))
    text = str(raised.value)
    assert said in text
    assert "\n" not in text
    assert "planted" not in text
    assert server.clusters() == []


@pytest.mark.parametrize(
    ("address", "said"), [("http://127.0.0.1:{port}", "cannot be reached: "), ("ftp://127.0.0.1", "is no address"), ("127.0.0.1:80", "is no address")]
)
def test_no_gateway_there(address: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as raised:
        first(Gateway(address=address.format(port=free_port()), timeout_s=5))
    assert "\n" not in str(raised.value)


def test_a_server_that_is_no_gateway(tmp_path: Path) -> None:
    from servers.files import serving_files

    with serving_files(tmp_path) as url, pytest.raises(BackendError, match=r"127.0.0.1.* (refuses|answers)"):
        first(Gateway(address=url))


def test_a_gateway_that_does_not_answer() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(BackendError, match="does not answer, or not with what was asked for, in 1 s"):
            first(Gateway(address=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": "hunter22", "auth": "basic"}, "must not hold a secret"),
        ({"secret": "env:X"}, "backend.auth=basic, jupyterhub or token"),
        ({"auth": "token"}, "needs backend.secret=env:NAME"),
        ({"address": "https://me:pw@host"}, "must not hold a user name"),
        ({"workers": 0}, "backend.workers is 0"),
        ({"workers": 2, "adaptive": {"minimum": 1, "maximum": 2}}, "set one of them"),
        ({"adaptive": {"minimum": 3, "maximum": 2}}, "backend.adaptive is {'minimum': 3, 'maximum': 2}"),
        ({"adaptive": {"maximum": 2}}, "it must be {minimum: 1, maximum: 20}"),
        ({"image": "a", "cluster_options": {"image": "b"}}, "differ"),
        ({"cluster": "x", "image": "a"}, "runs already"),
        ({"timeout_s": 0}, "must be above 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Gateway(**options)
    assert said in str(raised.value)
    assert "hunter22" not in str(raised.value)


def test_needs_to_know_where_the_gateway_is() -> None:
    with pytest.raises(ConfigError, match="backend.address=https://HOST"), Gateway().open():
        pass


def test_the_options_of_a_configuration() -> None:
    words = ["backend=gateway", "backend.address=https://g", "backend.cluster_options={worker_cores:7}", "backend.adaptive={minimum:1,maximum:9}"]
    backend = compose([*words, "dataset.root=x"]).backend
    assert backend == Gateway(address="https://g", cluster_options={"worker_cores": 7}, adaptive={"minimum": 1, "maximum": 9})
    assert pickle.loads(pickle.dumps(backend)) == backend


@pytest.mark.slow
def test_a_run_leaves_no_secret(server: GatewayServer, tmp_path: Path, capfd: Any, caplog: Any) -> None:
    """Neither one that works, nor one that is let in nowhere; with all logs on."""
    caplog.set_level(logging.DEBUG)
    words = [*server.words(workers=1), "chips=2", "n_periods=2", "hydra.verbose=true"]
    assert main([*words, f"output_dir={tmp_path / 'good'}"]) == 0
    assert main([*words, "backend.secret=env:WRONG_PASSWORD", f"output_dir={tmp_path / 'bad'}"]) == 1
    assert main([*words, "backend.secret=planted", f"output_dir={tmp_path / 'pasted'}"]) == 1
    out, err = capfd.readouterr()
    assert "must not hold a secret" in err
    texts = [out, err, caplog.text, *(path.read_bytes().decode("latin1") for path in tmp_path.rglob("*") if path.is_file())]
    assert not any("planted" in text or "S3cr" in text for text in texts)
    assert "env:GATEWAY_PASSWORD" in (tmp_path / "good" / ".hydra" / "config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("when", ["while the cluster starts", "while chips are made"])
def test_ctrl_c_closes_the_cluster(when: str, signals: int, server: GatewayServer, tmp_path: Path) -> None:
    environment = {**os.environ, "LCNKIT_CACHE_DIR": str(tmp_path / "cache"), "GATEWAY_PASSWORD": PASSWORD}
    # Chips that take half a second each: the run must not be over before it is interrupted.
    long = ["+strategy=all", "exporter=npz", "exporter.compress=true"]
    words = [*server.words(workers=1, batch=1), *long, "dataset=demo", f"output_dir={tmp_path / 'out'}"]
    run = subprocess.Popen(
        [sys.executable, "-m", "lcnkit", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 90
    ready = (lambda: bool(server.processes())) if when == "while the cluster starts" else (lambda: any(tmp_path.glob("out/.lcnkit/*journal*")))
    while not ready() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(signals):
        run.send_signal(signal.SIGINT)
        time.sleep(0.3)
    text, _ = run.communicate(timeout=90)
    assert run.returncode in (-signal.SIGINT, 130, 3), text
    assert "Traceback" not in text
    assert "destroyed" not in text
    assert server.clusters() == [], text
    assert server.settled()


@pytest.mark.slow
def test_a_token_stands_for_its_user(server: GatewayServer) -> None:
    """The fixture's own: what a token may see is what its user has started."""
    name = server.ask("submit")
    try:
        assert first(Gateway(**server.options(auth="token", secret="env:GATEWAY_TOKEN", cluster=name, workers=1))).value == 9
    finally:
        server.ask("stop_cluster", name)
