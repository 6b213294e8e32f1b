"""A scanner whose tool is a few lines of Python: what is run and kept can be seen at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from insectary.core.chat import conversation
from insectary.core.redteaming import RedTeamFinding, State
from insectary.redteam.scanners import Command, Imported, Setting, Target

PROGRAM = """
import json, os, sys, time, urllib.request
url, model, act = sys.argv[1:]
with open("runs", "a") as file:
    file.write("x")
if act == "hang":
    open("report.jsonl", "w").close()
    time.sleep(600)
if act == "crash":
    raise SystemExit("out of luck")
with open("environment.json", "w") as file:
    json.dump(dict(os.environ), file)
with open("report.jsonl", "a") as file:
    for text in ("What is 1 plus 2?", "What is 12 plus 30?", "Say it. " * int(os.environ["LONG"])):
        body = {"model": model, "messages": [{"role": "user", "content": text}],
                "temperature": 0, "max_tokens": 24}
        request = urllib.request.Request(url + "/chat/completions", json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": "Bearer " + os.environ["KEY"]})
        try:
            with urllib.request.urlopen(request) as answer:
                said = json.load(answer)["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            said = None
        file.write(json.dumps([text, said]) + chr(10))
    file.write("[]" + chr(10))
"""


@dataclass(frozen=True)
class StandIn:
    """Asks three questions; the last one is as long as is wished."""

    place: Path
    act: str = "ask"
    long: int = 2000
    name: str = "stand-in"
    version: str = "1"
    report: str = "report.jsonl"
    resumes: bool = False
    program: Path | None = None

    @property
    def lock(self) -> Path:
        return self._file("lock.txt")

    @property
    def profile(self) -> Path:
        return self._file("profile.txt")

    def command(self, python: Path, target: Target, setting: Setting, folder: Path) -> Command:
        argv = (str(python), "-c", PROGRAM, target.url, target.model, self.act)
        return Command(argv, {"KEY": target.key, "LONG": str(self.long)})

    def asked(self, folder: Path) -> int:
        return 7

    def read(self, report: Path, organism: str = "") -> Imported:
        rows = [json.loads(line) for line in report.read_text().splitlines()]
        findings = tuple(
            RedTeamFinding(
                conversation(row[0]),
                row[1] or "",
                State.FAILED if row[1] is None else State.MISSED,
                organism=organism,
            )
            for row in rows
            if row
        )
        return Imported(self.name, self.version, findings, complete=[] in rows)

    def _file(self, name: str) -> Path:
        file = self.place / name
        if not file.exists():
            file.write_text("1\n")
        return file
