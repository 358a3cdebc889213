"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from placet_server.domain.credentialkinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("server", "authenticator", "shared", "demo") for path in (ROOT / folder).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_every_test_states_its_behaviour(path: Path) -> None:
    """A test function without a docstring says what it does, not what must be true."""
    silent = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_test_modules_have_names_of_their_own() -> None:
    """Modules are imported without packages, so two of one name would hide each other."""
    names = [path.name for path in TESTS]
    assert sorted(set(names)) == sorted(names)


def test_only_the_roots_own_clock_and_entropy() -> None:
    """Core and protocol take time and randomness as arguments, so every test can choose them."""
    owners = {"time", "secrets", "random", "os", "datetime"}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if "placet_protocol" in path.parts or "domain" in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if name.split(".")[0] in owners - {"datetime"}
    ]
    assert found == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def _owner(module: str) -> str:
    """The face to which a module of ``faces`` belongs, by its name; '' for what all of them share."""
    return next((face for face in KINDS if module.startswith(face)), "")


def test_no_face_knows_another() -> None:
    """A face can be read, changed and removed alone; what two of them need stands beside them and knows neither."""
    folder = ROOT / "server/placet_server/faces"
    found = [
        f"{path.name} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _modules(node)
        if name.startswith("placet_server.faces.")
        and _owner(name.split(".")[2]) not in {"", _owner(path.relative_to(folder).parts[0])}
    ]
    assert found == []


def _modules(node: ast.AST) -> list[str]:
    """What an import may name: the module itself, and each name as a module in it."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return _imported(node)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("placet_authenticator.cli", {"textual", "zxingcpp", "PIL", "aiohttp"}),
        ("placet_protocol.receipt", {"aiohttp", "sqlite3", "sqlite_utils", "asyncio"}),
    ],
)
def test_starting_a_command_loads_only_what_it_needs(module: str, heavy: set[str]) -> None:
    """Help and codes appear at once: pictures, network and screens are loaded by the commands that use them."""
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert heavy & set(loaded) == set()


def test_the_project_names_no_machine_of_its_makers() -> None:
    """No path of a home or work folder stands in code or documents."""
    words = ("/" + "work/", "/" + "root/", "/" + "home/")
    texts = [*SOURCES, *TESTS, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    assert [path.name for path in texts if any(word in path.read_text() for word in words)] == []
