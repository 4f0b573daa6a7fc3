"""Answers what it received, for WSGI (gunicorn) and ASGI (uvicorn), and notes it in the file ECHO_LOG.

A line is written when a request begins and one when its body has ended or broken off, so that a test
sees everything that reached the application, whatever the client was told.
"""

import hashlib
import itertools
import json
import os
import threading

NUMBERS = itertools.count(1)
LOCK = threading.Lock()


def note(**fields):
    line = json.dumps(fields) + "\n"
    with LOCK, open(os.environ["ECHO_LOG"], "a", encoding="utf-8") as log:
        log.write(line)


def received(number, body, whole):
    """What is noted, and answered, once the body is there."""
    digest = hashlib.sha256(body).hexdigest()
    fields = {"length": len(body), "sha256": digest, "whole": whole}
    note(end=number, **fields)
    return json.dumps({"seen": number, **fields}).encode()


def app(environ, start_response):
    """WSGI."""
    number = next(NUMBERS)
    names = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
    headers = {names.get(name, name[5:].replace("_", "-").lower()): value
               for name, value in environ.items() if name.startswith("HTTP_") or name in names}
    note(begin=number, method=environ["REQUEST_METHOD"], target=environ["RAW_URI"], headers=headers)
    body, whole = b"", True
    try:
        while piece := environ["wsgi.input"].read(65536):
            body += piece
    except Exception:
        # Whatever the server makes of a body that breaks off.
        whole = False
    declared = environ.get("CONTENT_LENGTH") or "0"
    whole = whole and (not declared.isdigit() or len(body) >= int(declared))
    answer = received(number, body, whole)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]


async def asgi(scope, receive, send):
    """ASGI."""
    if scope["type"] != "http":
        return
    number = next(NUMBERS)
    target = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    headers = {}
    for name, value in scope["headers"]:
        name, value = name.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    note(begin=number, method=scope["method"], target=target.decode("latin-1"), headers=headers)
    body, whole = b"", True
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            whole = False
            break
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = received(number, body, whole)
    length = str(len(answer)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    if scope["path"] == "/large":
        # Sixteen megabytes of no declared length, as fast as they are taken.
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(256):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
