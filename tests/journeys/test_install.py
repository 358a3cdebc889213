"""The built wheel in bare environments: each end installs and starts with its own extra alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.programs import environment

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources that are tracked or new here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("server", "authenticator", "shared"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    if UV:
        _run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, source)
    else:
        _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_three_packages_and_their_data(wheel: Path) -> None:
    """Nothing but the packages is installed, with the migrations and the licence inside."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "placet_authenticator",
        "placet_protocol",
        "placet_server",
    }
    assert "placet_server/storage/migrations/0001_start.sql" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "program", "foreign"),
    [
        ("server", "placet-server", ("keyring", "zxingcpp")),
        ("authenticator", "placet", ("phonenumbers", "pywebpush")),
    ],
)
def test_one_end_installs_alone_and_its_program_starts(
    wheel: Path, tmp_path: Path, extra: str, program: str, foreign: tuple[str, ...]
) -> None:
    """With one extra the program works; what only the other end needs is not there."""
    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    wanted = ("-c", ROOT / "constraints.txt", f"placet[{extra}] @ {wheel.as_uri()}")
    if UV:
        _run(UV, "venv", "--quiet", "--python", sys.executable, venv)
        _run(UV, "pip", "install", "--quiet", "--python", python, *wanted)
    else:
        _run(sys.executable, "-m", "venv", venv)
        _run(python, "-m", "pip", "install", "--quiet", *wanted)
    assert "Usage:" in _run(venv / "bin" / program, "--help")
    assert "placet" in _run(venv / "bin" / program, "--version").lower()
    for module in foreign:
        found = f"import importlib.util as u; print(u.find_spec({module!r}))"
        assert _run(python, "-c", found).strip() == "None"
    if extra == "server":
        data = tmp_path / "data"
        _run(venv / "bin" / program, "init", "--data", data)
        assert '"api_key"' in _run(
            venv / "bin" / program, "application", "add", "shop", "--json", "--data", data
        )


def _run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
