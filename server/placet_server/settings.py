"""The operator's settings: flags before environment before file, every name known, every value checked.

A setting has one name everywhere: ``public_url`` in TOML is ``--public-url`` as a flag and ``PLACET_PUBLIC_URL`` in the
environment. None of them is a secret: secrets are files, and settings say where those are.
"""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "PLACET_"
FILE_NAME: Final = "placet.toml"
_FILE_ONLY: Final = frozenset({"gateway"})
_DEVICE_NAMES: Final = frozenset(
    {"PLACET_HOME", "PLACET_PASSPHRASE_FILE"}
)  # the person's program reads these


class SettingsError(ValueError):
    """A setting that cannot be used; the text is one sentence for the operator and names what to do."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a server is told at its start."""

    data: Annotated[Path, Meta(description="Folder of everything the server keeps.")] = Path("placet-data")
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8080
    public_url: Annotated[
        str | None,
        Meta(description="Origin under which applications and devices reach the server; fixed at `init`."),
    ] = None
    trusted_proxy: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks (CIDR) of proxies: their `X-Forwarded-For` is believed, and on a plain address beyond"
            " this machine nobody else is answered."
        ),
    ] = ()
    tls_cert: Annotated[
        Path | None, Meta(description="PEM file with the certificate chain; needs `tls_key`.")
    ] = None
    tls_key: Annotated[Path | None, Meta(description="PEM file with the certificate's private key.")] = None
    key_file: Annotated[
        Path | None,
        Meta(description="File of the master key, mode 0600; without it, `master.key` in the data folder."),
    ] = None
    egress_allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks (CIDR) of your own that webhooks and pushes may reach beside the public internet."
        ),
    ] = ()
    egress_ca_file: Annotated[
        Path | None,
        Meta(description="PEM file of further certificate authorities that outgoing calls trust."),
    ] = None
    demo: Annotated[
        bool,
        Meta(description="Keep messages in `messages.jsonl` where no gateway is set, on any address."),
    ] = False
    strangers_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Refused calls without a valid credential that one address (of IPv6 one /64) may make in a minute,"
            " in bursts of twice as many; more are told 429; 0: any.",
        ),
    ] = 60
    keep_log: Annotated[
        int, Meta(ge=0, le=36_500, description="Days for which calls stay in the API log; 0: for ever.")
    ] = 90
    keep_approvals: Annotated[
        int,
        Meta(ge=0, le=36_500, description="Days for which approval requests and receipts stay; 0: for ever."),
    ] = 365
    keep_enrollments: Annotated[
        int,
        Meta(
            ge=0, le=36_500, description="Days for which enrolments that came to nothing stay; 0: for ever."
        ),
    ] = 30
    keep_acks: Annotated[
        int,
        Meta(ge=0, le=36_500, description="Days for which it is known what a device holds; 0: for ever."),
    ] = 90
    gateway: Annotated[
        Mapping[str, Any],
        Meta(description="Tables `[gateway.NAME]` of the settings file: what carries codes."),
    ] = {}

    @property
    def master_key(self) -> Path:
        """Where the master key is."""
        return self.key_file or self.data / "master.key"

    @property
    def database(self) -> Path:
        """The one file of the store."""
        return self.data / "placet.db"

    @property
    def admin_socket(self) -> Path:
        """Where a running server takes the operator's commands."""
        return self.data / "admin.sock"

    @property
    def checkpoints(self) -> Path:
        """Where signed checkpoints of the audit log are appended, outside the store."""
        return self.data / "checkpoints.txt"


class Setting(NamedTuple):
    """One row of the documented table."""

    name: str
    type: str
    default: str
    meaning: str


def table() -> tuple[Setting, ...]:
    """Every setting with its type, default and meaning, in the order of the documentation."""
    hints = get_type_hints(Settings, include_extras=True)
    return tuple(
        Setting(
            field.name,
            _kind(field.name),
            _shown(field.default),
            next(meta.description for meta in hints[field.name].__metadata__ if meta.description),
        )
        for field in msgspec.structs.fields(Settings)
        if field.name not in _FILE_ONLY
    )


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings of one start: ``flags`` that are not None, then ``PLACET_*``, then the file, then the defaults.

    The file is ``config``, else ``PLACET_CONFIG``, else ``placet.toml`` in the data folder when there is one; its
    relative paths start at its own folder. Raises ``SettingsError``.
    """
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    _known(given, "option", lambda name: "--" + name.replace("_", "-"), _FILE_ONLY)
    from_environment = _environment(environment)
    named = config or (Path(environment[PREFIX + "CONFIG"]) if environment.get(PREFIX + "CONFIG") else None)
    above = {**from_environment, **given}
    path = named or Path(above.get("data", Settings().data)) / FILE_NAME
    from_file = _file(path) if named or path.is_file() else {}
    if named is None and "data" in from_file:
        raise SettingsError(
            f"{path} cannot name its own folder: remove `data`, or pass the file by --config."
        )
    return _checked({**from_file, **above})


def nearest(name: str, known: list[str]) -> str:
    """The known name that is most like a mistyped one."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return close[0] if close else known[0]


def is_loopback(host: str) -> bool:
    """Whether a host of a URL or an address to listen on is this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin(text: str) -> str:
    """A public URL in its one form, ``scheme://host[:port]``; raises ``SettingsError`` when it is no usable origin."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingsError(
            f"public_url {text!r} is no URL: write it like https://placet.example.com."
        ) from error
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or not text.isascii()
    ):
        raise SettingsError(f"public_url {text!r} is no origin: write it like https://placet.example.com.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise SettingsError(f"public_url {text!r} has a path: give scheme, host and port only.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"public_url {text!r} must be https: devices take http from this machine only.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")


def _environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != PREFIX + "CONFIG" and name not in _DEVICE_NAMES
    }
    _known(values, "environment variable", lambda name: PREFIX + name.upper(), _FILE_ONLY)
    return values


def _file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no valid TOML: {error}.") from error
    _known(values, f"key in {path}", str)
    paths = {field.name for field in msgspec.structs.fields(Settings) if _kind(field.name) == "path"}
    found = {
        name: str(path.parent / value) if name in paths and isinstance(value, str) else value
        for name, value in values.items()
    }
    if isinstance(gateways := found.get("gateway"), dict):
        found["gateway"] = {name: _placed(table, path.parent) for name, table in gateways.items()}
    return found


def _placed(table: Any, folder: Path) -> Any:  # noqa: ANN401 - TOML
    """A gateway's table whose relative paths start at a folder: ``path``, ``…_file`` and the members of ``…_files``."""
    if not isinstance(table, dict):
        return table
    placed = dict(table)
    for key, value in table.items():
        if isinstance(value, str) and (key == "path" or key.endswith("_file")):
            placed[key] = str(folder / Path(value).expanduser())
        elif isinstance(value, dict) and key.endswith("_files"):
            placed[key] = _placed_all(value, folder)
    return placed


def _placed_all(files: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {
        name: str(folder / Path(value).expanduser()) if isinstance(value, str) else value
        for name, value in files.items()
    }


def _known(
    values: Mapping[str, Any],
    what: str,
    spelled: Callable[[str], str],
    hidden: frozenset[str] = frozenset(),
) -> None:
    known = [name for name in Settings.__struct_fields__ if name not in hidden]
    for name in values:
        if name not in known:
            wanted = nearest(name, known)
            raise SettingsError(f"unknown {what} {spelled(name)}: did you mean {spelled(wanted)}?")


def _checked(values: dict[str, Any]) -> Settings:
    for name, value in values.items():
        if _kind(name) == "list" and isinstance(value, str):
            values[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, Path):
            values[name] = str(value)
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        text = (
            text.replace("Expected", "expected").replace("`int`", "a whole number").replace("`str`", "text")
        )
        raise SettingsError(f"setting {place.rstrip('`')}: {text}.") from error
    for name in ("trusted_proxy", "egress_allow"):
        for network in getattr(settings, name):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise SettingsError(f"setting {name}: {error}; write networks like 10.0.0.0/8.") from error
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError("TLS needs both: give tls_cert and tls_key.")
    if settings.public_url is not None:
        return msgspec.structs.replace(settings, public_url=origin(settings.public_url))
    return settings


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"Expected a path, got {value!r}")


def _kind(name: str) -> str:
    kind = str(get_type_hints(Settings)[name])
    words = {"Path": "path", "Mapping": "tables", "tuple": "list", "bool": "true or false", "int": "integer"}
    return next((word for part, word in words.items() if part in kind), "text")


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default in (None, ()) else str(default)
