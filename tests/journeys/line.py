"""The line between a browser and the server: as slow as a test wants, and cut when it says so.

The browser's own throttle lets go of everything it held back the moment it is told to be offline, and never cuts what is
under way. A line in between does what a real one does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

_PIECE_BYTES = 64 * 1024


@dataclass
class Line:
    """Carries connections on `port` to the server; `bytes_per_second` bounds what goes up, all connections together."""

    server_port: int
    bytes_per_second: int | None = None
    sent_bytes: int = 0  # that went up in all
    _is_cut: bool = False
    _sockets: set[socket.socket] = field(default_factory=set)
    _listener: socket.socket = field(default_factory=socket.socket)
    _pacing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        # Small, so that the browser's progress runs little ahead of what went over the line.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Every connection breaks off, and new ones are turned away."""
        self._is_cut = True
        for each in list(self._sockets):
            _break(each)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        _break(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            if self._is_cut:
                return
            far = socket.create_connection(("127.0.0.1", self.server_port))
        except ConnectionRefusedError:  # the server is down, and so is the line
            return
        else:
            self._sockets |= {near, far}
            down = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
            down.start()
            self._pass_on(near, far, is_up=True)
            down.join()
            self._sockets -= {near, far}
            _break(far)
        finally:
            _break(near)

    def _pass_on(self, source: socket.socket, target: socket.socket, *, is_up: bool = False) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                if is_up:
                    self._wait_for(len(piece))
                target.sendall(piece)
        _break(source)
        _break(target)

    def _wait_for(self, size: int) -> None:
        with self._pacing:
            self.sent_bytes += size
            if self.bytes_per_second:
                time.sleep(size / self.bytes_per_second)


def _break(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
