"""How uvicorn is run, and the short way of upload bodies from the socket into the buffer that is sealed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, Final

import anyio
import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from zegelpost.services.sealing_stream import BodyCut

BODY_EXTENSION: Final = "zegelpost.body"
REPLY_EXTENSION: Final = "zegelpost.reply"
_HEADERS_LEFT_SECONDS: Final = 0.01  # hardly ever needed: the headers of an answer fit the kernel's buffer
_WORTH_IT_BYTES: Final = 256 * 1024  # below this the ordinary way is as fast
_SCRATCH_BYTES: Final = 256 * 1024
_TURN_BYTES: Final = 8 * 1024 * 1024  # then the thread is somebody else's: there are fewer than there may be clients
_NOTHING: Final = memoryview(b"")


def server_options() -> dict[str, Any]:
    """Options that the product depends on.

    No access log: the paths of links would be in it. No proxy headers: `web/network.py` reads them, and believes only our
    own proxies, where uvicorn believes every client on this machine.
    """
    return {
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "http": UploadProtocol,
        "ws": "none",
        "log_config": None,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 20,
    }


class UploadProtocol(HttpToolsProtocol):
    """uvicorn's protocol, except that a large PATCH body does not go through its parser.

    The parser hands out a body in pieces of what one `recv` brought, and each piece is copied four times before it is sealed.
    Here the kernel writes straight into the buffer that is sealed. Everything else, errors and keep-alive included, stays
    uvicorn's: when the last byte has come, the connection is its own again.
    """

    _direct: DirectBody | None = None

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        length = self._direct_length()
        if length is not None:
            self._direct = DirectBody(self, length)
            self.scope["extensions"] = {BODY_EXTENSION: {"body": self._direct}}
        elif self.scope.get("method") == "GET" and self.scheme == "http":
            self.scope["extensions"] = {REPLY_EXTENSION: {"reply": DirectReply(self.cycle)}}

    def on_body(self, body: bytes) -> None:
        if self._direct is not None:
            self._direct.left_bytes -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if (
            self._direct is not None
            and not self._direct.is_reading
            and self._direct.left_bytes
            and not self.transport.is_closing()
        ):
            self._direct.take_over()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._direct is not None:
            direct, self._direct = self._direct, None
            direct.drain()

    def _direct_length(self) -> int | None:
        """The body's length if it may go the short way: known, large, in the clear on this hop, and nothing queued before it."""
        if self.scope.get("method") != "PATCH" or self.scheme != "http" or self.pipeline:
            return None
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) < _WORTH_IT_BYTES:
            return None
        return int(length)


class DirectReply:
    """The body of one answer whose length was announced, handed to the kernel as it is.

    The transport copies what the kernel did not take at once into a buffer of its own, and again for each try. Here the thread
    that unseals a piece also gives it to the kernel, while it is still in that core's cache and without a hop for each piece.
    The kernel's buffer is the read-ahead.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._line: socket.socket | None = None
        self._turn: asyncio.Future[memoryview] | None = None
        self._is_over = False
        self._handed_bytes = 0

    async def send(self, pieces: Iterator[memoryview]) -> int:
        """Hand over the next pieces; returns how many bytes, 0 at their end. Raises `OSError` when the line drops.

        A piece may be overwritten once the next is asked for.
        """
        before = self._handed_bytes
        line = await self._open()
        self._turn = asyncio.ensure_future(asyncio.to_thread(self._send_now, line, pieces))
        rest = await asyncio.shield(self._turn)
        while rest:
            await anyio.wait_writable(line)
            rest = self._take(line, rest)
        count = self._handed_bytes - before
        self._cycle.expected_content_length -= count
        return count

    async def close(self) -> int:
        """Returns how many bytes were handed over in all, also where the line dropped in the middle of a piece.

        A running turn ends first: what it hands over counts, and once closed the number of the line may be another client's.
        """
        self._is_over = True
        if self._turn is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.gather(self._turn, return_exceptions=True)
        if self._line is not None:
            self._line.close()
        return self._handed_bytes

    async def _open(self) -> socket.socket:
        cycle = self._cycle
        if self._line is None:
            while cycle.transport.get_write_buffer_size() and not cycle.disconnected:  # noqa: ASYNC110 - the transport tells in no other way
                await asyncio.sleep(_HEADERS_LEFT_SECONDS)
            # A handle of our own: the event loop lets nobody else at the transport's.
            self._line = cycle.transport.get_extra_info("socket").dup()
            self._line.setblocking(False)
        if cycle.disconnected:
            raise BrokenPipeError
        return self._line

    def _send_now(self, line: socket.socket, pieces: Iterator[memoryview]) -> memoryview:
        """In a thread: as much as the kernel takes without waiting, a turn at most; returns the rest of the last piece."""
        left = _TURN_BYTES
        for piece in pieces:
            rest = piece
            while rest:
                if self._is_over:
                    return _NOTHING
                unsent = self._take(line, rest)
                if len(unsent) == len(rest):
                    return rest
                left -= len(rest) - len(unsent)
                rest = unsent
            if left <= 0:
                break
        return _NOTHING

    def _take(self, line: socket.socket, piece: memoryview) -> memoryview:
        """What the kernel takes of a piece without waiting is handed over; returns the rest."""
        try:
            count = line.send(piece)
        except BlockingIOError:
            return piece
        self._handed_bytes += count
        return piece[count:]


class DirectBody(asyncio.BufferedProtocol):
    """The body of one request, read by whoever seals it; the event loop's transport asks us where to put the bytes."""

    def __init__(self, http: UploadProtocol, length: int) -> None:
        self._http = http
        self._cycle = http.cycle
        self.length_bytes = self.left_bytes = length
        self.is_reading = False
        self._view: memoryview | None = None
        self._filled = 0
        self._is_lost = False
        self._is_draining = False
        self._ready = asyncio.Event()

    async def readinto(self, view: memoryview, *, silence_seconds: float) -> int:
        """Fill the buffer, or as much of it as is left; 0 at the end. Raises `BodyCut` when the line drops or says nothing."""
        if self._cycle.waiting_for_100_continue and not self._http.transport.is_closing():
            self._http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._cycle.waiting_for_100_continue = False
        early = self._cycle.body  # what came along with the headers went through the parser
        if early:
            count = min(len(early), len(view))
            view[:count] = early[:count]
            del early[:count]
            return count
        if not self.left_bytes:
            return 0
        if self._is_lost or self._cycle.disconnected:
            raise BodyCut
        self._view, self._filled = view, 0
        self._ready.clear()
        self._http.flow.resume_reading()
        await self._wait(silence_seconds)
        self._view = None
        if not self._filled:
            raise BodyCut
        return self._filled

    async def _wait(self, silence_seconds: float) -> None:
        """Until the buffer is full, the body at its end, the line lost, or nothing more came for so long."""
        while True:
            before = self._filled
            try:
                # Not `wait_for`, which makes a task: this happens for every buffer.
                async with asyncio.timeout(silence_seconds):
                    await self._ready.wait()
            except TimeoutError:
                if self._filled > before:
                    continue
                self._http.flow.pause_reading()
            return

    def take_over(self) -> None:
        """From now on the transport writes into our buffers; it waits until there is one."""
        self.is_reading = True
        self._http.flow.pause_reading()
        self._http.transport.set_protocol(self)

    def drain(self) -> None:
        """The answer is out: let pass what is still coming, so that the client gets to read it."""
        if self.is_reading and self.left_bytes and not self._is_lost:
            self._is_draining = True
            self._view, self._filled = memoryview(bytearray(_SCRATCH_BYTES)), 0
            self._http.flow.resume_reading()

    # What the transport calls

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the transport's signature
        # Reading is paused whenever there is no buffer. Never more than the body: what follows is the next request's.
        assert self._view is not None
        start = 0 if self._is_draining else self._filled
        return self._view[start : min(len(self._view), start + self.left_bytes)]

    def buffer_updated(self, nbytes: int) -> None:
        self.left_bytes -= nbytes
        self._filled += nbytes
        if not self.left_bytes:
            self._give_back()
        elif self._is_draining or (self._view is not None and self._filled < len(self._view)):
            return
        else:
            self._http.flow.pause_reading()
        self._ready.set()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._http.connection_lost(exc)
        self._ready.set()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def _give_back(self) -> None:
        """The body is whole: a fresh parser for whatever request comes next on this line."""
        self.is_reading = False
        self._http.parser = httptools.HttpRequestParser(self._http)
        self._http.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._http.transport.set_protocol(self._http)
        self._cycle.more_body = False
        self._cycle.message_event.set()
