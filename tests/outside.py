"""An outside opinion on a running server: another author's client, at the address given.

Every line of output names something that was found true. The first that is not ends with a traceback.
"""

import asyncio
import os
import sys

import websockets

PATIENCE = 30  # seconds: only passes when something is wrong


async def hears(client, expected):
    heard = await asyncio.wait_for(client.recv(), PATIENCE)
    assert heard == expected, f"heard {heard[:80]!r}, not {expected[:80]!r}"


async def text(address):
    async with websockets.connect(f"{address}/ws/text") as ada, websockets.connect(f"{address}/ws/text") as bob:
        for message in ["hello", "", "\u00e4\U0001f600\u0000", "x" * 70_000]:
            await ada.send(message)
            await hears(ada, message)
            await hears(bob, message)


async def binary(address):
    async with websockets.connect(f"{address}/ws/binary") as ada, websockets.connect(f"{address}/ws/binary") as bob:
        for message in [b"", b"\x00", bytes(range(256))]:
            await ada.send(message)
            await hears(ada, message)
            await hears(bob, message)


async def fragments(address):
    async with websockets.connect(f"{address}/ws/fragments") as ada:
        await ada.send(["in ", "", "pieces"])
        await hears(ada, "in pieces")


async def one_mebibyte(address):
    message = os.urandom(1 << 20)
    async with (
        websockets.connect(f"{address}/ws/large", max_size=None) as ada,
        websockets.connect(f"{address}/ws/large", max_size=None) as bob,
    ):
        await ada.send(message)
        await hears(ada, message)
        await hears(bob, message)


async def one_byte_more(address):
    async with websockets.connect(f"{address}/ws/large") as ada:
        await ada.send(bytes((1 << 20) + 1))
        await asyncio.wait_for(ada.wait_closed(), PATIENCE)
        assert ada.close_code == 1009, ada.close_code
        assert ada.close_reason, "no reason"


async def ping(address):
    for path in ["ws/ping", "echo"]:
        async with websockets.connect(f"{address}/{path}") as ada:
            pong = await ada.ping(b"are you there")
            await asyncio.wait_for(pong, PATIENCE)


async def close_codes(address):
    for path in ["ws/close", "echo"]:
        for code, reason in [(1000, ""), (1000, "done"), (1001, "a tab was closed"), (3000, "ours"), (4999, "\u00e4")]:
            async with websockets.connect(f"{address}/{path}") as ada:
                await asyncio.wait_for(ada.close(code, reason), PATIENCE)
                # What the server sent, not what was sent to it.
                received = ada.protocol.close_rcvd if hasattr(ada, "protocol") else ada.close_rcvd
                assert (received.code, received.reason) == (code, reason), received


async def order(address):
    clients = [await websockets.connect(f"{address}/ws/order", max_queue=None) for _ in range(4)]

    async def talk(speaker, client):
        for number in range(250):
            await client.send(f"{speaker} {number}")

    async def listen(client):
        return [await asyncio.wait_for(client.recv(), PATIENCE) for _ in range(1000)]

    heard, _ = await asyncio.gather(
        asyncio.gather(*map(listen, clients)),
        asyncio.gather(*(talk(speaker, client) for speaker, client in enumerate(clients))),
    )
    assert all(each == heard[0] for each in heard), "not everyone heard the same order"
    for speaker in range(4):
        own = [message for message in heard[0] if message.startswith(f"{speaker} ")]
        assert own == [f"{speaker} {number}" for number in range(250)], f"speaker {speaker} was reordered"
    await asyncio.gather(*(client.close() for client in clients))


async def echo(address):
    async with websockets.connect(f"{address}/echo") as ada, websockets.connect(f"{address}/echo") as bob:
        await bob.send("mine")
        for number in range(100):
            await ada.send(str(number))
        for number in range(100):
            await hears(ada, str(number))
        await hears(bob, "mine")


async def main(address):
    print("websockets", getattr(websockets, "__version__", ""))
    for opinion in [text, binary, fragments, one_mebibyte, one_byte_more, ping, close_codes, order, echo]:
        await opinion(address)
        print(opinion.__name__)


asyncio.run(main(sys.argv[1]))
