#!/usr/bin/python3
"""An application behind the gateway, on [::1]:8081: tells the headers it got, and echoes one WebSocket message."""

import base64
import hashlib
import http.server
import json
import socket


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo()
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        length = self.rfile.read(2)[1] & 0x7F
        mask, text = self.rfile.read(4), self.rfile.read(length)
        text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
        self.wfile.write(bytes([0x81, length]) + text)
        self.close_connection = True

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


Server(("::1", 8081), Answer).serve_forever()
