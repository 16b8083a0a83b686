"""What a reader was handed over counts to the byte, wherever the line drops: who resumes there has all of it in the end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zegelpost.server import DirectReply

PIECE = memoryview(bytes(1024 * 1024))


@pytest.fixture
def lines() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours and the reader's, with little room between them."""
    ours, readers = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    readers.setblocking(False)
    with ours, readers:
        yield ours, readers


def reply_on(line: Any) -> DirectReply:
    transport = SimpleNamespace(get_write_buffer_size=lambda: 0, get_extra_info=lambda _: line)
    return DirectReply(cast("Any", SimpleNamespace(transport=transport, disconnected=False, expected_content_length=len(PIECE))))


async def received(line: socket.socket, length: int) -> int:
    count = 0
    while count < length:
        count += len(await asyncio.get_running_loop().sock_recv(line, length - count))
    return count


async def test_a_line_that_drops_in_a_piece_counts_what_left(lines: tuple[socket.socket, socket.socket]) -> None:
    ours, readers = lines
    reply = reply_on(ours)
    sending = asyncio.create_task(reply.send(iter([PIECE])))
    got = await asyncio.wait_for(received(readers, len(PIECE) // 2), 20)
    readers.close()
    with pytest.raises(OSError, match=r"Broken pipe|Connection reset"):
        await sending
    assert got <= await reply.close() < len(PIECE)


async def test_what_is_being_handed_over_as_the_request_ends_counts() -> None:
    began, go_on = threading.Event(), threading.Event()

    class SlowLine:
        def dup(self) -> SlowLine:
            return self

        def setblocking(self, _: bool) -> None: ...

        def close(self) -> None: ...

        def send(self, piece: memoryview) -> int:
            began.set()
            go_on.wait(20)
            return len(piece)

    reply = reply_on(SlowLine())
    sending = asyncio.create_task(reply.send(iter([PIECE])))
    await asyncio.to_thread(began.wait, 20)
    sending.cancel()
    closing = asyncio.create_task(reply.close())
    await asyncio.sleep(0)
    go_on.set()
    assert await closing == len(PIECE)
