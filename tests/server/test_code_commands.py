"""``placet-server code``, on a folder that no server has open."""

import json
from pathlib import Path

from click.testing import CliRunner

from placet_server.cli import program


def test_a_locked_destination_is_opened_by_the_operator(tmp_path: Path) -> None:
    """Any spelling of a number is taken and told masked; what is none ends with status 1 and a sentence."""
    folder = str(tmp_path / "data")
    assert CliRunner().invoke(program, ["init", "--data", folder]).exit_code == 0
    words = ["code", "unlock", "0034 600-000-000", "--data", folder, "--json"]
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"unlocked": "+34*******00"}
    words[2] = "0600"
    failed = CliRunner().invoke(program, words)
    assert failed.exit_code == 1
    assert "country code" in failed.stderr
