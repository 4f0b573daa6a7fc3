"""An HTTP/2 client with prior knowledge: one connection, frame by frame, with the h2 package."""

import socket
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import Frame, GoAwayFrame

FRAME_HEAD = 9


@dataclass
class GoAway:
    """The server takes no streams beyond the last one. h2 itself would take this for the end of
    the connection, and nothing that a server may still send on the streams up to there."""

    error_code: int
    last_stream_id: int


class Http2Client:
    """Keeps every event, in its order."""

    def __init__(self, authority):
        host, port = authority.split(":")
        self.authority = authority
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.events = []
        self.unparsed = b""
        self.ended = False
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def request(self, method="POST", path="/predict", body=b"", headers=(), trailers=(), end=True):
        """Sends a request, or its beginning; its stream's number."""
        stream = self.connection.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":path", path),
                (":authority", self.authority), *headers]
        self.connection.send_headers(stream, head, end_stream=end and not body and not trailers)
        if body:
            self.connection.send_data(stream, body, end_stream=end and not trailers)
        if trailers:
            self.connection.send_headers(stream, trailers, end_stream=True)
        self.flush()
        return stream

    def reset(self, stream):
        self.connection.reset_stream(stream, error_code=8)
        self.flush()

    def read(self):
        """Takes what has come next."""
        data = self.socket.recv(65536)
        if not data:
            self.ended = True
            return
        self.unparsed += data
        while len(self.unparsed) >= FRAME_HEAD:
            frame, length = Frame.parse_frame_header(memoryview(self.unparsed[:FRAME_HEAD]))
            end = FRAME_HEAD + length
            if len(self.unparsed) < end:
                break
            whole, self.unparsed = self.unparsed[:end], self.unparsed[end:]
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(whole[FRAME_HEAD:]))
                self.events.append(GoAway(frame.error_code, frame.last_stream_id))
            else:
                self.take(self.connection.receive_data(whole))
        self.flush()

    def take(self, events):
        """Keeps events, and lets the server send on."""
        self.events += events
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id)

    def wait(self, kind, stream=None):
        """The first event of a kind, on a stream if one is named."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    return event
            assert not self.ended, f"no {kind.__name__} before the end: {self.events}"
            self.read()

    def status(self, stream):
        return dict(self.wait(h2.events.ResponseReceived, stream).headers)[":status"]

    def body(self, stream):
        """The whole body, once the stream has ended."""
        self.wait(h2.events.StreamEnded, stream)
        return b"".join(event.data for event in self.events
                        if isinstance(event, h2.events.DataReceived)
                        and event.stream_id == stream)

    def close(self):
        self.socket.close()
