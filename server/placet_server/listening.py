"""The socket that the server listens on, and its certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from placet_server.settings import Settings, SettingsError, is_loopback

_BACKLOG = 1024


class Listener:
    """The address that the server is told to listen on; it is taken when it is first needed.

    Raises ``SettingsError`` when it would carry secrets bare, when the certificate cannot be used, and later when the
    address cannot be had.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        if not (is_loopback(settings.host) or settings.tls_cert or settings.trusted_proxy):
            raise SettingsError(
                f"Plain http on {settings.host} would carry keys and codes in clear: give --tls-cert and --tls-key, or"
                " --trusted-proxy with the network of the proxy that ends TLS."
            )
        self.certificate = _certificate(settings)

    def socket(self) -> socket.socket:
        """The listening socket, nobody accepting yet."""
        if self._socket is None:
            self._socket = _bound(self._settings)
        return self._socket

    def origin(self) -> str:
        """The origin of a server that only this machine reaches; any other needs a public URL.

        The address is taken first: an origin stays for ever, and must not be that of another program.
        """
        return self._origin(lambda: self.socket().getsockname()[1])

    def planned(self) -> str:
        """As ``origin``, for a server that is started later: nothing is taken where the settings name a port."""
        return self._origin(lambda: self._settings.port or self.socket().getsockname()[1])

    def _origin(self, port: Callable[[], int]) -> str:
        settings = self._settings
        if not is_loopback(settings.host):
            raise SettingsError(
                f"A server on {settings.host} needs a public URL: name it by --public-url https://…, it stays for ever."
            )
        return f"{'https' if settings.tls_cert else 'http'}://{_bracketed(settings.host)}:{port()}"

    def address(self) -> str:
        """Where the server can be reached now, as a URL."""
        host, port = self.socket().getsockname()[:2]
        return f"{'https' if self._settings.tls_cert else 'http'}://{_bracketed(host)}:{port}"

    def close(self) -> None:
        """Give the address back."""
        if self._socket is not None:
            self._socket.close()


def _bound(settings: Settings) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"Cannot listen on {settings.host}: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another by --port."
        ) from error
    listener.setblocking(False)
    return listener


def _certificate(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"Cannot use {settings.tls_cert} with {settings.tls_key}: {error}.") from error
    return context


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
