#!/usr/bin/env python3
"""One command for everything: sets up ``.venv`` on a machine with just python3, then runs the job.

python3 dev.py demo        the main job, end to end, on your own machine
python3 dev.py test        checks, then all tests (further words go to pytest: a path, -k name)
python3 dev.py faults      the tests that repeat or break things, with every repetition (ten minutes; takes words too)
python3 dev.py check       format, lint, types, import contracts, file sizes
python3 dev.py bench       speed, as ratios to bare aiohttp in the same run (--json FILE, --only JOB), and of the app (bench screens)
python3 dev.py screenshots pictures of every screen for the documents (--png DIR, --size, --theme; names of some)
python3 dev.py system      Debian programs that deeper tests drive (needs root)
python3 dev.py shell       a shell with the environment on its PATH
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMP = VENV / "placet-setup"
SYSTEM = {
    "strace": "strace",
    "curl": "curl",
    "jq": "jq",
    "zbarimg": "zbar-tools",
    "oathtool": "oathtool",
    "tmux": "tmux",
    "rsvg-convert": "librsvg2-bin",
    "bearerbox": "kannel",
    "/usr/lib/kannel/test/fakesmsc": "kannel-extras",
    "node": "nodejs",
    "npm": "npm",
}
SOURCES = ("server", "authenticator", "shared", "demo", "tests", "dev.py")
LINES_MAX = 400


def run(*command: str | Path) -> None:
    """Run a program in the project's folder; leave with its exit status when it fails."""
    env = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(VENV),
        "PYTHONPATH": "tests",
    }
    status = subprocess.run([str(word) for word in command], cwd=ROOT, env=env, check=False).returncode
    if status:
        sys.exit(status)


def setup() -> None:
    """Make ``.venv`` with the pinned versions, unless it holds them already."""
    wanted = hashlib.sha256(
        b"\0".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
        + f"{sys.version_info[:3]} {ROOT}".encode()
    ).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Setting up .venv (once; later runs start at once) …", file=sys.stderr, flush=True)
    uv = shutil.which("uv")
    if uv:
        run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
        run(
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            BIN / "python",
            "-c",
            "constraints.txt",
            "-e",
            ".[dev]",
        )
    else:
        run(sys.executable, "-m", "venv", VENV)
        pip = (BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "-c", "constraints.txt", "-e", ".[dev]")
    STAMP.write_text(wanted)


def check() -> None:
    """Format, lint, types, import contracts, file sizes."""
    run("ruff", "format", "--check", "--quiet", *SOURCES)
    run("ruff", "check", "--quiet", *SOURCES)
    run("mypy")
    run("lint-imports", "--no-cache")
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines, {LINES_MAX} at most: which second job does it do?"
        for folder in SOURCES[:-1]
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    ]
    if long:
        sys.exit("\n".join(long))


def test(words: list[str]) -> None:
    """All checks and tests; with words, only the tests that they name."""
    if not words:
        check()
    run("pytest", "-q", *(words or ["-n", "2", "--dist", "worksteal"]))


def faults(words: list[str]) -> None:
    """The tests that look for what only chance, a race or a fault shows, with all repetitions instead of a twentieth."""
    os.environ["PLACET_TEST_FULL"] = "1"
    repeating = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "support.scale" in path.read_text() and "faults" not in path.parts
    ]
    run("pytest", "-q", "-n", "2", "--dist", "worksteal", *(words or ["tests/faults", *repeating]))


def bench(words: list[str]) -> None:
    """Speed of the server and of the app; with words, of what they name."""
    if words != ["screens"]:
        run("python", "-m", "bench.run", *words)
    if words in ([], ["screens"]):
        run("python", "-m", "bench.screens")


def system() -> None:
    """Install the Debian programs that deeper tests drive."""
    missing = [package for program, package in SYSTEM.items() if not shutil.which(program)]
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        sys.exit(f"Install these with your system's package manager, as root: {' '.join(missing)}")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def main(job: str, words: list[str]) -> None:
    """Run one job."""
    if job == "system":
        system()
        return
    setup()
    match job:
        case "demo":
            run("python", "-m", "demo", *words)
        case "test":
            test(words)
        case "faults":
            faults(words)
        case "check":
            check()
        case "bench":
            bench(words)
        case "screenshots":
            run("python", "-m", "pictures.make", *words)
        case "shell":
            run(os.environ.get("SHELL", "/bin/sh"))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "help", sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
