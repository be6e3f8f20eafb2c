#!/usr/bin/python3
"""A bounded load on the lab's web servers: who loses a request while something is switched?

Every URL is asked on every address its name has, A and AAAA apart: by clients that open a connection per request, and by
clients that keep theirs. Runs for --seconds, or until SIGTERM or SIGINT, then prints one JSON object; exit status 0 means
that requests were made and none failed. "load: running" on stderr says that every client has had its first answer.

A kept connection that the server closed before any byte of an answer is what RFC 9112 section 9.3.1 expects: the request
is sent once more, on a new connection, as every browser does, and counted as `retried`. All else that is not a 200 with the
expected text, or a 301 to https of the same host, is a failure, with its time and reason.
"""

import argparse
import http.client
import io
import itertools
import json
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from datetime import datetime, timezone

CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)  # RemoteDisconnected is a ConnectionError


class Target:
    """One URL on one address."""

    def __init__(self, url, address):
        self.url, self.address = url, address
        parts = urllib.parse.urlsplit(url)
        self.tls, self.host = parts.scheme == "https", parts.hostname
        self.port = parts.port or (443 if self.tls else 80)
        self.path = parts.path or "/"
        self.name = f"{url} [{address}]"

    def judge(self, status, location, body, expect):
        """None, or why this is not the expected answer."""
        if status == 301 and (location or "").startswith(f"https://{self.host}/"):
            return None
        if status != 200:
            return f"status {status}"
        return None if expect in body else f"unexpected body {body[:60]!r}"


def targets_of(urls):
    for url in urls:
        host = urllib.parse.urlsplit(url).hostname
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        for address in dict.fromkeys(entry[4][0] for entry in found):
            yield Target(url, address)


class Received(io.RawIOBase):
    """A socket's bytes, counted: zero means that the server has not begun to answer."""

    def __init__(self, sock):
        self.sock, self.count = sock, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.sock.recv_into(buffer)
        self.count += count
        return count

    def makefile(self, *_):
        return io.BufferedReader(self)


class Connection:
    def __init__(self, target, context, timeout):
        self.target, self.answers = target, 0
        self.sock = socket.create_connection((target.address, target.port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls:
            self.sock = context.wrap_socket(self.sock, server_hostname=target.host)

    def ask(self, keep):
        """(status, location, body, still open); `self.received` tells an error's reader if an answer had begun."""
        target = self.target
        self.received = Received(self.sock)
        self.sock.sendall(
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\nUser-Agent: lab-load\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
        )
        answer = http.client.HTTPResponse(self.received, method="GET")
        answer.begin()
        body = answer.read().decode("utf-8", "replace")
        self.answers += 1
        return answer.status, answer.getheader("Location"), body, not answer.will_close

    def close(self):
        self.sock.close()


class Load:
    def __init__(self, options, context):
        self.options, self.context = options, context
        self.targets = list(targets_of(options.urls))
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.started = time.monotonic()
        self.count = dict.fromkeys(("requests", "connections", "retried", "failures"), 0)
        self.by_target = {target.name: 0 for target in self.targets}
        self.slowest, self.failed, self.reasons = 0.0, [], {}

    def add(self, key):
        with self.lock:
            self.count[key] += 1

    def connect(self, target):
        self.add("connections")
        return Connection(target, self.context, self.options.timeout)

    def request(self, target, kept):
        """One request; `kept` maps targets to open connections, None for a client that never keeps one."""
        connection = kept.pop(target, None) if kept is not None else None
        reused = connection is not None
        began = time.monotonic()
        try:
            connection = connection or self.connect(target)
            try:
                answer = connection.ask(kept is not None)
            except CLOSED:
                if not reused or connection.received.count:
                    raise
                connection.close()
                self.add("retried")
                connection = self.connect(target)
                answer = connection.ask(True)
            *what, still_open = answer
            reason = target.judge(*what, self.options.expect)
            if kept is not None and still_open:
                kept[target] = connection
            else:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
            if connection:
                connection.close()
        self.record(target, kept, reused, time.monotonic() - began, reason)

    def record(self, target, kept, reused, took, reason):
        with self.lock:
            self.count["requests"] += 1
            self.by_target[target.name] += 1
            self.slowest = max(self.slowest, took)
            if reason is None:
                return
            self.count["failures"] += 1
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if len(self.failed) < 100:
                client = "new" if kept is None else "kept, reused" if reused else "kept, first"
                self.failed.append({
                    "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                    "second": round(time.monotonic() - self.started, 3),
                    "target": target.name, "client": client, "took": round(took, 3), "reason": reason,
                })

    def client(self, first, keeps, ready):
        kept = {} if keeps else None
        for turn, target in enumerate(itertools.cycle(self.targets[first:] + self.targets[:first])):
            if self.stop.is_set():
                break
            self.request(target, kept)
            if turn == 0:
                ready.release()
            self.stop.wait(self.options.pause / 1000)
        for connection in (kept or {}).values():
            connection.close()

    def run(self):
        ready = threading.Semaphore(0)
        keeps = [False] * self.options.new + [True] * self.options.keep
        threads = [
            threading.Thread(target=self.client, args=(number % len(self.targets), keep, ready))
            for number, keep in enumerate(keeps)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            ready.acquire()
        print("load: running", file=sys.stderr, flush=True)
        self.stop.wait(self.options.seconds)
        self.stop.set()
        for thread in threads:
            thread.join()

    def summary(self):
        return {
            "seconds": round(time.monotonic() - self.started, 3), **self.count,
            "slowest_ms": round(self.slowest * 1000, 1), "by_target": self.by_target,
            "reasons": self.reasons, "failed": self.failed,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--seconds", type=float, default=3600, help="at most this long (default: an hour)")
    parser.add_argument("--new", type=int, default=2, help="clients with a connection per request (default 2)")
    parser.add_argument("--keep", type=int, default=2, help="clients that keep their connections (default 2)")
    parser.add_argument("--pause", type=float, default=20, help="milliseconds between a client's requests (default 20)")
    parser.add_argument("--timeout", type=float, default=10, help="seconds to connect, and between bytes (default 10)")
    parser.add_argument("--expect", default="lab-ok", help="text that a 200 must contain (default lab-ok)")
    parser.add_argument("--cafile", help="the CA's root; without it the system's")
    options = parser.parse_args()
    load = Load(options, ssl.create_default_context(cafile=options.cafile))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: load.stop.set())
    load.run()
    print(json.dumps(load.summary(), indent=1))
    sys.exit(0 if load.count["requests"] and not load.count["failures"] else 1)


main()
