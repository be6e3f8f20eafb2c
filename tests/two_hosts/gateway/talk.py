#!/usr/bin/python3
"""Says one word by WebSocket: talk.py CAFILE ADDRESS NAME; prints what comes back."""

import base64
import os
import socket
import ssl
import sys

cafile, address, name = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
with socket.create_connection((address, 443), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=name) as tls:
        key = base64.b64encode(os.urandom(16)).decode()
        tls.sendall(
            f"GET /talk HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        stream = tls.makefile("rb")
        status = stream.readline().decode().strip()
        while stream.readline().strip():
            pass
        if " 101 " not in status:
            sys.exit(status)
        mask, text = os.urandom(4), b"baton"
        tls.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(text)))
        print(stream.read(2 + len(text))[2:].decode())
