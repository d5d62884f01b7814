"""A WebSocket server that echoes, and a client that tries everything on it.

    websocket.py server              says "port N", then "closed CODE REASON" for each connection that ends
    websocket.py client URL [CA]     waits for a line on stdin when it says "half", ends with "done"
"""

import asyncio
import random
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

MESSAGE_BYTES_MAX = 256 * 1024
MESSAGES = 1_000
# The whole of a client's run; on an idle machine it takes two.
PATIENCE_S = 90
# Sizes are drawn by their bits: most messages are small, some of the largest size.
BITS_MAX = 18


async def answer(connection):
    try:
        while True:
            # As they come, so that what goes back has the same frames.
            fragments = [piece async for piece in connection.recv_streaming()]
            whole = fragments[0][:0].join(fragments)
            if isinstance(whole, str) and whole.startswith("close "):
                _, code, reason = whole.split(" ", 2)
                await connection.close(int(code), reason)
                break
            if whole == "ping me":
                await (await connection.ping(b"from the server"))
                await connection.send("ponged")
            elif len(fragments) == 1:
                await connection.send(whole)
            else:
                # The end is a frame without a word, which `send` adds.
                assert not fragments[-1]
                await connection.send(fragments[:-1])
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    print("closed", connection.close_code, connection.close_reason or "-", flush=True)


async def run_server():
    async with serve(answer, "127.0.0.1", 0, ping_interval=None, max_size=2 * MESSAGE_BYTES_MAX) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


def opened(url, context, **more):
    # Whatever proxy the machine has is not asked.
    more.setdefault("ping_interval", None)
    host = {"server_hostname": "a.test"} if context else {}
    return connect(url, ssl=context, proxy=None, max_size=2 * MESSAGE_BYTES_MAX, **host, **more)


def said(what):
    print(what, flush=True)


async def messages(connection, drawn, n):
    """Sends messages of all sizes and takes them back, a few of them on the way at any time."""

    sent = []
    for _ in range(n):
        length = drawn.randint(1, 2 ** drawn.randint(0, BITS_MAX))
        data = drawn.randbytes(length)
        sent.append(data if drawn.random() < 0.5 else data.hex()[:length])
    sent[0], sent[1] = b"x", drawn.randbytes(MESSAGE_BYTES_MAX)

    async def send():
        for message in sent:
            await connection.send(message)

    sending = asyncio.create_task(send())
    for at, message in enumerate(sent):
        got = await connection.recv()
        assert type(got) is type(message) and got == message, f"message {at} of {len(message)} came as {len(got)}"
    await sending


async def kinds(connection):
    await connection.send("grüße, 世界 🌍")
    assert await connection.recv() == "grüße, 世界 🌍"
    await connection.send(bytes(range(256)))
    assert await connection.recv() == bytes(range(256))
    await connection.send("")
    assert await connection.recv() == ""
    said("text and binary")

    for parts in (["one ", "two ", "", "three"], [b"\x00" * 70_000, b"\xff" * 5, b"end"]):
        await connection.send(parts)
        got = [piece async for piece in connection.recv_streaming()]
        assert got == parts + [parts[0][:0]], [len(piece) for piece in got]
    said("fragments")

    await (await connection.ping(b"from the client"))
    await connection.send("ping me")
    assert await connection.recv() == "ponged"
    said("ping and pong")


async def compression(url, context):
    for offered in ("deflate", None):
        async with opened(url, context, compression=offered) as connection:
            agreed = connection.response.headers.get("Sec-WebSocket-Extensions", "")
            assert ("permessage-deflate" in agreed) == (offered is not None), agreed
            assert [e.name for e in connection.protocol.extensions] == ["permessage-deflate"][: offered is not None]
            text = "the same again and again " * 4_000
            await connection.send(text)
            assert await connection.recv() == text
    said("deflate")


async def closes(url, context):
    for code in (1000, 1001):
        async with opened(url, context) as connection:
            await connection.close(code, f"client-{code}")
            assert connection.close_code == code, connection.close_code
        async with opened(url, context) as connection:
            await connection.send(f"close {code} server-{code}")
            try:
                await connection.recv()
                raise AssertionError("it goes on")
            except ConnectionClosed as end:
                assert (end.rcvd.code, end.rcvd.reason) == (code, f"server-{code}"), end
                assert end.rcvd_then_sent
    said("closes")


async def run_client(url, ca_file):
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    async with opened(url, context) as connection:
        await kinds(connection)
    await compression(url, context)
    await closes(url, context)
    drawn = random.Random(4711)
    async with opened(url, context) as connection:
        await messages(connection, drawn, MESSAGES // 2)
        said("half")
        await asyncio.to_thread(sys.stdin.readline)
        await messages(connection, drawn, MESSAGES // 2)
    said("done")


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(run_server())
    else:
        talk = run_client(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
        asyncio.run(asyncio.wait_for(talk, PATIENCE_S))
