"""gRPC through driftd, with grpcio's own server and client. Messages are plain bytes."""

import threading
from concurrent import futures

import grpc
import pytest

from driftd import config_text
from processes import wait_until

SERVICE = "inference.Model"
MODEL = {"name": "grpc", "paths": [f"/{SERVICE}"]}


class Handlers:
    """Echoes, counts what was cancelled, and ends with trailing metadata."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.entered = threading.Event()

    def infer(self, request, context):
        context.set_trailing_metadata((("x-rows", str(len(request))),))
        return request[::-1]

    def refuse(self, request, context):
        context.set_trailing_metadata((("x-why", "no such model"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")

    def chat(self, requests, context):
        for request in requests:
            yield b"<" + request + b">"

    def hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.entered.set()
        self.cancelled.wait(30)
        return b""

    def register(self, server):
        handlers = {
            "Infer": grpc.unary_unary_rpc_method_handler(self.infer),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, handlers),)
        )


@pytest.fixture
def upstream():
    """A gRPC server and what its handlers saw."""
    options = (("grpc.max_receive_message_length", 16 << 20),)
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    handlers = Handlers()
    handlers.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handlers, f"http://127.0.0.1:{port}"
    handlers.cancelled.set()
    server.stop(None).wait()


@pytest.fixture
def driftd(upstream, start_driftd):
    return start_driftd(config=config_text(upstream[1], models=[MODEL]))


@pytest.fixture
def channel(driftd):
    options = (("grpc.max_receive_message_length", 16 << 20),)
    target = driftd.proxy.removeprefix("http://")
    with grpc.insecure_channel(target, options=options) as channel:
        yield channel


def test_calls_pass_with_trailing_metadata(driftd, channel):
    infer = channel.unary_unary(f"/{SERVICE}/Infer")
    # The last one is longer than every window, the others share a connection.
    bodies = [b"abc", b"", bytes(range(256)) * 16, b"x" * (8 << 20)]
    for body in bodies:
        answer, call = infer.with_call(body, timeout=30)
        assert answer == body[::-1]
        assert ("x-rows", str(len(body))) in call.trailing_metadata()
    # Counted, not read: nothing of them is in the window.
    outcomes = driftd.wait_for_outcomes(len(bodies))
    assert outcomes["excluded"] == len(bodies)
    count = driftd.metric("http_server_request_duration_seconds_count", model="grpc")
    assert count == len(bodies)


def test_a_status_of_the_model_reaches_the_client(channel):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/Refuse")(b"x", timeout=30)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "unknown model"
    assert ("x-why", "no such model") in raised.value.trailing_metadata()


def test_a_stream_flows_both_ways_message_by_message(channel):
    answered = threading.Semaphore(1)

    def requests():
        for number in range(100):
            # The next message goes out when the answer to the last one has come.
            assert answered.acquire(timeout=30)
            yield str(number).encode()

    expected = 0
    for answer in channel.stream_stream(f"/{SERVICE}/Chat")(requests(), timeout=60):
        assert answer == b"<%d>" % expected
        expected += 1
        answered.release()
    assert expected == 100


def test_many_calls_at_once(channel):
    infer = channel.unary_unary(f"/{SERVICE}/Infer")
    calls = [infer.future(b"%d" % number, timeout=60) for number in range(500)]
    for number, call in enumerate(calls):
        assert call.result() == (b"%d" % number)[::-1]


def test_a_cancelled_call_is_cancelled_at_the_model(upstream, driftd, channel):
    handlers, _ = upstream
    call = channel.unary_unary(f"/{SERVICE}/Hang").future(b"x", timeout=30)
    assert handlers.entered.wait(20)
    call.cancel()
    assert handlers.cancelled.wait(20)

    def counted():
        name = "http_server_request_duration_seconds_count"
        return driftd.metric(name, http_response_status_code="499")

    wait_until(counted, 20, "the call counted with status 499")


def test_a_deadline_reaches_the_model(upstream, channel):
    handlers, _ = upstream
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/Hang")(b"x", timeout=0.5)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert handlers.cancelled.wait(20)


def test_a_model_that_is_not_there_is_unavailable(start_driftd):
    driftd = start_driftd(config=config_text("http://127.0.0.1:1", models=[MODEL]))
    with grpc.insecure_channel(driftd.proxy.removeprefix("http://")) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{SERVICE}/Infer")(b"x", timeout=30)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
