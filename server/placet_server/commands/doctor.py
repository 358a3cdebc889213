"""``placet-server doctor``: what an operator should know before others do."""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from placet_server.commands.operating import Operator, operated
from placet_server.desk.doctor import Finding, finding
from placet_server.settings import Settings, is_loopback

_FREE_BYTES: Final = 500_000_000
_ORDER: Final = ("problem", "warning", "note")
_METADATA: Final = ipaddress.ip_address("169.254.169.254")


@click.command("doctor")
@operated(serving=True)
def doctor(operator: Operator) -> None:
    """Look at settings, files, gateways, applications and credentials, and name what is not as it should be.

    Ends with status 1 when there is a problem; warnings and notes are for you to judge. Sends nothing.
    """
    found: list[Finding] = [*_files(operator.settings), *_network(operator.settings), *operator.ask("doctor")]
    found.sort(key=lambda each: _ORDER.index(each["level"]))
    healthy = all(each["level"] != "problem" for each in found)
    if operator.as_json:
        operator.show({"healthy": healthy, "findings": found})
    else:
        for each in found:
            about = "" if each["about"] is None else f" ({each['about']})"
            click.echo(f"{each['level']}: {each['name']}{about}: {each['detail']}")
        click.echo("No problem was found." if healthy else "Problems were found.")
    if not healthy:
        raise SystemExit(1)


def _files(settings: Settings) -> list[Finding]:
    found = []
    key = settings.master_key
    if key.resolve().parent == settings.data.resolve():
        text = f"{key} lies beside the data: who copies the folder has both. --key-file puts it elsewhere."
        found.append(finding("warning", "key_beside_data", text))
    for path in (settings.data, settings.database, key, settings.admin_socket):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            text = f"{path} has mode {mode:04o}, so others may read it; run: chmod go-rwx {path}"
            found.append(finding("problem", "readable_by_others", text))
    if (free := _free(settings.data)) < _FREE_BYTES:
        text = f"{free // 1_000_000} MB are free where the data lies; without room nothing is accepted."
        found.append(finding("problem", "disk_full", text))
    return found


def _network(settings: Settings) -> list[Finding]:
    found = []
    host = urlsplit(settings.public_url or "").hostname
    if settings.tls_cert is None and not is_loopback(settings.host):
        text = (
            f"It listens on {settings.host} without TLS: set tls_cert and tls_key, or keep it behind a proxy."
        )
        found.append(finding("warning", "no_tls", text, host))
    for network in map(ipaddress.ip_network, settings.trusted_proxy):
        if network.prefixlen == 0:
            text = f"trusted_proxy {network} believes everybody's X-Forwarded-For: name the proxy alone."
            found.append(finding("problem", "trusted_proxy", text))
    for network in map(ipaddress.ip_network, settings.egress_allow):
        if network.prefixlen == 0 or _METADATA in network:
            text = f"egress_allow {network} lets webhooks reach every address of your own, metadata services too."
            found.append(finding("problem", "egress_allow", text))
        else:
            text = f"egress_allow lets webhooks and pushes reach {network}."
            found.append(finding("note", "egress_allow", text))
    if settings.demo:
        text = "`demo` is set: without a gateway codes stand in a file instead of reaching people."
        found.append(finding("warning", "demo", text))
    return found


def _free(folder: Path) -> int:
    try:
        status = os.statvfs(folder)
    except OSError:
        return _FREE_BYTES  # that there is no folder is said by who opens it
    return status.f_bavail * status.f_frsize
