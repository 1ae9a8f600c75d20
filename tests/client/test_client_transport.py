"""Every way in which a server can fail a client, against a real HTTP server, and the sentence that the user reads."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest

from medsight_core.client import MedSightClient
from medsight_core.errors import (
    AuthenticationError,
    BusyError,
    ForbiddenError,
    InputError,
    NotFoundError,
    ServerError,
    ServerUnavailableError,
    TooLargeError,
)


def test_server_down_names_the_address_and_how_to_start_it(free_port):
    address = f"http://127.0.0.1:{free_port}"
    with pytest.raises(ServerUnavailableError, match="start it with 'medsight serve'") as failure:
        MedSightClient(address).info()
    assert address in str(failure.value)


def test_host_that_does_not_exist_reads_like_a_server_down():
    with pytest.raises(ServerUnavailableError, match=r"No MedSIGHT server answers at http://medsight\.invalid:8000"):
        MedSightClient("medsight.invalid:8000").info()


def test_silent_server_is_given_up_after_the_read_timeout(server):
    release = threading.Event()
    server.on_call("POST /infer/medsight", lambda handler: release.wait(5))
    try:
        with pytest.raises(ServerUnavailableError, match=r"said nothing for 0\.2 seconds: ask about one plane"):
            server.client(read_timeout=0.2).ask("Outline the liver.", session="s1")
    finally:
        release.set()


def test_wrong_token_with_the_servers_own_sentence(server):
    server.on_json("GET /medsight/info", {"detail": "The token is wrong: copy it again."}, status=401)
    with pytest.raises(AuthenticationError, match=r"^The token is wrong: copy it again\.$"):
        server.client(token="wrong").info()


def test_wrong_token_without_a_sentence_gets_ours(server):
    server.on("GET /medsight/info", 401)
    with pytest.raises(AuthenticationError, match="does not accept this token: copy the one"):
        server.client(token="wrong").info()


def test_token_travels_as_bearer_even_when_netrc_knows_the_host(server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.client(token=" secret\n").info()
    assert server.seen[-1].headers["Authorization"] == "Bearer secret"


def test_token_with_odd_characters_is_refused_without_repeating_it():
    with pytest.raises(InputError, match="copy it again from the server") as failure:
        MedSightClient(token="geheim\u200b")
    assert "geheim" not in str(failure.value)


def test_environment_proxy_is_not_used_for_loopback(server, monkeypatch, free_port):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert server.client().info().protocol == 1


def test_dead_proxy_before_a_remote_server_is_named_as_such(monkeypatch, free_port):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ServerUnavailableError, match=r"proxy stands before.*NO_PROXY"):
        MedSightClient("http://medsight.invalid:8000").info()


def test_gateway_error_hints_at_the_proxy(server):
    server.on("GET /medsight/info", 502, b"<html>Bad gateway</html>")
    with pytest.raises(ServerUnavailableError, match=r"proxy or gateway answers.*HTTP 502.*NO_PROXY"):
        server.client().info()


def test_refusal_cut_half_way_keeps_its_status(server):
    def cut(handler):
        handler.send_response(503)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    server.on_call("GET /events", cut)
    transport = server.client()._transport
    with pytest.raises(ServerUnavailableError, match="HTTP 503"):
        list(transport.lines("/events", {}, read_timeout=5.0))


def test_reply_cut_half_way(server):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    server.on_call("POST /infer/medsight", cut)
    with pytest.raises(
        ServerError, match="broke the connection before its reply was complete: see whether it still runs"
    ):
        server.client().ask("Outline the liver.", session="s1")


@pytest.mark.parametrize("reset", [False, True])
def test_server_killed_before_it_replies(server, reset):
    def die(handler):
        if reset:  # what the kernel sends for a killed process with unread data
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.shutdown(socket.SHUT_RDWR) if not reset else handler.connection.close()
        handler.close_connection = True

    server.on_call("POST /infer/medsight", die)
    with pytest.raises(ServerError, match="broke the connection") as failure:
        server.client().ask("Outline the liver.", session="s1")
    assert not isinstance(failure.value, ServerUnavailableError)


def test_garbage_instead_of_http(free_port):
    with socket.create_server(("127.0.0.1", free_port)) as listener:
        thread = threading.Thread(target=_say, args=(listener, b"SSH-2.0-OpenSSH_9.2\r\n"), daemon=True)
        thread.start()
        with pytest.raises(ServerError, match="broke the connection"):
            MedSightClient(f"127.0.0.1:{free_port}").info()
        thread.join(5)


@pytest.mark.parametrize(
    "body", [b"<html>It works!</html>", b"[1, 2]", b"null", b'{"name": "MONAILabel"}', b'{"protocol": "x"}']
)
def test_other_web_server(server, body):
    server.on("GET /medsight/info", 200, body)
    with pytest.raises(ServerError, match="address"):
        server.client().info()


@pytest.mark.parametrize("body", [b"", b'{"detail": "Not Found"}'])
def test_server_without_our_paths(server, body):
    server.on("GET /medsight/info", 404, body)
    with pytest.raises(ServerError, match=r"not a MedSIGHT server \(HTTP 404\): correct the address"):
        server.client().info()


def test_redirect_is_not_followed(server):
    server.on("GET /medsight/info", 307, Location=server.address + "/elsewhere")
    with pytest.raises(ServerError, match="redirect, which is not followed: give its final address"):
        server.client(token="secret").info()
    assert len(server.seen) == 1


def test_newer_protocol_asks_for_an_update_before_the_question_travels(server):
    server.on_json("GET /medsight/info", {"protocol": 2, "version": "9.0"})
    with pytest.raises(ServerError, match=r"speaks protocol 2 and this client only 1: update MedSIGHT .* to 9\.0"):
        server.client().ask("Outline the liver.", session="s1")
    assert [seen.method for seen in server.seen] == ["GET"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InputError), (403, ForbiddenError), (404, NotFoundError), (413, TooLargeError), (500, ServerError)],
)
def test_servers_sentence_arrives_with_its_type(server, status, kind):
    server.on_json("POST /infer/medsight", {"detail": "A sentence: do this."}, status=status)
    with pytest.raises(kind, match=r"^A sentence: do this\.$"):
        server.client().ask("Outline the liver.", session="s1")


@pytest.mark.parametrize(
    ("detail", "wait", "sentence", "seconds"),
    [
        ("It is full. Ask again in 12 seconds.", "12", "It is full. Ask again in 12 seconds.", 12.0),
        ("It is full.", "1", "It is full. Ask again in 1 second.", 1.0),
        ("It is full.", "0", "It is full.", 0.0),
    ],
)
def test_a_busy_server_is_told_with_the_time_to_wait(server, detail, wait, sentence, seconds):
    body = json.dumps({"detail": detail}).encode()
    server.on("POST /infer/medsight", 503, body, Content_Type="application/json", Retry_After=wait)
    with pytest.raises(BusyError) as caught:
        server.client().ask("Outline the liver.", session="s1")
    assert (str(caught.value), caught.value.retry_after) == (sentence, seconds)


@pytest.mark.parametrize("wait", ["Wed, 21 Oct 2026 07:28:00 GMT", "9" * 50, ""])
def test_a_time_to_wait_that_is_no_number_of_seconds_is_no_time(server, wait):
    body = json.dumps({"detail": "It is full."}).encode()
    server.on("POST /infer/medsight", 503, body, Content_Type="application/json", Retry_After=wait)
    with pytest.raises(ServerError, match=r"^It is full\.$"):
        server.client().ask("Outline the liver.", session="s1")


def test_a_program_is_one_client_unless_it_says_otherwise(server):
    for client in (server.client(), server.client(), server.client(who="desk-3")):
        client.info()
    one, again, other = (seen.headers["MedSIGHT-Client"] for seen in server.seen)
    assert one == again != other == "desk-3"
    assert len(one) == 16
    with pytest.raises(InputError, match="This word for who asks is not allowed: use up to 128 letters"):
        server.client(who="Dr. Grey")


def test_failure_without_a_sentence(server):
    server.on("POST /infer/medsight", 500, b"Internal Server Error")
    with pytest.raises(ServerError, match=r"failed \(HTTP 500\): look at its log"):
        server.client().ask("Outline the liver.", session="s1")


def test_upload_refused_as_too_large_without_a_sentence(server, tmp_path):
    server.on("PUT /session/", 413)
    with pytest.raises(TooLargeError, match="send a smaller image, or raise the server's limit"):
        server.client().upload(_image(tmp_path))


@pytest.mark.parametrize(
    "address", ["ftp://host", "http://", "http://host:port", "http://h/?a=1", "", "http://[::1", "http://a..b"]
)
def test_address_that_cannot_be_used(address):
    with pytest.raises(InputError, match="cannot be used: write it as http://127"):
        MedSightClient(address)


def test_password_in_the_address_is_refused_without_repeating_it():
    with pytest.raises(InputError, match="give a token instead") as failure:
        MedSightClient("http://me:geheim@host:8000")
    assert "geheim" not in str(failure.value)


def _say(listener: socket.socket, words: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(words)


def _image(folder):
    path = folder / "a.nrrd"
    path.write_bytes(b"NRRD0004\n")
    return path


def test_host_that_no_request_can_name():
    with pytest.raises(InputError, match="write the address as http://host:port"):
        MedSightClient("http://exa mple:80").info()
