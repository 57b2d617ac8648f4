"""Listening sockets."""

import socket
import threading
from time import sleep

import pytest

from keystead.kernel.errors import CannotStart
from keystead.serving.listeners import listen, url_of


@pytest.mark.parametrize(
    ("host", "seen"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")],
)
def test_the_url_is_one_that_this_machine_can_reach(host, seen):
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen(host, 0, setting="PORT") as listener:
        assert url_of(listener) == f"http://{seen}:{listener.getsockname()[1]}"


def test_with_patience_a_port_that_becomes_free_is_taken():
    taken = listen("127.0.0.1", 0, setting="PORT")
    port = taken.getsockname()[1]

    def give_way() -> None:
        sleep(0.2)
        taken.close()

    giving_way = threading.Thread(target=give_way)
    giving_way.start()
    with listen("127.0.0.1", port, setting="PORT", patience=20) as listener:
        assert listener.getsockname()[1] == port
    giving_way.join()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_none_of_ours_is_named_with_the_setting(host):
    with pytest.raises(CannotStart, match=rf"Cannot listen on {host}, port 3000: .* with APP_SERVER__PORT\."):
        listen(host, 3000, setting="APP_SERVER__PORT")
