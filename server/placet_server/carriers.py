"""The configured gateways: plug-ins found by their entry points, given their checked settings, and asked for routes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from placet_server.gateways.base import AT_ONCE, TIMEOUT, TIMEOUT_MAX, Carrier
from placet_server.gateways.file import FILE_NAME
from placet_server.plugin import (
    Carried,
    Gateway,
    GatewayKit,
    GatewayPlugin,
    Outgoing,
    Report,
    ReportedState,
    Secret,
)
from placet_server.ports import Channel
from placet_server.settings import Settings, SettingsError, nearest

GROUP: Final = "placet.gateways"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?", re.ASCII)
_SECRET_MAX: Final = 8_192
_OWN: Final = ("type", "channels", "timeout", "at_once")

T = TypeVar("T", bound=Struct)


class Common(Struct, frozen=True, kw_only=True):
    """What every ``[gateway.NAME]`` table may hold."""

    channels: Annotated[
        frozenset[Channel] | None, Meta(description="Only these of the channels that it could carry.")
    ] = None
    timeout: Annotated[
        float, Meta(ge=0.1, le=TIMEOUT_MAX, description="Seconds until the next gateway has its turn.")
    ] = TIMEOUT
    at_once: Annotated[int, Meta(ge=1, le=1_000, description="Messages under way at a time.")] = AT_ONCE


class Carriers:
    """All gateways of a server, in the order of the settings; it implements ``Routes``."""

    def __init__(self, carriers: Iterable[Carrier], *, kept_in: Path | None = None) -> None:
        self.kept_in: Final = kept_in
        """The file in which messages stay because no gateway is set."""
        self._carriers: Final = {carrier.name: carrier for carrier in carriers}

    def gateways(self, channel: Channel, names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of the gateways that carry a channel: of all in their order, or of those named in theirs."""
        carriers = self._carriers
        return tuple(
            [name for name in names or carriers if name in carriers and channel in carriers[name].channels]
        )

    def all(self) -> tuple[Carrier, ...]:
        """Every gateway."""
        return tuple(self._carriers.values())

    def in_turn(self, channel: Channel, names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """As ``gateways``, those last that have not answered lately."""
        found = self.gateways(channel, names)
        if len(found) < 2:
            return found
        return tuple(sorted(found, key=lambda name: self._carriers[name].resting))

    def named(self, name: str) -> Carrier | None:
        """The gateway of this name."""
        return self._carriers.get(name)

    def deadline(self, name: str) -> float:
        """Seconds after which an attempt through a gateway is over."""
        carrier = self._carriers.get(name)
        return 0.0 if carrier is None else carrier.deadline

    def is_local(self, name: str) -> bool:
        """Whether a gateway waits for nobody, so that ``take`` can be asked."""
        carrier = self._carriers.get(name)
        return carrier is not None and carrier.is_local

    def take(self, name: str, messages: Sequence[Outgoing]) -> list[Carried]:
        """One attempt each through a local gateway, at once."""
        return self._carriers[name].take(messages)

    async def send(self, name: str, message: Outgoing) -> Carried:
        """One attempt through one gateway; one that is configured no more refuses."""
        carrier = self._carriers.get(name)
        return (
            Carried("refused", reason=f"there is no gateway {name}")
            if carrier is None
            else await carrier.send(message)
        )

    def read_report(self, name: str, report: Report) -> ReportedState | None:
        """What a call to a report URL says by the reading of this gateway; None when it says nothing."""
        carrier = self._carriers.get(name)
        return None if carrier is None else carrier.read_report(report)

    async def close(self) -> None:
        """Let all gateways go."""
        for carrier in self._carriers.values():
            await carrier.close()


def open_carriers(
    settings: Settings, kit: GatewayKit, *, local: bool, given: Iterable[Gateway] = ()
) -> Carriers:
    """The gateways of the settings, with those ``given`` beside them; raises ``SettingsError`` naming the key.

    Without any, a server that only this machine reaches (``local``), or a demo, keeps messages in a file.
    """
    carriers = [Carrier(gateway) for gateway in given]
    carriers += [_opened(name, table, kit) for name, table in settings.gateway.items()]
    if not carriers and (local or settings.demo):
        return Carriers([_opened("file", {"type": "file"}, kit)], kept_in=kit.data / FILE_NAME)
    return Carriers(carriers)


def _opened(name: str, table: object, kit: GatewayKit) -> Carrier:
    where = f"gateway.{name}"
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{where}: a gateway's name has small letters, digits, - and _ only.")
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where} is a table: write [gateway.{name}] with a type.")
    plugin = _plugin(where, table.get("type"))
    rest = {key: value for key, value in table.items() if key != "type"}
    fields = _fields(plugin.settings)
    common = _converted(where, Common, {key: rest[key] for key in _OWN if key in rest})
    for key in _OWN:
        if key not in fields:
            rest.pop(key, None)
    _known(where, rest, fields)
    values, secrets = _revealed(where, rest, fields)
    told = _converted(where, plugin.settings, values)
    try:
        gateway = plugin(name, told, kit)
    except (ValueError, OSError) as error:
        raise SettingsError(f"{where}: {error}.") from error
    return Carrier(
        gateway,
        kind=str(table["type"]),
        timeout=common.timeout,
        at_once=common.at_once,
        channels=common.channels,
        secrets=secrets,
    )


def _plugin(where: str, kind: object) -> GatewayPlugin:
    found = {point.name: point for point in entry_points(group=GROUP)}
    if not isinstance(kind, str):
        raise SettingsError(f"{where} needs a type: {', '.join(sorted(found))}.")
    if kind not in found:
        raise SettingsError(f"{where}: unknown type {kind!r}: did you mean {nearest(kind, sorted(found))!r}?")
    try:
        plugin: GatewayPlugin = found[kind].load()
    except Exception as error:
        raise SettingsError(
            f"{where}: the plug-in {kind!r} cannot be loaded: {type(error).__name__}."
        ) from error
    return plugin


class Field(NamedTuple):
    """One key of a gateway's table: ``field`` of the Struct, and what the operator gives for it."""

    field: str
    kind: str


def _fields(kind: type[Struct]) -> dict[str, Field]:
    """The keys of a gateway's table, as they are written in TOML."""
    hints = get_type_hints(kind)
    keys: dict[str, Field] = {}
    for each in msgspec.structs.fields(kind):
        hint = hints[each.name]
        if hint is Secret or Secret in get_args(hint):
            many = getattr(hint, "__origin__", None) is dict
            suffix = "_files" if many else "_file"
            stem = each.encode_name.removesuffix("s") if many else each.encode_name
            keys[stem + suffix] = Field(each.encode_name, "secrets" if many else "secret")
        else:
            keys[each.encode_name] = Field(each.encode_name, "value")
    return keys


def _known(where: str, table: Mapping[str, Any], fields: Mapping[str, Field]) -> None:
    for key in table:
        if key in fields:
            continue
        if key + "_file" in fields:
            raise SettingsError(
                f"{where}.{key} is a secret: write {key}_file with the path of a file of mode 0600."
            )
        raise SettingsError(f"unknown key {where}.{key}: did you mean {nearest(key, [*_OWN, *fields])}?")


def _revealed(
    where: str, table: Mapping[str, Any], fields: Mapping[str, Field]
) -> tuple[dict[str, Any], list[str]]:
    """The values of a table by the names of the Struct, secrets read from their files, and these secrets."""
    values: dict[str, Any] = {}
    secrets: list[str] = []
    for key, value in table.items():
        field = fields[key]
        if field.kind == "value":
            values[field.field] = value
            continue
        files = value if field.kind == "secrets" else {"": value}
        if not isinstance(files, Mapping) or not all(isinstance(path, str) for path in files.values()):
            raise SettingsError(
                f"{where}.{key} names {'a table of files' if field.kind == 'secrets' else 'a file'}."
            )
        read = {name: _secret(f"{where}.{key}", Path(path)) for name, path in files.items()}
        secrets += read.values()
        sealed = {name: Secret(text) for name, text in read.items()}
        values[field.field] = sealed if field.kind == "secrets" else sealed[""]
    return values, secrets


def _secret(where: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_SECRET_MAX + 1)
    except OSError as error:
        raise SettingsError(f"{where}: cannot read {path}: {error.strerror}.") from error
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise SettingsError(
            f"{where}: {path} has mode {mode:04o}, so others may read it; run: chmod 0600 {path}"
        )
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{where}: {path} is no text.") from error
    if not text or len(content) > _SECRET_MAX or not text.isprintable():
        raise SettingsError(f"{where}: {path} holds no secret of one line.")
    return text


def _converted(where: str, kind: type[T], values: Mapping[str, Any]) -> T:
    try:
        return msgspec.convert(values, kind, dec_hook=_given)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        if place:
            raise SettingsError(f"{where}.{place.rstrip('`')}: {_lower(text)}.") from error
        raise SettingsError(f"{where}: {_lower(text)}.") from error


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _given(kind: type, value: object) -> object:
    if isinstance(value, kind):
        return value
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"expected {'a path' if kind is Path else kind.__name__}")
