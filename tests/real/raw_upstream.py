"""An upstream in raw bytes, for what no model server does of itself."""

import socket
import threading


class RawUpstream:
    """Serves each connection with a function of the test, and keeps the requests' bytes."""

    def __init__(self, serve):
        self.serve = serve
        self.received = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.visit, args=[connection], daemon=True).start()

    def visit(self, connection):
        with connection:
            connection.settimeout(30)
            try:
                self.serve(Visit(connection, self))
            except OSError:
                # The other side is gone, which is what some tests are about.
                pass

    def close(self):
        self.listener.close()


class Visit:
    """One connection to the upstream."""

    def __init__(self, connection, upstream):
        self.connection = connection
        self.upstream = upstream

    def until(self, end):
        """Reads until these bytes have come; what was read, or None where the connection ended."""
        data = b""
        while end not in data:
            piece = self.connection.recv(65536)
            if not piece:
                return None
            data += piece
        self.upstream.received.append(data)
        return data

    def send(self, data):
        self.connection.sendall(data)

    def wait_for_end(self):
        """Returns once the other side has closed."""
        while self.connection.recv(65536):
            pass
