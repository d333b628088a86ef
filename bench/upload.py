"""What an upload of the largest file costs the server: memory beyond what it has at rest, and time."""

import http.client
import json
import os
import time
from statistics import median
from urllib.parse import urlsplit

from bench import machine
from bench.report import Aims, Section
from bench.server import Served
from bench.session import Session

MEGABYTE = 1_000_000
SIZE = 25 * MEGABYTE
PIECE = 65_536
ROUNDS = 5
AIM = 30.0
EDGE = "a-boundary"


def _sent(served: Served, key: str, size: int) -> str:
    """Uploads a file in pieces; its id."""
    place = urlsplit(served.url)
    line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=120)
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'.encode()
    tail = f"\r\n--{EDGE}--\r\n".encode()
    line.putrequest("POST", "/v1/attachments")
    line.putheader("Authorization", f"Bearer {key}")
    line.putheader("Content-Type", f"multipart/form-data; boundary={EDGE}")
    line.putheader("Content-Length", str(len(head) + size + len(tail)))
    line.endheaders(head)
    piece = os.urandom(PIECE)
    for start in range(0, size, PIECE):
        line.send(piece[: min(PIECE, size - start)])
    line.send(tail)
    answer = line.getresponse()
    told = answer.read()
    line.close()
    if answer.status != 201:
        raise SystemExit(f"the upload was answered {answer.status}: {told.decode()}")
    return str(json.loads(told)["data"]["id"])


def _kept(session: Session, served: Served, attachment_id: str) -> bool:
    return len(served.get(f"/v1/attachments/{attachment_id}", session.large.key)) == SIZE


def upload(session: Session) -> Section:
    """Uploads of 25 MB, one after the other: each holds a few pieces in memory, whatever its size."""
    aims, taken = Aims(), []
    with session.large.serve() as served:
        before = machine.peak_megabytes(served.process.pid, anew=True)
        for _ in session.progress.track(range(ROUNDS), description="uploads of 25 MB"):
            begun = time.perf_counter()
            made = _sent(served, session.large.key, SIZE)
            taken.append(time.perf_counter() - begun)
        extra = machine.peak_megabytes(served.process.pid) - before
        if not _kept(session, served, made):
            raise SystemExit("the file did not come back")
        download = machine.peak_megabytes(served.process.pid) - before
    aims.below(f"most memory beyond that at rest ({before:.0f} MB) while {ROUNDS} files of 25 MB come, MB", extra, AIM)
    aims.below("the same, a download of 25 MB included, MB", download, AIM)
    aims.rows.append(("MB a second (median)", f"{SIZE / MEGABYTE / median(taken):.0f}", "", ""))
    return Section("upload", "Upload", [aims])
