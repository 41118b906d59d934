"""hostile.py -- clients that mean harm, while others publish and replicate: 300 half-sent requests, a reader
of the watch that does not read, a body of 1 GB, 10 000 connections. What must hold each time: publishes
are acknowledged by another region, links stay up, HTTP answers others, memory and descriptors come back."""
import json
import os
import resource
import socket
import threading
import time

from common import PORTS, REGIONS, ask, check, cli, finish, pid, wait_for

HEAD = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"


class Probe(threading.Thread):
    """Publishes at eu-west, with a confirmation of another region, as long as it is told to."""

    def __init__(self):
        super().__init__()
        self.took, self.ended = [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            begun = time.monotonic()
            cli("eu-west", "publish", "probe/%d" % len(self.took), "completed", "--ack", "1", "--timeout", "20s")
            self.took.append(time.monotonic() - begun)

    def end(self, what):
        self.ended.set()
        self.join()
        took = sorted(self.took)
        print("  %s: %d publishes, median %.0f ms, slowest %.0f ms" % (
            what, len(took), 1e3 * took[len(took) // 2], 1e3 * took[-1]))
        return took


def connect(timeout=20):
    return socket.create_connection(("127.0.0.1", PORTS["eu-west"]), timeout=timeout)


def rss():
    with open("/proc/%d/statm" % pid("eu-west")) as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def fds():
    return len(os.listdir("/proc/%d/fd" % pid("eu-west")))


def links_up():
    return all(cli(r, "peers", "-o", "plain").decode().count("\tup\t") == len(REGIONS) - 1 for r in REGIONS)


def attack(what, act):
    """Acts beside a probe; then everything is as it was."""
    before_fds, before_rss = fds(), rss()
    reconnects = sum(peer["reconnects"] for peer in json.loads(cli("eu-west", "peers", "--json"))["peers"])
    probe = Probe()
    try:
        act()
        status = wait_for(what + ": HTTP answers", lambda: ask("/livez", timeout=5)[0], 30)
        check(status == 200, "%s: livez %s" % (what, status))
    finally:
        took = probe.end(what)
    check(took[-1] < 10, "%s: a publish took %.1f s" % (what, took[-1]))
    check(links_up(), what + ": a link went down")
    after = sum(peer["reconnects"] for peer in json.loads(cli("eu-west", "peers", "--json"))["peers"])
    check(reconnects == after, what + ": a link was made anew")
    wait_for(what + ": descriptors come back", lambda: fds() <= before_fds + 4, 60)
    check(rss() - before_rss < 64 << 20, "%s: memory +%d MiB" % (what, (rss() - before_rss) >> 20))


def half_sent_requests():
    held = []
    for i in range(300):
        held.append(connect())
        held[-1].sendall(HEAD[:10 + i % 20])
        if i % 50 == 49:
            begun = time.monotonic()
            check(ask("/v1/job?id=probe/0")[0] == 200, "an answer beside %d half-sent requests" % (i + 1))
            check(time.monotonic() - begun < 5, "it took %.1f s" % (time.monotonic() - begun))
    for connection in held:
        connection.close()


def heads_by_drips():
    """One byte a second is activity; the deadline of the head ends it all the same."""
    connection = connect()
    ended = False
    for byte in HEAD + b"X: " + b"y" * 60:
        try:
            connection.sendall(bytes([byte]))
            connection.settimeout(0.5)
            ended = connection.recv(1) == b""
        except socket.timeout:
            continue
        except OSError:
            ended = True
        if ended:
            break
    check(ended, "a head that drips for half a minute is still waited for")


def a_reader_that_does_not_read():
    streams = []
    for _ in range(8):
        stream = connect()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(b"GET /v1/watch?from=start HTTP/1.1\r\nHost: localhost\r\n\r\n")
        streams.append(stream)
    cli("eu-west", "bench", "--rate", "2000", "--duration", "5s", "--jobs", "2000", "--confirm-cluster", "demo")
    check(ask("/v1/jobs")[0] == 200, "others are served beside readers that do not read")
    wait_for("watchers that do not read are given up", lambda: b"tidings_http_watchers 0\n" in ask("/metrics")[2], 60)
    for stream in streams:
        stream.close()


def a_body_of_a_gigabyte():
    connection = connect()
    connection.sendall(b"PUT /v1/job?id=big HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"Content-Length: 1073741824\r\n\r\n")
    answer, sent, block = b"", 0, b"x" * 65536
    try:
        while sent < 1 << 30:
            sent += connection.send(block)
    except OSError:
        pass
    try:
        answer = connection.recv(4096)
    except OSError:
        pass
    check(sent < 64 << 20, "%d MiB of it were taken" % (sent >> 20))
    check(answer == b"" or b" 413 " in answer.split(b"\r\n")[0], "the answer: %r" % answer[:80])
    connection.close()


def ten_thousand_connections():
    held = []
    for i in range(10000):
        try:
            held.append(connect(5))
            held[-1].sendall(HEAD)
        except OSError:
            pass  # refused or ended: that is allowed; the probes say what is not
        if len(held) > 400:
            held.pop(0).close()
    for connection in held:
        connection.close()


resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
cli("eu-west", "publish", "probe/0", "completed")
for act in (half_sent_requests, heads_by_drips, a_reader_that_does_not_read, a_body_of_a_gigabyte,
            ten_thousand_connections):
    attack(act.__name__.replace("_", " "), act)
status = ask("/metrics")[2].decode()
for line in status.splitlines():
    if "connections_ended" in line and line[0] != "#":
        print("  " + line)
finish()
