#!/usr/bin/python3
"""The application behind home's Apache: says on 127.0.0.1:8080 and [::1]:8080 what it was asked, after `lab-ok`."""

import http.server
import socket
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment per answer

    def do_GET(self):
        body = f"lab-ok app {self.headers['Host']} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


class Server6(Server):
    address_family = socket.AF_INET6


threading.Thread(target=Server(("127.0.0.1", 8080), Answer).serve_forever, daemon=True).start()
Server6(("::1", 8080), Answer).serve_forever()
