"""What every face of another dialect has in common: it is closed until opened, keeps to networks, and logs masked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from placet_server.domain.calllog import Sought
from placet_server.faces import logged as lists
from placet_server.ports import Sql
from placet_server.testing import LiveServer, live_server
from placet_server.web.apilog import WRITE_SECONDS
from support.faceprobes import PROBES, Probe, Said, call, logged
from support.http import raw, request
from support.scale import scaled

CANARY = "PARAMETER-CANARY-7f3a"
_PLAIN = Sql("plain", "SELECT face, method, route, code, ip, agent, subject FROM api_log")
ALLOWED = "203.0.113.0/24"
INSIDE = "203.0.113.9"


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path / "data") as server:
        await server.api_key()
        yield server


async def opened(live: LiveServer, probe: Probe, *networks: str) -> str:
    """The probe's credential; gives its id."""
    made = await live.domain.credentials.add(
        probe.face, "acme", probe.secret, {}, live.clock.now(), name=probe.name, allow_ip=networks
    )
    return made.id


FORGED = [
    {name: value}
    for name in (
        "X_Forwarded_For",
        "X_Real_IP",
        "X_Client_IP",
        "X_Remote_IP",
        "X_Remote_Addr",
        "X_Originating_IP",
        "X_Cluster_Client_IP",
        "X_Forwarded",
        "Forwarded_For",
        "True_Client_IP",
        "CF_Connecting_IP",
        "Fastly_Client_IP",
        "Client_IP",
    )
    for value in (INSIDE, f"::ffff:{INSIDE}")
] + [
    {"Forwarded": f"for={INSIDE}"},
    {"Forwarded": f'for="[::ffff:{INSIDE}]";by={INSIDE}'},
    {"X_Forwarded_For": f"{INSIDE}, {INSIDE}"},
    {"X_Forwarded_For": f"127.0.0.1, {INSIDE}"},
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.face)
async def test_api_04_no_header_moves_a_caller_into_the_list(live: LiveServer, probe: Probe) -> None:
    """Thirty forgeries on each face: the socket's peer counts, and the refusal is logged as what it is."""
    assert len(FORGED) == 30
    await opened(live, probe, ALLOWED)
    plain = await call(live, probe)
    answers = [await call(live, probe, **forged) for forged in FORGED]
    for said in answers:
        assert (said.status, said.body.replace(said.request_id.encode(), b"")) == (
            plain.status,
            plain.body.replace(plain.request_id.encode(), b""),
        )
        row = await logged(live, said.request_id)
        assert (row.code, row.ip) == ("ip_not_allowed", "127.0.0.1")


async def test_api_04_native_keys_keep_to_the_networks_of_their_application(live: LiveServer) -> None:
    """Policy limits.networks holds for native keys and for the application's faces alike."""
    key = await live.api_key("shop")
    await live.domain.applications.set_policies("shop", {"limits.networks": ALLOWED}, live.clock.now())
    for forged in FORGED:
        names = {name.replace("_", "-"): value for name, value in forged.items()}
        status, problem = await live.call("GET", "/v1/users", key=key, **names)
        assert (status, problem["code"]) == (403, "ip_not_allowed")
    await live.domain.applications.set_policies("shop", {"limits.networks": "127.0.0.0/8"}, live.clock.now())
    assert (await live.call("GET", "/v1/users", key=key))[0] == 200


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.face)
async def test_api_04_behind_a_proxy_its_right_most_stranger_counts(tmp_path: Path, probe: Probe) -> None:
    """IPv4 in IPv6 in any spelling is IPv4, a /64 is one network, and what stands further left is not believed."""
    async with live_server(tmp_path / "data", trusted_proxy=("127.0.0.0/8",)) as live:
        await live.api_key()
        await opened(live, probe, ALLOWED, "2001:db8::/64")
        expected = {
            INSIDE: True,
            f"::ffff:{INSIDE}": True,
            "::ffff:cb00:7109": True,
            "0:0:0:0:0:ffff:cb00:7109": True,
            "2001:db8::1": True,
            "2001:DB8:0:0:ffff::1": True,
            "2001:db8:0:1::1": False,
            "203.0.114.9": False,
            f"{INSIDE}, 198.51.100.1": False,
            f"198.51.100.1, {INSIDE}": True,
            f"{INSIDE}, 127.0.0.2": True,
            "nonsense": False,
            "": False,
        }
        answers = {address: await call(live, probe, X_Forwarded_For=address) for address in expected}
        for address, said in answers.items():
            row = await logged(live, said.request_id)
            assert (row.code != "ip_not_allowed") == expected[address], address


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.face)
async def test_api_08_a_face_is_not_there_until_a_credential_opens_it(live: LiveServer, probe: Probe) -> None:
    """Without a credential of its own a face answers 404 whatever is sent; with one it answers, revoked again not."""
    closed = []
    for _ in range(2):
        said = await call(live, probe)
        assert said.status == 404
        assert said.headers["Cache-Control"] == "no-store"
        closed.append(said.request_id)
        made = await opened(live, probe)
        said = await call(live, probe)
        assert said.status == 200
        assert said.headers["Cache-Control"] == "no-store"
        await live.domain.credentials.revoke(made, live.clock.now())
    assert [(await logged(live, request_id)).code for request_id in closed] == ["not_found"] * 2


async def test_api_08_a_credential_opens_its_own_face_only(live: LiveServer) -> None:
    """The key of one face is a stranger on every other, also where its form fits, and natively."""
    for probe in PROBES:
        await opened(live, probe)
    native = await live.api_key("shop")
    strangers: list[str] = []
    for probe in PROBES:
        good = await call(live, probe)
        for secret in (native, *(other.secret for other in PROBES if other is not probe)):
            said = await call(live, probe, secret=secret)
            assert said.body != good.body
            strangers.append(said.request_id)
        status, problem = await live.call("GET", "/v1/users", key=probe.secret)
        assert (status, problem["code"]) == (401, "unauthorized")
    assert {(await logged(live, request_id)).code for request_id in strangers} == {"unauthorized"}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.face)
async def test_api_02_an_unknown_account_and_a_wrong_secret_get_the_same_answer(
    live: LiveServer, probe: Probe
) -> None:
    """Status, headers and body tell nothing about which of the two it was."""
    await opened(live, probe)

    def same(said: Said) -> tuple[int, bytes, set[str]]:
        return said.status, said.body.replace(said.request_id.encode(), b""), set(said.headers)

    wrong = await call(live, probe, secret="WRONG-" + probe.secret)
    unknown = await call(live, probe._replace(name="nobody" if probe.name else ""), secret="OTHER")
    assert same(wrong) == same(unknown)


async def test_log_01_no_secret_reaches_the_api_log(live: LiveServer) -> None:
    """Keys, passwords, codes, texts and unknown parameters are masked, in good calls and in all kinds of bad ones."""
    for probe in PROBES:
        await opened(live, probe)
    ids = []
    for probe in PROBES:
        for more in (
            f"&code={CANARY}&otp_code={CANARY}&token={CANARY}&sms={CANARY}&text={CANARY}&params={CANARY}",
            f"&{CANARY.lower()}=1&unknown={CANARY}&Password={CANARY}&API_KEY={CANARY}",
            f"&user[password]={CANARY}&details[pin]={CANARY}&details[x][y]={CANARY}&hidden_details[a]={CANARY}",
            f"&a[b={CANARY}",
            f"&bad=%ff{CANARY}",
        ):
            ids += [(await call(live, probe, more=more)).request_id]
            ids += [(await call(live, probe, secret=f"X{CANARY}", more=more)).request_id]
    for probe in PROBES:
        for target in (
            f"/protected/json/verify/{CANARY}/7?api_key={CANARY}",
            f"/onetouch/json/{CANARY}/x",
            f"/api/http/class=otp&method=verifyotp&code={CANARY}",
            f"/v1/public/{CANARY}",
        ):
            headers = {name.replace("-", "_"): value for name, value in probe.headers().items()}
            answer = await raw(int(live.url.rpartition(":")[2]), request("GET", target, b"", **headers))
            assert answer is not None
            ids.append(answer.headers["x-request-id"])
    kept = b""
    for request_id in ids:
        row = await logged(live, request_id)
        assert row.detail.answer is not None
        kept += msgspec.json.encode(row)
    secrets = [CANARY, *(probe.secret for probe in PROBES), "CANARY"]
    for secret in secrets:
        assert secret.encode() not in kept
    rows = await live.store.rows(_PLAIN)
    assert not [row for row in rows if any("CANARY" in str(column) for column in row)]


async def test_log_03_every_call_has_its_row_within_a_second(live: LiveServer) -> None:
    """Address, time, face, method, parameters, answer, code, agent and time taken of many calls, found by each."""
    credentials = {probe.face: await opened(live, probe) for probe in PROBES}
    begun = live.clock.now()
    said = []
    for number in range(scaled(1000) // len(PROBES)):
        for probe in PROBES:
            secret = "WRONG" if number % 5 == 4 else None
            said.append((probe, secret, await call(live, probe, secret=secret, User_Agent=f"agent/{number}")))
    assert WRITE_SECONDS <= 0.5, "half of the second is the machine's"
    rows: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while len(rows) < len(said):
            await asyncio.sleep(0.05)
            page = await live.domain.calls.search(Sought(since=begun), None, 1000)
            rows = {row.request_id: row for row in page.items}
    for number, (probe, secret, answer) in enumerate(said):
        row = rows[answer.request_id]
        assert (row.face, row.method, row.status, row.ip) == (probe.face, "GET", answer.status, "127.0.0.1")
        assert (row.credential == credentials[probe.face]) == (secret is None)
        assert row.agent == f"agent/{number // len(PROBES)}"
        assert begun <= row.at <= live.clock.now()
        assert row.took_us > 0
        assert row.detail.parameters
        assert row.detail.answer == lists.answer(
            lists.TABLE[probe.face], answer.body, answer.headers["Content-Type"]
        )
    for face, made in credentials.items():
        found = await live.domain.calls.search(Sought(credential=made), None, 1000)
        assert found.items
        assert {row.face for row in found.items} == {face}


async def test_api_14_defects_and_refusals_show_no_inside(live: LiveServer) -> None:
    """Odd calls on every face: no 5xx, a request id on each answer, and nothing of the program's inside."""
    for probe in PROBES:
        await opened(live, probe)
    port = int(live.url.rpartition(":")[2])
    for probe in PROBES:
        for body, media in (
            (b'{"a":' * 200, "application/json"),
            (b"\xff\xfe", "application/x-www-form-urlencoded"),
            (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "text/xml"),
            (b"--b\r\nbroken", "multipart/form-data; boundary=b"),
            (b"[1,2]", "application/json"),
        ):
            headers = {name.replace("-", "_"): value for name, value in probe.headers().items()}
            sent = request("POST", probe.target(), body, Content_Type=media, **headers)
            answer = await raw(port, sent)
            assert answer is not None
            assert answer.status < 500, (probe.face, media, answer.body)
            assert answer.headers["x-request-id"]
            for inside in (b"Traceback", b".py", b"sqlite", b"/etc/", b"Error:"):
                assert inside not in answer.body


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.face)
async def test_log_03_a_refusal_is_found_by_the_code_that_the_caller_saw(
    live: LiveServer, probe: Probe
) -> None:
    """A customer tells their service's code, we have a word for it: either finds the call, natively as well."""
    await opened(live, probe, ALLOWED)
    refused = await call(live, probe)
    assert (await logged(live, refused.request_id)).code == "ip_not_allowed"
    theirs = {"authy": "60063", "afilnet": "INCORRECT_USER_PASSWORD", "unityvox": "024", "octopush": "207"}
    assert theirs[probe.face].encode() in refused.body
    for code in ("ip_not_allowed", theirs[probe.face]):
        page = await live.domain.calls.search(Sought(code=code), None, 9)
        assert [row.request_id for row in page.items] == [refused.request_id]
    assert (await live.domain.calls.search(Sought(code="no_credit"), None, 9)).items == ()


@pytest.mark.parametrize(
    ("face", "body", "code"),
    [
        ("authy", b'{"message":"a \\"error_code\\":\\"1\\"","error_code":"60003"}', "60003"),
        ("authy", b"<errors><message>x</message><error-code>60003</error-code></errors>", "60003"),
        ("unityvox", b'{"version":"1.00","code":"021","status":"error"}', "021"),
        ("octopush", b'{"code":104,"message":"Not enough credit."}', "104"),
        ("afilnet", b"<response><status>ERROR</status><error>NO_CREDITS</error></response>", "NO_CREDITS"),
        ("afilnet", b'{"status":"ERROR","error":"two words"}', "two"),
        ("afilnet", b"\xff\xfe", None),
        ("octopush", b'{"code":{}}', None),
    ],
)
def test_the_code_of_an_answer_is_read_as_its_caller_reads_it(
    face: str, body: bytes, code: str | None
) -> None:
    """In JSON and XML, as text or number; what stands in another member's text is none."""
    assert lists.said(lists.TABLE[face], body) == code


def test_no_list_of_the_api_log_holds_what_could_be_a_secret() -> None:
    """Names that speak of credentials, codes or texts are on no list, but for those whose harmlessness is known."""
    harmless = {
        "country_code",
        "country_codes",
        "code_length",
        "error_code",
        "code",
        "sessionid",
        "authy_id",
        "auths_count",
        "otpformat",
        "faultcode",
    }
    for face, kept in lists.TABLE.items():
        for name in kept.sent | kept.answered:
            assert name == name.lower()
            speaks = lists._CREDENTIAL_LIKE.search(name)
            assert speaks is None or name in harmless, (face, name)
        assert "code" not in kept.sent, face
        assert not kept.sent & {"sms", "text", "params", "password", "apikey", "otp_code", "hidden_details"}
    assert "code" not in lists.TABLE["afilnet"].answered
    assert "code" not in lists.TABLE["authy"].answered
