"""``python3 dev.py bench``: speed as a ratio to bare aiohttp, measured side by side in one run.

Each job runs in rounds: a round of the bare handler, a round of the server, and again, so that a machine whose speed
drifts slows both. 64 keep-alive connections, one server process, everything on: authentication, validation, text rules,
sealing at rest, audit leaf, outbox, API log, and a commit on disk before each answer that promises something.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from bench.jobs import Job, Subject, prepare
from bench.load import Callers, Outcome

TICKS = os.sysconf("SC_CLK_TCK")
TURNS = 4


class Program:
    """A server process and its port."""

    def __init__(self, *words: str) -> None:
        self._process = Popen([sys.executable, *words], stdout=PIPE, stdin=PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def cpu(self) -> float:
        """Processor seconds used so far, all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def counters(self) -> dict[str, int]:
        """What the store counted so far."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counted: dict[str, int] = json.loads(self._process.stdout.readline())
        return counted

    def end(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()


@contextlib.asynccontextmanager
async def contenders(people: int, codes: int) -> AsyncIterator[tuple[Program, Program, Subject]]:
    """The bare handler and the server, each in a process of its own, and what to ask the server."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-", dir=".") as name:
        subject = await prepare(Path(name), people, codes)
        bare, server = Program("-m", "bench.bare"), Program("-m", "bench.server", name)
        try:
            yield bare, server, subject
        finally:
            bare.end()
            server.end()


async def measure(job: Job, bare: Program, server: Program, rounds: int, count: int) -> dict[str, Any]:
    """The median ratio over the rounds and what the server's rounds were like.

    The two take turns within a round, too, so that a moment in which the machine is slow meets both.
    """
    callers, bare_callers = await Callers.connect(server.port), await Callers.connect(bare.port)
    warm = job.requests(count // 4)
    await bare_callers.load(warm)
    await callers.load(warm, expected=job.expected, needle=job.needle)
    ratios, mine = [], Outcome()
    rates, before = [], server.counters()
    cpu, bare_cpu = server.cpu(), bare.cpu()
    for _ in range(rounds):
        requests = job.requests(count)
        outcome, measure_of_all = Outcome(), Outcome()
        for turn in range(TURNS):
            part = requests[turn * count // TURNS : (turn + 1) * count // TURNS]
            measure_of_all.add(await bare_callers.load(part))
            outcome.add(await callers.load(part, expected=job.expected, needle=job.needle))
        ratios.append(outcome.rps / measure_of_all.rps)
        rates.append(outcome.rps)
        mine.add(outcome)
    callers.close()
    bare_callers.close()
    after, spent, bare_spent = server.counters(), server.cpu() - cpu, bare.cpu() - bare_cpu
    if mine.unexpected:
        print(f"{job.name}: unexpected answer: {mine.unexpected[:400]!r}", file=sys.stderr)
    commits = after["commits"] - before["commits"]
    return {
        "job": job.name,
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "floor": job.floor,
        "rps": round(statistics.median(rates)),
        "p50_ms": round(mine.percentile_ms(50), 2),
        "p99_ms": round(mine.percentile_ms(99), 2),
        "plans_per_commit": round((after["plans"] - before["plans"]) / commits, 1) if commits else None,
        "cpu_us": round(spent / (rounds * count) * 1e6),
        "bare_cpu_us": round(bare_spent / (rounds * count) * 1e6),
        "errors": mine.errors(job.expected),
    }


async def main() -> int:
    """Measure what was asked for and report; 1 when a floor was missed or an answer was wrong."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results here")
    parser.add_argument("--only", metavar="JOB", action="append", help="this job only; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds a job (5)")
    parser.add_argument("--count", type=int, default=4000, help="requests a round (4000)")
    words = parser.parse_args()
    people = words.count * (words.rounds + 1) // 2 + 1000
    checked = not words.only or "code_check" in words.only
    codes = words.count * words.rounds + words.count // 4 if checked else 0
    print(f"making {people} people and {codes} codes …", file=sys.stderr, flush=True)
    results = []
    async with contenders(people, codes) as (bare, server, subject):
        await subject.ask_once(server.port)
        print(
            f"{'job':<18}{'ratio':>7}{'floor':>7}   {'spread':<16}{'req/s':>7}{'p50 ms':>8}{'p99 ms':>8}{'plans/commit':>14}{'CPU µs':>8}{'bare':>6}{'errors':>8}"
        )
        for job in subject.jobs():
            if words.only and job.name not in words.only:
                continue
            row = await measure(job, bare, server, words.rounds, words.count)
            results.append(row)
            spread = f"{row['spread'][0]:.2f}-{row['spread'][1]:.2f}"
            print(
                f"{row['job']:<18}{row['ratio']:>7.2f}{row['floor']:>7.2f}   {spread:<16}{row['rps']:>7}{row['p50_ms']:>8.1f}"
                f"{row['p99_ms']:>8.1f}{row['plans_per_commit'] or '-':>14}{row['cpu_us']:>8}{row['bare_cpu_us']:>6}{row['errors']:>8}",
                flush=True,
            )
    if words.json:
        words.json.write_text(json.dumps(results, indent=1) + "\n")
    return int(any(row["ratio"] < row["floor"] or row["errors"] for row in results))


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    sys.exit(asyncio.run(main()))
