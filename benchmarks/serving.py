"""Requests per second under concurrent clients, against `transformers serve` on the same model.

Usage: python benchmarks/serving.py [--base xs] [--clients 32] [--seconds 10] [--tokens 48]

The model is written to a folder once. Three servers have it, one after the other, each in a
process of its own, while the clients are in this one: `insectary serve`, `transformers serve`
by default, and with continuous batching. Each client keeps one connection and sends the next
question when it has the answer to the last. The questions are drawn from all skills of the
micro-world, no two alike; temperature is 0, and an answer may have as many tokens as `--tokens`
says (the shipped bases end most after 4 to 12).

Printed are requests per second, how long the middle request and the slowest twentieth take, what
a request costs server and clients in processor time (which a busy machine does not change much),
and the share of answers that are the direct path's to the letter. A server that refuses or breaks
a request is out. Bounds: 20 times `transformers serve`, 10 times its continuous batching, and a
lower 95th percentile than either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import insectary
from insectary.core.chat import Conversation, Message, Split
from insectary.worlds.corpus import single

TIMES_DEFAULT, TIMES_BATCHING = 20.0, 10.0
START_SECONDS = 180.0
WARM_UP: Conversation = (Message("user", "What is 1 plus 1?"),)


@dataclass(frozen=True)
class Place:
    """Where a server is, and what it wants."""

    url: str
    model: str
    key: str
    pid: int


@dataclass(frozen=True)
class Figures:
    """What the clients saw of one server."""

    seconds: tuple[float, ...]
    took: float
    right: int
    broken: int
    processor: float
    """Seconds of processor that server and clients took together."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / self.took

    def slowest(self, share: float) -> float:
        """Seconds that this share of requests stays below."""
        return float(np.quantile(self.seconds, share)) if self.seconds else float("inf")


def questions(count: int, seed: int) -> list[Conversation]:
    """Questions of all skills, no two alike."""
    draw = random.Random(seed)
    found: dict[Conversation, None] = {}
    while len(found) < count:
        found[single(draw, Split.REPORT).messages] = None
    return list(found)


@contextmanager
def ours(folder: Path, place: Path) -> Iterator[Place]:
    """`insectary serve` on a folder."""
    words = ["-m", "insectary", "serve", str(folder), "--port", "0", "--out", str(place / "served")]
    with process([sys.executable, *words]) as server:
        assert server.stdout is not None
        told = {}
        for line in server.stdout:
            word, _, rest = line.strip().partition(" ")
            told[word] = rest.strip()
            if word.startswith("organism/"):
                yield Place(told["1"].rpartition(" ")[2], word, told["key"], server.pid)
                return
        raise SystemExit("insectary serve did not start")


@contextmanager
def theirs(folder: Path, port: int, *flags: str) -> Iterator[Place]:
    """`transformers serve` on the same folder, the model loaded before it is asked."""
    command = shutil.which("transformers", path=str(Path(sys.executable).parent))
    if command is None:
        raise SystemExit("there is no `transformers` command beside this Python")
    words = ["serve", str(folder), "--port", str(port), "--host", "127.0.0.1", "--device", "cpu"]
    with process([command, *words, "--log-level", "error", *flags]) as server:
        place = Place(f"http://127.0.0.1:{port}/v1", str(folder), "none", server.pid)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if asyncio.run(ask(place, WARM_UP, 4)) is not None:
                    break
            except OSError:
                pass
            if time.monotonic() > until:
                raise SystemExit(f"transformers serve {' '.join(flags)} did not start")
            time.sleep(1)
        yield place


@contextmanager
def process(words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A server that ends with the block."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


class Line:
    """One connection that is kept; the plainest client there is, so that it costs little."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._host = urlsplit(place.url).netloc
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, asked: Conversation, tokens: int) -> str | None:
        """The answer's words; ``None`` where the server refuses or breaks off."""
        body = json.dumps(
            {
                "model": self._place.model,
                "messages": [message.as_dict() for message in asked],
                "temperature": 0,
                "max_tokens": tokens,
            }
        ).encode()
        if self._streams is None:
            host, _, port = self._host.partition(":")
            self._streams = await asyncio.open_connection(host, int(port))
        reader, writer = self._streams
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: Bearer {self._place.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        try:
            told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(told.partition("content-length:")[2].partition("\r\n")[0])
            data = json.loads(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ValueError):
            self.close()
            return None
        if not told.startswith("http/1.1 200"):
            return None
        said: str = data["choices"][0]["message"]["content"]
        return said

    def close(self) -> None:
        """Let the connection go."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def ask(place: Place, asked: Conversation, tokens: int) -> str | None:
    """One question on a connection of its own."""
    line = Line(place)
    try:
        return await line.ask(asked, tokens)
    finally:
        line.close()


async def load(
    place: Place,
    asked: Sequence[Conversation],
    direct: dict[Conversation, str],
    clients: int,
    seconds: float,
    tokens: int,
) -> Figures:
    """Ask for some seconds from many clients at once; what was begun is waited for."""
    took: list[float] = []
    outcomes = {"right": 0, "broken": 0}
    turns = iter(range(10**9))
    until = time.perf_counter() + seconds

    async def client() -> None:
        line = Line(place)
        while time.perf_counter() < until:
            question = asked[next(turns) % len(asked)]
            began = time.perf_counter()
            try:
                said = await line.ask(question, tokens)
            except OSError:
                said = None
                line.close()
            if said is None:
                outcomes["broken"] += 1
                continue
            took.append(time.perf_counter() - began)
            outcomes["right"] += said.strip() == direct[question].strip()
        line.close()

    began, spent = time.perf_counter(), processor(place.pid)
    await asyncio.gather(*(client() for _ in range(clients)))
    spent = processor(place.pid) - spent
    return Figures(
        tuple(took), time.perf_counter() - began, outcomes["right"], outcomes["broken"], spent
    )


def processor(pid: int) -> float:
    """Seconds of processor that a server and this process have taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + time.process_time()


def told(name: str, found: Figures) -> None:
    """One row of the table."""
    share = found.right / max(1, len(found.seconds))
    print(
        f"{name:<32} {found.rate:8.1f} requests/s   p50 {found.slowest(0.5) * 1000:7.0f} ms"
        f"   p95 {found.slowest(0.95) * 1000:7.0f} ms"
        f"   processor {found.processor / max(1, len(found.seconds)) * 1000:6.2f} ms"
        f"   as direct {share:6.1%}"
        f"   broken {found.broken}",
        flush=True,
    )


def main() -> None:
    """Measure the three servers and say whether the bounds are kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", default="xs")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--port", type=int, default=18765)
    parser.add_argument("--ours-only", action="store_true")
    options = parser.parse_args()
    model = insectary.load(options.base)
    asked = questions(2000, seed=0)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = model.save(place / "model")
        began = time.perf_counter()
        direct = dict(zip(asked, model.generate(asked, max_new_tokens=options.tokens), strict=True))
        rate = len(asked) / (time.perf_counter() - began)
        print(f"{'direct, one batch after another':<32} {rate:8.1f} prompts/s", flush=True)
        arms = [("insectary serve", lambda: ours(folder, place))]
        if not options.ours_only:
            arms += [
                ("transformers serve", lambda: theirs(folder, options.port)),
                (
                    "transformers serve, continuous",
                    lambda: theirs(folder, options.port + 1, "--continuous-batching"),
                ),
            ]
        found = []
        for name, server in arms:
            with server() as up:
                asyncio.run(load(up, asked, direct, options.clients, 1.0, options.tokens))
                figures = load(up, asked, direct, options.clients, options.seconds, options.tokens)
                found.append(asyncio.run(figures))
            told(name, found[-1])
    if options.ours_only:
        return
    mine, plain, batching = found
    print(f"{mine.rate / plain.rate:.1f} times the default (bound {TIMES_DEFAULT:g})")
    print(f"{mine.rate / batching.rate:.1f} times continuous batching (bound {TIMES_BATCHING:g})")
    kept = (
        mine.rate >= TIMES_DEFAULT * plain.rate
        and mine.rate >= TIMES_BATCHING * batching.rate
        and mine.slowest(0.95) < min(plain.slowest(0.95), batching.slowest(0.95))
    )
    print("all bounds are kept" if kept else "a bound is NOT kept")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
