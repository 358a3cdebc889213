"""The composition root: the only module that knows the concrete classes, and it does no work of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from logging import ERROR
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from placet_server import installation
from placet_server.background import Checkpoints, Lasting, Periodic
from placet_server.carriers import Carriers, open_carriers
from placet_server.crypto.passwords import Argon2Passwords
from placet_server.delivery.bus import LocalBus
from placet_server.delivery.dispatcher import Dispatcher
from placet_server.delivery.egress import ANYWHERE, Egress
from placet_server.delivery.hub import LocalHub
from placet_server.delivery.messenger import Messenger
from placet_server.delivery.push import DevicePushes, PushSender, subject
from placet_server.delivery.webhooks import SCHEDULE, WebhookSender
from placet_server.desk import operations
from placet_server.desk.desk import Answer, Desk
from placet_server.desk.socket import AdminSocket
from placet_server.domain import services
from placet_server.domain.limits import RateLimit
from placet_server.domain.retention import Kept, Retention
from placet_server.domain.services import Domain
from placet_server.faces.afilnet import AfilnetFace
from placet_server.faces.authy import AuthyFace
from placet_server.faces.authycallbacks import AuthyCallbacks
from placet_server.faces.authyqr import Pictures
from placet_server.faces.octopush import OctopushFace
from placet_server.faces.unityvox import UnityVoxFace
from placet_server.installation import Installation
from placet_server.listening import Listener
from placet_server.phonenumber import NumberRanges
from placet_server.plugin import Gateway, GatewayKit
from placet_server.ports import Clock, Entropy
from placet_server.settings import Settings, is_loopback
from placet_server.system import SystemClock, SystemEntropy
from placet_server.web import health, native, openapi, reports
from placet_server.web.apilog import ApiLog
from placet_server.web.connections import Connections
from placet_server.web.devices import DeviceApi
from placet_server.web.gate import Gate
from placet_server.web.logging import event
from placet_server.web.peer import Peers

__all__ = ["SCHEDULE", "App", "build", "make", "run_alone"]

_SECOND = 1.0
_HOUR = 3600.0
_GATEWAY_URL_MAX = 8_192
_GATEWAY_CONNECT = 5.0


class Part(Protocol):
    """Something that runs while the server does."""

    def start(self) -> Awaitable[None] | None:
        """Begin; a coroutine where beginning takes time."""
        ...

    async def stop(self) -> None:
        """Finish what has begun, and end."""
        ...


class Core(NamedTuple):
    """What works without being reached: the domain over an opened data folder, and the way out."""

    domain: Domain
    bus: LocalBus
    egress: Egress
    webhooks: WebhookSender
    carriers: Carriers
    desk: Desk


class App:
    """A whole server; ``build`` makes it, ``start`` and ``stop`` are each called once."""

    def __init__(
        self,
        found: Installation,
        core: Core,
        clock: Clock,
        listener: Listener,
        parts: list[Part],
        ending: AsyncExitStack,
    ) -> None:
        self.url = found.public_url
        self.listening = listener.address()
        self.domain = core.domain
        self.carriers = core.carriers
        self.desk = core.desk
        self.store = found.store
        self.bus = core.bus
        self.clock = clock
        self._parts = parts
        self._ending = ending

    async def start(self) -> None:
        """Begin background work, the operator's socket and, last, the taking of requests."""
        for part in self._parts:
            self._ending.push_async_callback(part.stop)
            if (begun := part.start()) is not None:
                await begun

    async def stop(self) -> None:
        """Take no more requests, finish those that have begun, then end everything else and close the store."""
        await self._ending.aclose()


async def build(
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    *,
    schedule: tuple[float, ...] = SCHEDULE,
    gateways: Iterable[Gateway] = (),
) -> App:
    """A server on its data folder, made where there is none, with its address taken; nothing runs yet.

    ``schedule`` is in seconds, for the attempts of webhooks; ``gateways`` stand beside those of the settings.
    Raises ``SettingsError`` and ``StoreUnavailableError``.
    """
    async with AsyncExitStack() as ending:
        listener = Listener(settings)
        ending.callback(listener.close)
        found = await installation.open_or_make(settings, clock, entropy, listener.origin)
        ending.push_async_callback(found.store.close)
        core = _core(found, settings, clock, entropy, ending, gateways)
        parts = _parts(found, core, settings, clock, entropy, listener, schedule)
        return App(found, core, clock, listener, parts, ending.pop_all())


async def make(settings: Settings) -> str:
    """Make a data folder and close it again; gives its public URL."""
    with closing(Listener(settings)) as listener:
        found = await installation.make(settings, SystemClock(), SystemEntropy(), listener.planned)
    await found.store.close()
    return found.public_url


async def run_alone(settings: Settings, command: str, arguments: Mapping[str, Any]) -> Answer:
    """Carry out one of the operator's commands on a data folder that no server has open."""
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as ending:
        found = await installation.open_existing(settings, clock, entropy)
        ending.push_async_callback(found.store.close)
        core = _core(found, settings, clock, entropy, ending)
        return await operations.run(core.desk, command, arguments)


def _core(
    found: Installation,
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    ending: AsyncExitStack,
    gateways: Iterable[Gateway] = (),
) -> Core:
    bus = LocalBus()
    keyring = found.keyring
    egress = Egress(allow=settings.egress_allow, ca_file=settings.egress_ca_file)
    ending.push_async_callback(egress.close)
    # The operator chose these hosts; all other rules of the way out hold for them, too.
    trusted = Egress(
        allow=ANYWHERE, ca_file=settings.egress_ca_file, url_max=_GATEWAY_URL_MAX, connect=_GATEWAY_CONNECT
    )
    ending.push_async_callback(trusted.close)
    local = is_loopback(settings.host) and is_loopback(urlsplit(found.public_url).hostname or "")
    carriers = open_carriers(settings, GatewayKit(trusted, clock, settings.data), local=local, given=gateways)
    ending.push_async_callback(carriers.close)
    domain = services.build(
        found.store,
        keyring.sealer,
        keyring.signer,
        entropy,
        bus,
        found.public_url,
        egress.refusal,
        Argon2Passwords(entropy),
        carriers,
        NumberRanges(),
    )
    webhooks = WebhookSender(egress)
    desk = Desk(domain, found.store, clock, entropy, webhooks, carriers, found.log_origin, keyring.log_key)
    return Core(domain, bus, egress, webhooks, carriers, desk)


def _parts(
    found: Installation,
    core: Core,
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    listener: Listener,
    schedule: tuple[float, ...],
) -> list[Part]:
    """What runs, in the order of starting."""
    domain, bus = core.domain, core.bus
    checkpoints = Checkpoints(found.store, found.log_origin, found.keyring.log_key, settings.checkpoints)
    apilog = ApiLog(found.store, found.keyring.sealer)
    hub = LocalHub(bus)
    sender = PushSender(core.egress, found.keyring.vapid_key, subject(found.public_url))
    pushes = DevicePushes(domain.devices, domain.approvals, domain.items, hub, sender, bus, clock)
    dispatcher = Dispatcher(
        domain.outbox,
        domain.applications,
        core.webhooks,
        pushes,
        bus,
        clock,
        entropy,
        callbacks=AuthyCallbacks(domain),
        schedule=schedule,
    )
    messenger = Messenger(
        domain.deliveries, domain.applications, core.carriers, bus, clock, entropy, found.public_url
    )
    bare = not (is_loopback(settings.host) or settings.tls_cert)
    peers = Peers(settings.trusted_proxy, bare=bare)
    strangers = settings.strangers_per_minute
    gate = Gate(clock, entropy, apilog, RateLimit(), peers, domain.credentials.opens, strangers)
    application = _web(gate, hub, found, core, clock, entropy)
    kept = Kept(
        log=settings.keep_log,
        approvals=settings.keep_approvals,
        enrollments=settings.keep_enrollments,
        acks=settings.keep_acks,
    )
    retention = Retention(found.store, domain.calls, kept)
    parts: list[Part] = [
        apilog,
        Periodic(
            "expiry",
            clock,
            _SECOND,
            domain.approvals.sweep,
            domain.enrollments.sweep,
            domain.deliveries.expire,
        ),
        Periodic("checkpoints", clock, _SECOND, checkpoints.look),
        Periodic("usage", clock, _SECOND, domain.usage.flush, last=True),
        Periodic(
            "erasure",
            clock,
            _HOUR,
            domain.idempotency.sweep,
            domain.notices.sweep,
            domain.soft_tokens.sweep,
            domain.codes.sweep,
            domain.deliveries.sweep,
            domain.guard.sweep,
            domain.credentials.sweep,
            retention.sweep,
        ),
        Lasting("delivery", dispatcher.run, dispatcher.stop),
        Lasting("messages", messenger.run, messenger.stop),
        AdminSocket(settings.admin_socket, partial(operations.run, core.desk), _failed),
        Connections(application, listener.socket(), listener.certificate),
    ]
    return parts


def _web(
    gate: Gate, hub: LocalHub, found: Installation, core: Core, clock: Clock, entropy: Entropy
) -> web.Application:
    """All routes of all faces behind one gate."""
    application = web.Application()
    router, domain, bus = application.router, core.domain, core.bus
    signer, sealer = found.keyring.signer, found.keyring.sealer
    plain = native.mount(gate, router, domain, clock, bus, signer)
    health.mount(gate, router, plain, found.store)
    reports.mount(gate, router, domain, core.carriers, found.public_url)
    device = DeviceApi(gate, domain, hub, clock, entropy, found.public_url, core.egress.refusal).mount(router)
    AuthyFace(domain, Pictures(sealer, found.public_url), bus).routes(gate, router)
    AfilnetFace(domain, sealer, found.public_url).routes(gate, router)
    UnityVoxFace(domain).routes(gate, router)
    OctopushFace(domain).routes(gate, router)
    openapi.mount(gate, router, plain)
    gate.add_rest(router, device, "/device/v1")
    gate.add_rest(router, plain)

    async def end_waiting(_application: web.Application) -> None:
        gate.close()
        hub.close()

    application.on_shutdown.append(end_waiting)
    return application


def _failed(error: BaseException) -> None:
    event("command_failed", level=ERROR, error=error)
