"""A server of gRPC, and a client that tries every kind of call on it.

    calls.py server [CERT KEY]          says "port N", then "left KIND WHO" for each call that its client has left
    calls.py client TARGET WHO [CA]     says what came of each call, as one line of JSON

Messages are bytes as they are: no code has to be generated, and what passes is what gRPC's own library frames.
"""

import hashlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

MIB = 1 << 20
# In the field it is Base64; those who call see bytes.
BINARY = bytes(range(256))
# Calls that end well have this much time; those on a busy machine need a part of it.
PATIENCE_S = 60
# What the server never answers has this much at first, and more where that is over before the server has begun.
SHORT_S = 0.5


def ours(metadata):
    """What a play has said of its calls, without what a library or a gateway says of itself."""

    names = ("play-", "grpc-status-details")
    kept = [(key, value) for key, value in metadata or () if key.startswith(names) and key != "play-who"]
    kept.sort(key=lambda pair: pair[0])
    return [[key, value.hex() if isinstance(value, bytes) else value] for key, value in kept]


def who(context):
    return dict(context.invocation_metadata()).get("play-who", "?")


def unary(request, context):
    context.send_initial_metadata((("play-heard", json.dumps(ours(context.invocation_metadata()))),))
    context.set_trailing_metadata((("play-end", "of unary"), ("play-end-bin", BINARY)))
    return request[::-1]


def large(request, context):
    context.set_compression(grpc.Compression.Gzip)
    return request + request


def client_streaming(requests, context):
    return b"|".join(request[:8] + str(len(request)).encode() for request in requests)


def server_streaming(request, context):
    for n in range(int(request)):
        yield str(n).encode() * (n * 100 + 1)
    context.set_trailing_metadata((("play-count", request.decode()),))


def both(requests, context):
    context.send_initial_metadata((("play-first", "before any message"),))
    for request in requests:
        yield b"<" + request + b">"


def failing(request, context):
    context.set_trailing_metadata(
        (("play-why", "because"), ("play-why-bin", BINARY), ("grpc-status-details-bin", b"\x08\x09\x12\x02no"))
    )
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nicht möglich: 100% of 世界")


def failing_late(request, context):
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "after two")


def tell_end(kind, context):
    """What is set once the call has ended, which is told too."""

    ended = threading.Event()

    def end():
        # In one write: calls end on threads of their own.
        sys.stdout.write(f"left {kind} {who(context)}\n")
        ended.set()

    if not context.add_callback(end):
        end()
    return ended


def waiting(request, context):
    ended = tell_end("waiting", context)
    context.send_initial_metadata((("play-begun", "yes"),))
    ended.wait(PATIENCE_S)
    return b""


def endless(requests, context):
    # Before the first message: the library does not come back to what its client has left.
    ended = tell_end("endless", context)
    yield b"begun"
    ended.wait(PATIENCE_S)


def health(request, context):
    # The number 1 in the field 1: SERVING.
    return b"\x08\x01"


METHODS = {
    "/play.Calls/Unary": grpc.unary_unary_rpc_method_handler(unary),
    "/play.Calls/Large": grpc.unary_unary_rpc_method_handler(large),
    "/play.Calls/ClientStreaming": grpc.stream_unary_rpc_method_handler(client_streaming),
    "/play.Calls/ServerStreaming": grpc.unary_stream_rpc_method_handler(server_streaming),
    "/play.Calls/Both": grpc.stream_stream_rpc_method_handler(both),
    "/play.Calls/Failing": grpc.unary_unary_rpc_method_handler(failing),
    "/play.Calls/FailingLate": grpc.unary_stream_rpc_method_handler(failing_late),
    "/play.Calls/Waiting": grpc.unary_unary_rpc_method_handler(waiting),
    "/play.Calls/Endless": grpc.stream_stream_rpc_method_handler(endless),
    "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(health),
}


class Methods(grpc.GenericRpcHandler):
    def service(self, details):
        return METHODS.get(details.method)


def run_server(files):
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Methods(),))
    if files:
        cert, key = (open(file, "rb").read() for file in files)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("port", port, flush=True)
    server.wait_for_termination()


def outcome(call, messages):
    """All that a caller can see of a call that is over."""

    return {
        "messages": messages,
        "initial": ours(call.initial_metadata()),
        "code": call.code().name,
        "details": call.details(),
        "trailing": ours(call.trailing_metadata()),
    }


def short(message):
    if len(message) <= 100:
        return message.decode("latin-1")
    return f"{len(message)} bytes, {hashlib.sha256(message).hexdigest()}"


def taken(call):
    """The messages of a stream until it ends, well or not."""

    messages = []
    try:
        for message in call:
            messages.append(short(message))
    except grpc.RpcError:
        pass
    return messages


def one(call):
    try:
        return [short(call.result())]
    except (grpc.RpcError, grpc.FutureCancelledError):
        return []


def conversation(channel, metadata):
    """Each message is sent when the one before has been answered."""

    may_go = threading.Semaphore(1)

    def requests():
        for n in range(20):
            may_go.acquire()
            yield f"m{n}".encode()

    call = channel.stream_stream("/play.Calls/Both")(requests(), metadata=metadata, timeout=PATIENCE_S)
    messages = []
    for message in call:
        messages.append(short(message))
        may_go.release()
    return outcome(call, messages)


def too_late(channel, metadata):
    timeout = SHORT_S
    while True:
        call = channel.unary_unary("/play.Calls/Waiting").future(b"", metadata=metadata, timeout=timeout)
        ended = outcome(call, one(call))
        # Whose words these are depends on whose clock is first.
        del ended["details"]
        if ended["initial"] or timeout > PATIENCE_S:
            return ended
        timeout *= 2


def cancelled(channel, metadata):
    may_end = threading.Event()

    def requests():
        yield b"first"
        may_end.wait(PATIENCE_S)

    call = channel.stream_stream("/play.Calls/Endless")(requests(), metadata=metadata, timeout=PATIENCE_S)
    messages = [short(next(call))]
    call.cancel()
    messages += taken(call)
    may_end.set()
    return outcome(call, messages)


def run_client(target, name, ca_file):
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 8 * MIB)]
    if ca_file:
        options.append(("grpc.ssl_target_name_override", "a.test"))
        credentials = grpc.ssl_channel_credentials(open(ca_file, "rb").read())
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
    metadata = (("play-who", name),)
    spoken = (("play-word", "a word, and another"), ("play-empty", ""), ("play-some-bin", BINARY), ("play-some-bin", b""))
    in_time = {"metadata": metadata, "timeout": PATIENCE_S}

    def single(method, message, **more):
        call = channel.unary_unary(f"/play.Calls/{method}").future(message, **{**in_time, **more})
        return outcome(call, one(call))

    def stream_of(method, message):
        call = channel.unary_stream(f"/play.Calls/{method}")(message, **in_time)
        return outcome(call, taken(call))

    together = [channel.unary_unary("/play.Calls/Unary").future(b"%d" % n, **in_time) for n in range(200)]
    many = [one(call) for call in together]
    packed = {"compression": grpc.Compression.Gzip}
    pieces = (bytes([65 + n]) * (n * 1_000) for n in range(20))
    up = channel.stream_unary("/play.Calls/ClientStreaming").future(pieces, **in_time)
    checked = channel.unary_unary("/grpc.health.v1.Health/Check").future(b"", **in_time)
    outcomes = {
        "unary": single("Unary", b"hello", metadata=spoken),
        "empty": single("Unary", b""),
        "large": single("Large", BINARY * (MIB // 256)),
        "compressed": single("Large", b"again " * 20_000, **packed),
        "many": many,
        "client streaming": outcome(up, one(up)),
        "server streaming": stream_of("ServerStreaming", b"30"),
        "nothing streamed": stream_of("ServerStreaming", b"0"),
        "both": conversation(channel, metadata),
        "failing": single("Failing", b""),
        "failing late": stream_of("FailingLate", b""),
        "unknown": single("Unknown", b""),
        "too late": too_late(channel, metadata),
        "cancelled": cancelled(channel, metadata),
        "health": outcome(checked, one(checked)),
    }
    print(json.dumps(outcomes, sort_keys=True), flush=True)
    channel.close()


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run_server(sys.argv[2:])
    else:
        run_client(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None)
