from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from faults.sabotage import TABLE, Sabotage
from support.scale import scaled
from support.system import needed

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("server", "authenticator", "shared")
COPIED = (*ROOTS, "tests", "docs", "demo", "pyproject.toml")
DEFECTS = re.compile(r"\b(?:NameError|SyntaxError|IndentationError|ImportError|ModuleNotFoundError)\b")
"""What would turn a test red because the sabotage itself is botched."""
SHARES = 3 if scaled(20) == 1 else 1
"""Of so many entries the usual run breaks one, chosen by its name; the run with every repetition breaks them all."""
CHOSEN = tuple(each for each in TABLE if crc32(each.name.encode()) % SHARES == 0)
SECONDS = 120


def copied(folder: Path) -> Path:
    """A copy of the sources and their tests, with the times of the files, so that compiled modules stay good."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            # A module that another process compiles at this moment is there under a passing name.
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def run_in(copy: Path, tests: tuple[str, ...], seconds: int = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy over the modules of the same copy."""
    roots = os.pathsep.join(str(copy / name) for name in ROOTS)
    words = ["-q", "-x", "-n0", "--no-header", "--tb=short", *(f"tests/{test}" for test in tests)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=copy,
        env=environment | {"PYTHONPATH": roots},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.parametrize("sabotage", CHOSEN, ids=lambda sabotage: sabotage.name)
def test_every_broken_promise_turns_a_test_red(tmp_path: Path, sabotage: Sabotage) -> None:
    """With one promise broken in the source the tests of that promise fail, and fail because of what they saw."""
    if sabotage.program is not None:
        needed(sabotage.program)
    copy = copied(tmp_path)
    file = copy / sabotage.file
    file.write_text(sabotage.applied(file.read_text()))
    done = run_in(copy, sabotage.tests)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert re.search(r"\b\d+ failed\b", done.stdout), done.stdout
    assert not DEFECTS.search(done.stdout), done.stdout


def test_an_unbroken_copy_is_green(tmp_path: Path) -> None:
    """In a copy without sabotage the same tests pass, so that what turns them red is the sabotage alone."""
    tests = {test for sabotage in CHOSEN for test in sabotage.tests}
    done = run_in(copied(tmp_path), tuple(sorted(tests)), seconds=len(CHOSEN) * 10)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["server/placet_server", "shared/placet_protocol"])
def test_the_copy_is_what_runs(tmp_path: Path, package: str) -> None:
    """The modules under test are those of the copy: with a copy that cannot be imported nothing passes."""
    copy = copied(tmp_path)
    (copy / package / "__init__.py").write_text('raise RuntimeError("this is the copy")\n')
    done = run_in(copy, ("server/test_merkle.py", "shared/test_totp.py"))
    assert done.returncode != pytest.ExitCode.OK
    assert "this is the copy" in done.stdout


@pytest.mark.parametrize("sabotage", TABLE, ids=lambda sabotage: sabotage.name)
def test_every_sabotage_fits_the_source(sabotage: Sabotage) -> None:
    """What an entry breaks stands in the source, and what must notice is there, also for entries that rest this time."""
    sabotage.applied((ROOT / sabotage.file).read_text())
    for test in sabotage.tests:
        assert (ROOT / "tests" / test.partition("::")[0]).exists()


def test_every_sabotage_has_a_name_of_its_own() -> None:
    """Each entry is one case of its own, and breaks something."""
    assert len({sabotage.name for sabotage in TABLE}) == len(TABLE)
    assert all(old != new for sabotage in TABLE for old, new in sabotage.edits)
