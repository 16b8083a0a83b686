"""Two web processes and two workers behind nginx, set up as `backend/deploy` says, are one installation."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import random
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from functools import partial

import httpx2
import psycopg
import pytest
from tests.journeys.installation import Installation, Program, installation

ROSA = {"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "06-12345678"}
TUS = {"Tus-Resumable": "1.0.0"}
CANARY = "kanarie" * 4
KILLS = 6


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("installation")) as made:
        yield made


@pytest.fixture(scope="module")
def anna(running: Installation) -> Iterator[httpx2.Client]:
    with closing(running.anna()) as program:
        yield program


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def draft(program: httpx2.Client, *recipients: dict[str, str]) -> str:
    answer = program.post("/api/v1/transfers", json={"subject": "Dossier", "recipients": recipients or [ROSA]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def announce(program: httpx2.Client, transfer_id: str, name: str, length: int) -> httpx2.Response:
    metadata = f"transfer_id {encoded(transfer_id)},filename {encoded(name)}"
    return program.post("/api/v1/uploads", headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata})


def patch(program: httpx2.Client, upload: str, offset: int, piece: bytes) -> httpx2.Response:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return program.patch(upload, headers=headers, content=piece)


def upload(program: httpx2.Client, transfer_id: str, content: bytes, name: str = "beeld.dcm", pieces: int = 1) -> None:
    made = announce(program, transfer_id, name, len(content))
    assert made.status_code == 201, made.text
    size = -(-len(content) // pieces)
    for offset in range(0, len(content), size):
        answer = patch(program, made.headers["location"], offset, content[offset : offset + size])
        assert answer.status_code == 204, answer.text
    assert answer.headers["upload-sha256"] == hashlib.sha256(content).hexdigest()


def send(program: httpx2.Client, transfer_id: str) -> None:
    answer = program.post(f"/api/v1/transfers/{transfer_id}/send")
    assert answer.status_code == 200, answer.text


def eventually(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def link_to(running: Installation, address: str) -> tuple[str, str]:
    """Path and secret of the link that was mailed last."""
    eventually(lambda: running.mails_to(address))
    body = message_from_bytes(running.mails_to(address)[-1], policy=default).get_body(("plain",))
    assert body is not None
    found = re.search(rf"^{running.base_url}(/o/[a-z2-7]{{26}})#([a-z2-7]{{32}})\s*$", body.get_content(), re.MULTILINE)
    assert found, body.get_content()
    return found.group(1), found.group(2)


def asked_code(running: Installation, someone: httpx2.Client, path: str) -> str:
    """Press *send me the code*, and read it from the telephone."""
    before = len(running.sms.messages)
    assert someone.post(f"{path}/code").status_code == 200
    eventually(lambda: len(running.sms.messages) > before)
    found = re.search(r"#(\d{6})$", running.sms.messages[-1].body)
    assert found
    return found.group(1)


def recognised(running: Installation, address: str) -> tuple[httpx2.Client, str]:
    """Somebody who has pressed the button behind the link in their mail."""
    path, secret = link_to(running, address)
    someone = running.browser("127.0.0.3")
    assert someone.post(path, data={"link_secret": secret}).status_code == 200
    return someone, path


def test_an_upload_goes_on_at_the_other_process_and_nothing_of_it_lies_in_nginx(
    running: Installation, anna: httpx2.Client
) -> None:
    content = random.Random(1).randbytes(4_000_000)
    transfer_id = draft(anna, ROSA | {"email": "hop@zorg.example"})
    since = len(running.nginx.lines())

    upload(anna, transfer_id, content, pieces=4)

    assert len(running.nginx.processes_that_took("PATCH", since=since, count=4)) == 2
    send(anna, transfer_id)
    rosa, path = recognised(running, "hop@zorg.example")
    with closing(rosa):
        opened = rosa.post(f"{path}/verify", data={"code": asked_code(running, rosa, path)})
        assert opened.url.path == f"{path}/transfer"
        found = re.search(rf'href="({path}/documents/[a-z2-7]+)"', opened.text)
        assert found, opened.text
        assert rosa.get(found.group(1)).content == content
    # nginx had no folder to put anything into (see `Nginx.start`), and made none.
    assert not [name for name in ("body", "proxy") if (running.nginx.folder / name).exists()]


def test_five_tries_are_five_tries_at_both_processes_together(running: Installation, anna: httpx2.Client) -> None:
    transfer_id = draft(anna, ROSA | {"email": "tries@zorg.example"})
    upload(anna, transfer_id, b"DICM")
    send(anna, transfer_id)
    rosa, path = recognised(running, "tries@zorg.example")
    code = asked_code(running, rosa, path)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    since = len(running.nginx.lines())

    def guess(_: int) -> int:
        with running.browser("127.0.0.3") as same:
            same.cookies = rosa.cookies
            return same.post(f"{path}/verify", data={"code": wrong}).status_code

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = Counter(pool.map(guess, range(12)))

    assert statuses == {422: 4, 429: 8}  # the fifth uses up the last
    assert len(running.nginx.processes_that_took("POST", since=since, count=12)) == 2
    with closing(rosa):
        assert rosa.post(f"{path}/verify", data={"code": code}).status_code == 429


def test_a_limit_by_network_holds_at_both_processes_and_whatever_address_is_claimed(running: Installation) -> None:
    def begin(number: int, address: str) -> int:
        typed = {
            "to": "",
            "colleague": "anna@zegelpost.example",
            "name": "Guus Gast",
            "email": f"guus-{address[-1]}{number}@praktijk.example",
            "mobile": "06 12 34 56 99",
            "subject": "Melding",
            "reference": "",
        }
        with running.browser(address, **{"X-Forwarded-For": f"198.51.100.{number}"}) as guest:
            return guest.post("/i/new", data=typed).status_code

    assert [begin(number, "127.0.0.66") for number in range(7)] == [200] * 5 + [429] * 2
    assert begin(7, "127.0.0.67") == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "//metrics", "/%6detrics", "/./metrics", "/x/../healthz", "/metrics?x"])
def test_what_is_for_the_operator_is_not_let_through(running: Installation, path: str) -> None:
    assert "zegelpost_info" in httpx2.get(f"http://127.0.0.1:{running.web[0].port}/metrics").text
    # Not by a library, which would tidy the path up.
    with running.trust.wrap_socket(
        socket.create_connection(("127.0.0.1", running.nginx.port)), server_hostname="localhost"
    ) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{running.nginx.port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"zegelpost_" not in answer


def test_tls_is_what_the_guidelines_ask_for_and_only_for_our_name(running: Installation) -> None:
    def spoken(name: str, suites: str | None = None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = newest
        if suites:
            context.set_ciphers(suites)
        with (
            socket.create_connection(("127.0.0.1", running.nginx.port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as line,
        ):
            return line.version()

    assert spoken("localhost") == "TLSv1.3"
    assert spoken("localhost", newest=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        spoken("localhost", "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA", ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        spoken("elsewhere.example")
    with running.browser() as someone:
        page = someone.get("/sign-in")
        assert page.headers["strict-transport-security"].startswith("max-age=63072000")
        assert "content-encoding" not in page.headers
    moved = httpx2.get(f"http://127.0.0.1:{running.nginx.plain_port}/o/x", headers={"Host": "localhost"})
    assert (moved.status_code, moved.headers["location"]) == (301, "https://localhost/o/x")


@dataclass
class Sent:
    to: list[str]
    documents: list[bytes] = field(default_factory=list)


class Sender:
    """Uploads and sends without a pause, and remembers only what it was told."""

    def __init__(self, program: httpx2.Client, seed: int) -> None:
        self.program = program
        self.random = random.Random(seed)
        self.seed = seed
        self.sent: dict[str, Sent] = {}
        self.trouble_count = 0
        self.number = 0

    def work(self, over: threading.Event) -> None:
        while not over.is_set():
            self._one_transfer()

    def _ask(self, ask: Callable[[], httpx2.Response]) -> httpx2.Response | None:
        """Nothing when nobody answered: killed on the way, and not to be asked again unseen."""
        try:
            answer = ask()
        except httpx2.HTTPError:
            answer = None
        if answer is None or answer.status_code == 503:
            self.trouble_count += 1
            return None
        return answer

    def _one_transfer(self) -> None:
        self.number += 1
        to = [f"r{self.seed}-{self.number}-{each}@zorg.example" for each in range(2)]
        body = {"subject": "Dossier", "recipients": [ROSA | {"email": email} for email in to]}
        made = self._ask(lambda: self.program.post("/api/v1/transfers", json=body))
        if made is None:
            return  # perhaps a draft that nobody knows of; whoever typed it starts again
        transfer_id, transfer = str(made.json()["id"]), Sent(to)
        for number in range(2):
            content = b"\x89DCM" + self.random.randbytes(self.random.choice([1, 70_000, 1_048_520, 2_500_000]))
            name, length = f"{number}.dcm", len(content)
            made = self._ask(partial(announce, self.program, transfer_id, name, length))
            if made is None:
                return  # perhaps announced, and in the way of sending until it is removed by hand
            assert made.status_code == 201, made.text
            self._upload(str(made.headers["location"]), content)
            transfer.documents.append(content)
        while True:
            answer = self._ask(lambda: self.program.post(f"/api/v1/transfers/{transfer_id}/send"))
            if answer is not None and answer.status_code == 200:
                break
            # Killed after the commit and before the answer, it was sent all the same.
            state = self._ask(lambda: self.program.get(f"/api/v1/transfers/{transfer_id}"))
            if state is not None and state.json()["state"] == "sent":
                break
        self.sent[transfer_id] = transfer

    def _upload(self, where: str, content: bytes) -> None:
        acknowledged = 0
        while True:
            found = self._ask(lambda: self.program.head(where, headers=TUS))
            if found is None:
                continue
            assert found.status_code == 200, found.status_code
            offset = int(found.headers["upload-offset"])
            assert offset >= acknowledged, "acknowledged bytes are gone"
            if "upload-sha256" not in found.headers:
                piece = content[offset : offset + self.random.choice([100_000, 1_000_000])]
                found = self._ask(partial(patch, self.program, where, offset, piece))
                if found is None or found.status_code in {409, 423}:
                    time.sleep(0.05)  # what the killed one had taken in is just being kept
                    continue
                assert found.status_code == 204, found.text
                acknowledged = int(found.headers["upload-offset"])
            if "upload-sha256" in found.headers:
                assert found.headers["upload-sha256"] == hashlib.sha256(content).hexdigest()
                return


def look_around(running: Installation, over: threading.Event) -> tuple[Counter[int], int]:
    """Somebody reads pages and opens links, mangled ones too; returns how they were answered and how many broke off."""
    statuses: Counter[int] = Counter()
    broken = 0
    with running.browser("127.0.0.4", Referer=f"{running.base_url}/{CANARY}", **{"User-Agent": CANARY}) as someone:
        while not over.is_set():
            for path in ("/sign-in", f"/o/{CANARY}", f"/o/{CANARY}%23{CANARY}", f"/account/reset/{CANARY}", f"/i?q={CANARY}"):
                try:
                    statuses[someone.get(path).status_code] += 1
                except httpx2.HTTPError:
                    broken += 1
    return statuses, broken


def test_processes_killed_under_load_lose_nothing_and_nobody_notices(running: Installation, anna: httpx2.Client) -> None:
    over = threading.Event()
    moments = random.Random(20261126)
    victims: list[Program] = [running.web[0], running.workers[0], running.web[1], running.workers[1]]
    with closing(running.anna()) as second, concurrent.futures.ThreadPoolExecutor(3) as pool:
        senders = [Sender(anna, 1), Sender(second, 2)]
        looking = pool.submit(look_around, running, over)
        working = [pool.submit(sender.work, over) for sender in senders]
        try:
            for number in range(KILLS):
                time.sleep(moments.uniform(0.3, 0.9))
                victim = victims[number % len(victims)]
                victim.kill()
                time.sleep(moments.uniform(0.2, 0.6))
                victim.start()
                if victim in running.web:
                    victim.wait_until_it_answers()
        finally:
            over.set()
        for each in working:
            each.result(60)
        statuses, broken = looking.result(60)
    sent = {transfer_id: each for sender in senders for transfer_id, each in sender.sent.items()}
    assert len(sent) > KILLS

    # Whoever only reads was always answered, by the other one; at most a page broke off that was just being sent.
    assert set(statuses) <= {200, 404, 410}, statuses
    assert broken <= KILLS
    # Every document comes back, from whichever process, byte for byte.
    for transfer_id, transfer in sent.items():
        listed = anna.get(f"/api/v1/transfers/{transfer_id}").json()["documents"]
        fetched = [anna.get(f"/api/v1/transfers/{transfer_id}/documents/{each['id']}").content for each in listed]
        assert sorted(fetched) == sorted(transfer.documents)
    # Every notice left; one that was in hand when its worker died perhaps twice, and then it is the same.
    with psycopg.connect(running.database_url, autocommit=True) as database:
        # As if the lease of the killed ones had run out, so that the test need not wait for it.
        database.execute("UPDATE outgoing SET leased_until = '2000-01-01' WHERE state = 'sending'")
    for address in (address for transfer in sent.values() for address in transfer.to):
        eventually(partial(running.mails_to, address))
        assert len(set(running.mails_to(address))) == 1
    with psycopg.connect(running.database_url) as database:
        headers = [row[0] for row in database.execute("SELECT header FROM part")]
    assert len(headers) == len(set(headers)), "a key and nonce came back"


def test_no_link_is_in_a_log_while_all_goes_well_and_while_nothing_does(running: Installation, anna: httpx2.Client) -> None:
    transfer_id = draft(anna, ROSA | {"email": "log@zorg.example"})
    upload(anna, transfer_id, b"DICM")
    send(anna, transfer_id)
    path, secret = link_to(running, "log@zorg.example")
    wanted = [path, f"{path}%23{secret}", f"{path}%2523{secret}", f"/account/reset/{secret}", f"/{secret}", f"/i?x={secret}"]
    with running.browser() as someone:
        for each in wanted:
            assert someone.get(each).status_code < 500
        for program in running.web:
            program.kill()
        try:
            for each in wanted:
                away = someone.get(each)
                assert (away.status_code, away.headers["retry-after"]) == (503, "10")
                assert "Probeert u het over een minuut opnieuw" in away.text
                assert "Please try again in a minute" in away.text
        finally:
            for program in running.web:
                program.start()
            for program in running.web:
                program.wait_until_it_answers()
        # Back, they are asked again at once.
        assert someone.get("/sign-in").status_code == 200

    eventually(lambda: [line["status"] for line in running.nginx.lines()].count("503") >= len(wanted))
    places = {"-", "/", "/o", "/account", "/i", "/api", "/sign-in", "/metrics", "/healthz"}
    assert {line["place"] for line in running.nginx.lines()} <= places
    written = running.everything_written()
    # Not `each not in written`: pytest would compare megabytes letter by letter to show where.
    told = [each for each in (secret, path.removeprefix("/o/"), CANARY, "zorg.example", "127.0.0.3") if each in written]
    assert told == []
