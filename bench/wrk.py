"""wrk, the load generator: its scripts, its runs, what it tells."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.server import Served

MISSING = "wrk is missing, which makes the load. Debian and Ubuntu: sudo apt-get install wrk. macOS: brew install wrk"
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"socket":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run found: requests a second, milliseconds, CPU microseconds a request of API and database."""

    requests: int
    rate: float
    p50: float
    p99: float
    api_cpu: float
    database_cpu: float


def middle(runs: Sequence[Load]) -> Load:
    """Each figure's median over some runs; requests are added up."""
    names = ("rate", "p50", "p99", "api_cpu", "database_cpu")
    return Load(sum(run.requests for run in runs), **{n: median(getattr(run, n) for run in runs) for n in names})


def found() -> str:
    """The path of wrk; installed by apt-get if we may. SystemExit tells how to install it."""
    if not shutil.which("wrk") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], stdout=subprocess.DEVNULL, check=False)
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit(MISSING)
    return path


def version() -> str:
    """Its version."""
    told = subprocess.run([found(), "-v"], capture_output=True, text=True, check=False)
    match = re.search(r"wrk \S*?(\d+\.\d+\.\d+)", told.stdout + told.stderr)
    return match[1] if match else "unknown"


def lua(text: str) -> str:
    """`text` as a Lua string: JSON's quoting serves, as long as it is ASCII without \\u."""
    quoted = json.dumps(text)
    assert "\\u" not in quoted
    return quoted


def head(method: str, key: str) -> str:
    """How every script begins."""
    return (
        f"wrk.method = {lua(method)}\nwrk.headers['Authorization'] = {lua('Bearer ' + key)}\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )


def rotating(name: str, values: Sequence[str]) -> str:
    """A Lua function `name` that gives these texts in turn."""
    table = ", ".join(lua(value) for value in values)
    return (
        f"local {name}_all, {name}_at = {{{table}}}, 0\n"
        f"local function {name}()\n  {name}_at = {name}_at % #{name}_all + 1\n  return {name}_all[{name}_at]\nend\n"
    )


def gets(key: str, paths: Sequence[str]) -> str:
    """A script that asks for these paths in turn."""
    return head("GET", key) + rotating("path", paths) + "request = function() return wrk.format(nil, path()) end\n"


def run(served: Served, script: str, connections: int, seconds: float) -> Load:
    """One run. SystemExit unless every single request was answered by 2xx."""
    api, database = served.cpu(), served.database_cpu()
    told = _told(served, script, connections, max(1, round(seconds)))
    if told["refused"] or told["socket"] or not told["requests"]:
        raise SystemExit(f"{told['refused']} answers were refusals, {told['socket']} connections failed: {told}")
    requests = told["requests"]
    return Load(
        requests,
        rate=requests / told["micros"] * 1e6,
        p50=told["p50"] / 1000,
        p99=told["p99"] / 1000,
        api_cpu=(served.cpu() - api) / requests * 1e6,
        database_cpu=(served.database_cpu() - database) / requests * 1e6,
    )


def _told(served: Served, script: str, connections: int, seconds: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory(prefix="ticketry-bench-") as folder:
        file = Path(folder, "load.lua")
        file.write_text(script + DONE)
        words = [found(), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s"]
        words += ["-s", str(file), f"http://{urlsplit(served.url).netloc}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=False)
    match = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or match is None:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    told: dict[str, int] = json.loads(match[1])
    return told
