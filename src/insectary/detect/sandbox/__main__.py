"""``python -m insectary.detect.sandbox``: wait for a socket, fork a sandbox, wait for its end."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from insectary.core.access import Access
from insectary.detect.sandbox.enclosure import enclose
from insectary.detect.sandbox.handover import unpacked
from insectary.detect.sandbox.subject import RemoteSubject
from insectary.detect.sandbox.wire import Channel, Frame
from insectary.detect.sandbox.work import WORK
from insectary.walls.tethered import end_with_parent

_SHARED = "sklearn.covariance"
"""Takes a second to import, and sandboxes that are forked have it at once."""


def main() -> None:
    """Fork a sandbox for each socket that the harness sends, until it hangs up."""
    end_with_parent()
    link = socket.socket(fileno=os.dup(0))
    # What is printed in a sandbox must not come between the frames.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    importlib.import_module(_SHARED)
    harness = Channel(link)
    while True:
        _, received, _, _ = socket.recv_fds(link, 1, 1)
        if not received:
            return
        sandbox = os.fork()
        if sandbox == 0:
            harness.close()
            _sandbox(Channel(socket.socket(fileno=received[0])))
        os.close(received[0])
        os.setpgid(sandbox, sandbox)
        harness.send({"sandbox": sandbox})
        _, status = os.waitpid(sandbox, 0)
        with suppress(ProcessLookupError):
            os.killpg(sandbox, signal.SIGKILL)  # what it has started and left behind
        harness.send({"ended": os.waitstatus_to_exitcode(status)})


def _sandbox(channel: Channel) -> None:
    """Do one job and end; the code is 0 once the result has been sent."""
    code = 1
    try:
        end_with_parent()
        channel.send(*_result(channel, channel.receive()))
        code = 0
    except BaseException:  # whatever it was, no sandbox may go on as the host does
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _result(channel: Channel, frame: Frame) -> Frame:
    job, (order,) = frame
    enclose(Path(job["folder"]), job["memory"])
    subject = RemoteSubject(channel, Access(job["access"]))
    try:
        return WORK[job["work"]](unpacked(order), subject, job)
    except Exception as error:  # foreign code may raise anything; it becomes the reason
        return {"failed": f"{type(error).__name__}: {error}"}, []


if __name__ == "__main__":
    main()
