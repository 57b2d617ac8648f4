"""`serve` from the outside: starting, refusing to start, losing processes, stopping."""

import os
import signal
import socket
import threading
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.embedded.processes import children, is_alive, wait_until


def workers(pid: int) -> set[int]:
    return {child for child, command in children(pid).items() if b"standin.py" in command}


def test_it_serves_says_so_and_ends_with_0(start):
    with start(workers=2) as serving:
        serving.hear_urls()
        assert serving.get("pid") in map(str, workers(serving.process.pid))
        assert serving.get("workers") == "2"
        assert serving.get("APP_SERVER__PORT") == serving.url.rpartition(":")[2]
        assert sum(f"curl {serving.url}" in line for line in serving.said) == 3
        left = children(serving.process.pid)
        assert serving.stop(signal.SIGHUP) == 0
        assert not any(map(is_alive, left))
        with pytest.raises(OSError, match="refused"):
            serving.get("pid")


def test_figures_are_those_of_all_workers_that_live_and_a_killed_one_is_replaced(start):
    with start(workers=2) as serving:
        serving.hear_urls()
        for _ in range(20):
            serving.get("pid")
        assert "standin_requests_total 20.0" in serving.figures()
        assert "standin_alive 2.0" in serving.figures()
        with pytest.raises(HTTPError, match="404"):
            urlopen(serving.metrics_url.replace("/metrics", "/"), timeout=10)
        before = workers(serving.process.pid)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        serving.hear(f"worker.died pid={killed} outcome=killed by SIGKILL")
        wait_until(lambda: len(workers(serving.process.pid)) == 2)
        assert killed not in workers(serving.process.pid)
        wait_until(lambda: "standin_born_total 3.0" in serving.figures())
        assert "standin_alive 2.0" in serving.figures()
        assert serving.stop() == 0


def test_workers_that_never_become_ready_end_it_with_1(start):
    with start("dies") as serving:
        assert serving.end() == 1
        assert "standin: no such luck" in serving.said
        assert (
            serving.said[-1] == "keystead: Workers end before they are ready, again and again: see above why."
        )


@pytest.mark.parametrize(
    ("setting", "before"),
    [("SERVER__PORT", ""), ("OBSERVABILITY__METRICS__PROMETHEUS_ENDPOINT", "127.0.0.1:")],
)
def test_a_taken_port_is_named_with_the_setting_before_anything_starts(start, folder, setting, before):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with start(embedded=True, **{setting: f"{before}{port}"}) as serving:
            assert serving.end() == 2
    wanted = (
        f"Port {port} on 127.0.0.1 is taken: stop what listens there, or choose another with APP_{setting}."
    )
    assert serving.said == [f"keystead: {wanted}"]
    assert not (folder / ".keystead" / "postgres").exists()


def test_what_prevents_a_start_is_said_and_ends_it_with_2(start):
    with start("well", "fails") as serving:
        assert serving.end() == 2
    assert serving.said == ["keystead: The schema is behind: run keystead migrate."]


def test_a_request_to_stop_while_it_starts_leaves_nothing_behind(start, folder):
    with start("well", "slow", embedded=True) as serving:
        serving.hear("preparing")
        left = children(serving.process.pid)
        assert left
        assert serving.stop() == 0
    assert not any(map(is_alive, left))
    assert (folder / ".keystead" / "keystead.lock").read_bytes() == b""


def test_a_ctrl_c_in_the_terminal_lets_workers_finish_what_was_begun(start):
    answers = []
    with start() as serving:
        serving.hear_urls()
        asking = threading.Thread(target=lambda: answers.append(serving.get("slow")))
        asking.start()
        serving.hear("slow begins")
        os.killpg(serving.process.pid, signal.SIGINT)  # as a terminal does
        assert serving.end() == 0
        asking.join()
    assert answers == [""]


def test_a_second_request_to_stop_is_passed_on_and_who_stays_is_killed_in_the_end(start):
    with start("stays", SERVER__REQUEST_TIMEOUT_SECS="0.1") as serving:
        serving.hear_urls()
        serving.process.terminate()
        serving.hear("standin: stop 1")
        serving.process.terminate()
        serving.hear("standin: stop 2")
        left = workers(serving.process.pid)
        assert len(left) == 1
        assert serving.end() == 0
    assert not any(map(is_alive, left))


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_takes_the_same_port(start, folder):
    with start(embedded=True) as serving:
        serving.hear_urls()
        left = children(serving.process.pid)
        assert len(left) == 3
        serving.process.kill()
        serving.end()
        with start(embedded=True, SERVER__PORT=serving.url.rpartition(":")[2]) as second:
            second.hear_urls()
            assert second.url == serving.url
            assert second.get("pid")
            pids = {path.stem.rpartition("_")[2] for path in (folder / ".keystead" / "metrics").iterdir()}
            assert pids <= set(map(str, workers(second.process.pid)))
            assert not any(map(is_alive, left))
            assert second.stop() == 0


def test_embedded_servers_are_handed_to_the_workers_and_revived(start, folder):
    with start(embedded=True) as serving:
        serving.hear_urls()
        secret = (folder / ".keystead" / "root_secret").read_text().strip()
        assert serving.get("APP_AUTH__JWT_SECRET") == secret
        assert serving.get("APP_DATABASE__URL").startswith("postgresql://keystead_runtime@/keystead?host=/")
        assert serving.get("APP_REDIS__URL").startswith("unix:///")
        assert serving.get("APP_DATABASE__MIGRATION_URL") == ""
        all_children = children(serving.process.pid)
        assert not any(secret.encode() in command for command in all_children.values())
        [valkey] = [pid for pid, command in all_children.items() if b"valkey-server" in command]
        os.kill(valkey, signal.SIGKILL)
        serving.hear("embedded.changed server=valkey what=ready")
        with start(embedded=True) as second:
            assert second.end() == 2
        assert f"process {serving.process.pid}, at {serving.url}. Stop it first" in second.said[-1]
        assert serving.stop() == 0


def test_configured_servers_need_no_data_folder_and_production_gets_a_line_in_place_of_a_banner(
    start, folder
):
    production = {
        "ENV": "production",
        "SERVER__PUBLIC_URL": "https://id.example.com",
        "SERVER__HOST": "127.0.0.1",
    }
    with start(**production) as serving:
        serving.hear(r'"event":"serve.ready"')
        assert not (folder / ".keystead").exists()
        assert serving.stop() == 0
    assert not any("curl" in line for line in serving.said)
