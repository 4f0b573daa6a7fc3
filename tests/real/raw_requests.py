"""Raw requests, well-formed and hostile, each for a connection of its own.

`/hidden` stands only where one way of reading the bytes makes a body, or a part of a header, a
request; nothing but the application's log tells whether somebody read them so.
"""

from dataclasses import dataclass

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Row:
    """One connection's bytes, and what of their effect is compared beside method, path and body."""

    name: str
    sent: bytes
    hostile: bool
    # Headers whose values at the application are compared.
    watch: tuple = ()
    # Final answers after which nothing more is waited for.
    answers: int = 1


def message(line=b"POST /predict HTTP/1.1", *headers, body=b"", host=b"a"):
    lines = [line, *([b"Host: " + host] if host is not None else []), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(*headers, **options):
    return message(b"GET /predict HTTP/1.1", *headers, **options)


def post(*headers, **options):
    return message(b"POST /predict HTTP/1.1", *headers, **options)


CHUNKED = b"Transfer-Encoding: chunked"
ABC = b"3\r\nabc\r\n0\r\n\r\n"


def chunks(body, **options):
    return post(CHUNKED, body=body, **options)


def fine(name, sent, **options):
    return Row(name, sent, False, **options)


def hostile(name, sent, **options):
    return Row(name, sent, True, **options)


def transfer_encoding(value, body=ABC):
    return post(b"Transfer-Encoding:" + value, body=body)


def length(value, body=b"abc"):
    return post(b"Content-Length: " + value, body=body)


ROWS = [
    # --- well-formed ---
    fine("GET", get()),
    fine("HEAD", message(b"HEAD /predict HTTP/1.1")),
    fine("POST with a length", length(b"3")),
    fine("POST with a length of 0", length(b"0", b"")),
    fine("POST without a body", post()),
    fine("PUT", message(b"PUT /predict HTTP/1.1", b"Content-Length: 3", body=b"abc")),
    fine("DELETE", message(b"DELETE /predict/1 HTTP/1.1")),
    fine("DELETE with a body",
         message(b"DELETE /predict HTTP/1.1", b"Content-Length: 3", body=b"abc")),
    fine("OPTIONS", message(b"OPTIONS /predict HTTP/1.1")),
    fine("a method of one's own", message(b"PURGE /predict HTTP/1.1")),
    fine("GET with a body", get(b"Content-Length: 3", body=b"abc")),
    fine("GET with chunks", get(CHUNKED, body=ABC)),
    fine("chunks", chunks(ABC)),
    fine("chunks of odd sizes", chunks(
        b"1\r\na\r\n7\r\nbcdefgh\r\n1F\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n")),
    fine("chunk sizes with zeros and capitals", chunks(
        b"000A\r\n0123456789\r\n00\r\n\r\n")),
    fine("chunk extensions", chunks(b'3;a=b;c="d e"\r\nabc\r\n0;end\r\n\r\n')),
    fine("a trailer", chunks(b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")),
    fine("a trailer that is announced", post(
        CHUNKED, b"Trailer: X-Sum", body=b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")),
    fine("Transfer-Encoding in capitals", transfer_encoding(b" CHUNKED")),
    fine("Expect: 100-continue", post(
        b"Content-Length: 3", b"Expect: 100-continue", body=b"abc")),
    fine("HTTP/1.0", message(b"GET /predict HTTP/1.0")),
    fine("HTTP/1.0 without a Host", message(b"GET /predict HTTP/1.0", host=None)),
    fine("HTTP/1.0 with keep-alive, twice",
         message(b"GET /predict HTTP/1.0", b"Connection: keep-alive") * 2, answers=2),
    fine("HTTP/1.0 without keep-alive, twice", message(b"GET /predict HTTP/1.0") * 2, answers=2),
    fine("Connection: close, and one more", get(b"Connection: close") + get(), answers=2),
    fine("absolute form", message(b"GET http://a/predict?x=1 HTTP/1.1"), watch=("host",)),
    fine("three in one packet", get() * 3, answers=3),
    fine("POSTs in one packet", length(b"3") + chunks(ABC) + get(), answers=3),
    fine("80 headers", get(*(b"X-%d: %d" % (n, n) for n in range(80))), watch=("x-79",)),
    fine("a URL of 7 KB", message(b"GET /predict?" + b"x" * 7000 + b" HTTP/1.1")),
    fine("UTF-8 in a value", get("X-Text: Grüße".encode()), watch=("x-text",)),
    fine("a header without a value", get(b"X-Text:"), watch=("x-text",)),
    fine("white space around a value", get(b"X-Text: \t a b \t "), watch=("x-text",)),
    fine("what Connection names", get(b"Connection: X-Hop, close", b"X-Hop: 1", b"X-Stay: 2"),
         watch=("x-hop", "x-stay")),
    fine("headers of one hop", get(b"Keep-Alive: 5", b"Proxy-Connection: x", b"TE: gzip"),
         watch=("keep-alive", "proxy-connection", "te")),
    fine("an empty line before it", b"\r\n" + get()),
    fine("dots, escapes, doubled slashes", message(b"GET /a/../b//c/%2e%2F%7E HTTP/1.1")),
    fine("OPTIONS *", message(b"OPTIONS * HTTP/1.1")),
    fine("Upgrade: h2c", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                             b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"), watch=("upgrade",)),
    # --- lengths against chunks ---
    hostile("length, then chunks", post(b"Content-Length: 13", CHUNKED, body=ABC)),
    hostile("chunks, then length", post(CHUNKED, b"Content-Length: 13", body=ABC)),
    hostile("length against chunks, a request between", post(
        b"Content-Length: %d" % (5 + len(HIDDEN)), CHUNKED, body=b"0\r\n\r\n" + HIDDEN), answers=2),
    hostile("chunks against length, a request between", post(
        b"Content-Length: 4", CHUNKED,
        body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)), answers=2),
    hostile("chunks in disguise against length, a request between", post(
        b"Content-Length: %d" % (5 + len(HIDDEN)), b"Transfer-Encoding: xchunked",
        body=b"0\r\n\r\n" + HIDDEN), answers=2),
    hostile("Connection names Content-Length, a request in the body", post(
        b"Connection: Content-Length", b"Content-Length: %d" % len(HIDDEN), body=HIDDEN)),
    hostile("Connection names Transfer-Encoding, a request in the body", post(
        b"Connection: Transfer-Encoding", CHUNKED,
        body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN))),
    hostile("a request in the body of a GET", get(b"Content-Length: %d" % len(HIDDEN), body=HIDDEN)),
    hostile("a request in the body of an upgrade", post(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: %d" % len(HIDDEN),
        body=HIDDEN)),
    hostile("Transfer-Encoding on HTTP/1.0", message(b"POST /predict HTTP/1.0", CHUNKED, body=ABC)),
    # --- lengths ---
    hostile("two equal lengths", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc")),
    hostile("two lengths", post(
        b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN), body=HIDDEN), answers=2),
    hostile("a list of equal lengths", length(b"3, 3")),
    hostile("a list of lengths", length(b"3, 4", b"abcd")),
    hostile("a negative length", length(b"-3")),
    hostile("a length with a plus", length(b"+3")),
    hostile("a length in hexadecimal", length(b"0x3")),
    hostile("a length beyond 64 bits", length(b"18446744073709551619")),
    hostile("a length of no digits", length(b"")),
    hostile("a length with a space inside", length(b"3 3")),
    hostile("Content_Length before a request", post(b"Content_Length: 50") + get(),
            watch=("content-length",), answers=2),
    # --- codings ---
    hostile("Transfer-Encoding: xchunked", transfer_encoding(b" xchunked")),
    hostile("Transfer-Encoding with more spaces", transfer_encoding(b"   chunked")),
    hostile("Transfer-Encoding with a tab", transfer_encoding(b"\tchunked")),
    hostile("Transfer-Encoding with a vertical tab", transfer_encoding(b" \x0bchunked")),
    hostile("Transfer-Encoding: chunked, chunked", transfer_encoding(b" chunked, chunked")),
    hostile("Transfer-Encoding twice", post(CHUNKED, CHUNKED, body=ABC)),
    hostile("Transfer-Encoding: gzip, chunked", transfer_encoding(b" gzip, chunked")),
    hostile("Transfer-Encoding: chunked, gzip", transfer_encoding(b" chunked, gzip")),
    hostile("Transfer-Encoding: identity", transfer_encoding(b" identity", body=b"")),
    hostile("Transfer-Encoding in quotes", transfer_encoding(b' "chunked"')),
    hostile("Transfer-Encoding on a folded line", transfer_encoding(b"\r\n chunked")),
    hostile("Transfer-Encoding with a space before its colon",
            post(b"Transfer-Encoding : chunked", body=ABC)),
    # --- chunks ---
    hostile("a chunk size that is none", chunks(b"z\r\nabc\r\n0\r\n\r\n")),
    hostile("a negative chunk size", chunks(b"-3\r\nabc\r\n0\r\n\r\n")),
    hostile("a chunk size with 0x", chunks(b"0x3\r\nabc\r\n0\r\n\r\n")),
    hostile("a chunk size beyond 64 bits", chunks(b"10000000000000003\r\nabc\r\n0\r\n\r\n")),
    hostile("a chunk longer than its size", chunks(b"3\r\nabcd\r\n0\r\n\r\n")),
    hostile("a chunk line without its carriage return", chunks(b"3\nabc\r\n0\r\n\r\n")),
    hostile("a request behind a line feed in an extension", chunks(
        b"0;\n" + HIDDEN + b"\r\n\r\n"), answers=2),
    hostile("no last chunk", chunks(b"3\r\nabc\r\n")),
    hostile("a body that is not all there", length(b"10")),
    hostile("a trailer that frames", chunks(
        b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"),
        watch=("content-length",)),
    # --- lines ---
    hostile("a header line ended by a line feed", b"GET /predict HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    hostile("a head of line feeds alone", b"GET /predict HTTP/1.1\nHost: a\n\n"),
    hostile("a carriage return inside a value", get(b"X-Text: a\rX-More: b"), watch=("x-more",)),
    hostile("NUL in a value", get(b"X-Text: a\0b"), watch=("x-text",)),
    hostile("a space before a colon", get(b"X-Text : a"), watch=("x-text",)),
    hostile("a space in a header's name", get(b"X Text: a")),
    hostile("a header without a name", get(b": a")),
    hostile("a line without a colon", get(b"X-Text")),
    hostile("a folded line", get(b"X-Text: a\r\n b"), watch=("x-text",)),
    hostile("a folded first header", b"GET /predict HTTP/1.1\r\n X-Text: a\r\nHost: a\r\n\r\n"),
    # --- hosts ---
    hostile("no Host", get(host=None)),
    hostile("two Hosts", get(b"Host: b"), watch=("host",)),
    hostile("another Host than the target's", message(b"GET http://b/predict HTTP/1.1"),
            watch=("host",)),
    hostile("a Host with a space", get(host=b"a b"), watch=("host",)),
    hostile("Connection names Host", get(b"Connection: Host"), watch=("host",)),
    # --- first lines ---
    hostile("HTTP/0.9", b"GET /predict\r\n"),
    hostile("HTTP/2.0 in the line", message(b"GET /predict HTTP/2.0")),
    hostile("HTTP/1.2", message(b"GET /predict HTTP/1.2")),
    hostile("HTTP/1.10", message(b"GET /predict HTTP/1.10")),
    hostile("http/1.1", message(b"GET /predict http/1.1")),
    hostile("CONNECT", message(b"CONNECT b:443 HTTP/1.1", host=b"b:443")),
    hostile("TRACE", message(b"TRACE /predict HTTP/1.1")),
    hostile("GET *", message(b"GET * HTTP/1.1")),
    hostile("two spaces after the method", message(b"GET  /predict HTTP/1.1")),
    hostile("a space in the target", message(b"GET /pre dict HTTP/1.1")),
    hostile("a target without a slash", message(b"GET predict HTTP/1.1")),
    hostile("a fragment in the target", message(b"GET /predict#x HTTP/1.1")),
    hostile("a method in lower case", message(b"get /predict HTTP/1.1")),
    hostile("a head of 100 KB", get(b"X-Text: " + b"x" * 100_000)),
    hostile("300 headers", get(*(b"X-%d: y" % n for n in range(300)))),
]
