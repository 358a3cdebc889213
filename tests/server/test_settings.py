from pathlib import Path

import pytest

from placet_server.domain.policies import TABLE, Policies, parse
from placet_server.settings import Settings, SettingsError, load
from support.settings_tables import policy_rows, settings_rows

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_flags_come_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    """Each source is asked in its order, and what none says has its default."""
    (tmp_path / "placet.toml").write_text('host = "::1"\nport = 1\npublic_url = "https://file.example"\n')
    settings = load(
        {"data": tmp_path, "port": 3, "host": None},
        {"PLACET_PORT": "2", "PLACET_PUBLIC_URL": "https://env.example/", "HOME": "/root"},
    )
    assert (settings.port, settings.public_url, settings.host) == (3, "https://env.example", "::1")
    assert settings.trusted_proxy == ()
    assert settings.master_key == tmp_path / "master.key"


def test_a_named_file_replaces_the_one_in_the_data_folder(tmp_path: Path) -> None:
    """``--config`` is the only file that is read, and its relative paths start at its own folder."""
    data, elsewhere = tmp_path / "data", tmp_path / "etc"
    data.mkdir()
    elsewhere.mkdir()
    (data / "placet.toml").write_text("port = 1\n")
    (elsewhere / "server.toml").write_text(
        'data = "kept"\nkey_file = "/run/key"\negress_allow = ["10.0.0.0/8"]\n'
    )
    settings = load({}, {"PLACET_CONFIG": str(elsewhere / "server.toml")})
    assert settings.port == 8080
    assert settings.data == elsewhere / "kept"
    assert str(settings.key_file) == "/run/key"
    assert settings.egress_allow == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("flags", "environment", "file", "sentence"),
    [
        ({"prot": 1}, {}, "", "unknown option --prot: did you mean --port?"),
        (
            {},
            {"PLACET_TRUSTED_PROXIES": "x"},
            "",
            "unknown environment variable PLACET_TRUSTED_PROXIES: did you mean",
        ),
        ({}, {}, "public_ulr = 1", "did you mean public_url?"),
        ({}, {}, "port = ", "no valid TOML"),
        ({}, {}, 'port = "many"', "setting port: expected a whole number"),
        ({}, {"PLACET_PORT": "70000"}, "", "setting port: expected a whole number <= 65535"),
        ({}, {}, 'data = "x"', "cannot name its own folder"),
        ({"tls_cert": Path("a.pem")}, {}, "", "TLS needs both"),
        ({"trusted_proxy": ("10.0.0.1/8",)}, {}, "", "10.0.0.0/8"),
        ({"public_url": "http://placet.example.com"}, {}, "", "must be https"),
        ({"public_url": "https://placet.example.com/path"}, {}, "", "has a path"),
        ({"public_url": "https://u:p@placet.example.com"}, {}, "", "no origin"),
        ({"public_url": "https://placet.example.com:99999"}, {}, "", "no URL"),
        ({"public_url": "placet.example.com"}, {}, "", "no origin"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, flags: dict[str, object], environment: dict[str, str], file: str, sentence: str
) -> None:
    """Whatever is wrong is refused in one sentence that says what to do."""
    if file:
        (tmp_path / "placet.toml").write_text(file)
    with pytest.raises(SettingsError) as refused:
        load({"data": tmp_path, **flags}, environment)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_public_url_has_one_spelling() -> None:
    """Equal origins are equal texts, because signed documents compare them byte for byte."""
    for spelling in ("https://Placet.Example.com", "https://placet.example.com:443/"):
        assert load({"public_url": spelling}, {}).public_url == "https://placet.example.com"
    assert load({"public_url": "http://[::1]:80"}, {}).public_url == "http://[::1]"
    assert load({"public_url": "http://localhost:8080"}, {}).public_url == "http://localhost:8080"


def test_variables_of_the_person_s_program_are_no_mistake() -> None:
    """``placet`` and ``placet-server`` can share an environment."""
    assert load({}, {"PLACET_HOME": "/x", "PLACET_PASSPHRASE_FILE": "/y"}) == Settings()


def test_every_setting_and_policy_is_documented_as_it_is() -> None:
    """The tables of docs/settings.md hold exactly the rows that the code gives."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `") and "`PLACET_" in line] == settings_rows()
    policies = lines[lines.index("## Policies") :]
    assert [line for line in policies if line.startswith("| `")] == policy_rows()


def test_every_default_of_a_policy_is_shown_as_it_is_typed() -> None:
    """What the table shows behind a policy's name can be typed there and gives the default back."""
    for policy, row in zip(TABLE, policy_rows(), strict=True):
        shown = row.split(" | ")[2]
        text = "" if shown == "empty" else shown.removeprefix("`").removesuffix("`")
        assert getattr(parse({policy.name: text}, Policies()), policy.field) == policy.default
