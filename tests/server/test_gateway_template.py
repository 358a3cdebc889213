"""Vendors by template: the samples of the documents at work, and values that stay in their places."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from placet_server.carriers import Carriers
from placet_server.plugin import Report
from placet_server.settings import load
from support import vendors
from support.carrying import carriers, outgoing, secret
from support.gateway_tables import common, plugins
from support.vendors import Answer, Vendor, vendor

DOCS = Path(__file__).parents[2] / "docs" / "gateways.md"
SECRETS = {"vonage.key": "k3y"}


def samples() -> str:
    """All settings of the document that are a gateway by template."""
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return "\n".join(block for block in blocks if 'type = "http_template"' in block)


@asynccontextmanager
async def sample(folder: Path, name: str, answer: Answer) -> AsyncIterator[tuple[Carriers, Vendor]]:
    """A gateway of the document as it stands there, but for the vendor's host."""
    (folder / "placet.toml").write_text(samples())
    for file in re.findall(r'"([a-z]+\.(?:key|secret|token))"', samples()):
        secret(folder, SECRETS.get(file, "s3cret-of-vendor"), file)
    table = dict(load({"data": folder}, {}).gateway[name])
    async with vendor(answer) as made:
        parts = urlsplit(table["url"])
        table["url"] = made.url + parts.path
        async with carriers(folder, {name: table}) as found:
            yield found, made


def test_the_document_has_every_key_as_it_is() -> None:
    """The tables of keys, types, defaults and meanings are those of the code."""
    written = [
        line for line in DOCS.read_text().splitlines() if line.startswith("| `") and line.count("|") == 5
    ]
    assert [line for line in written if not line.startswith("| `{")] == [
        *common(),
        *(row for name in ("file", "smtp", "kannel", "twilio", "http_template") for row in plugins()[name]),
    ]
    assert plugins()["console"] == []


async def test_the_sample_for_vonage_works(tmp_path: Path) -> None:
    """Form fields, the id, what to try again, what is for good, reports, and the type of texts beyond GSM."""
    async with sample(tmp_path, "vonage", vendors.vonage) as (found, made):
        url = "https://placet.example/gateway/reports/vonage/1/s"
        carried = await found.send("vonage", outgoing(report_url=url))
        assert (carried.outcome, carried.reference) == ("accepted", "0A0000000123ABCD1")
        assert dict(made.taken[0].form) == {
            "api_key": "k3y",
            "api_secret": "s3cret-of-vendor",
            "from": "ACME",
            "to": "48600100200",
            "text": "Your code is 271828.",
            "client-ref": outgoing().id,
            "callback": url,
        }
        await found.send("vonage", outgoing(text="Ваш код 271828", sender="Zoo"))
        form = dict(made.taken[1].form)
        assert (form["type"], form["text"], form["from"]) == ("unicode", "Ваш код 271828", "Zoo")
        assert "callback" not in form
        assert (await found.send("vonage", outgoing(to="+48600100299"))).outcome == "later"
        assert (await found.send("vonage", outgoing(to="+48600100298"))).outcome == "refused"
        for said, state in {"delivered": "delivered", "expired": "undelivered", "buffered": None}.items():
            report = Report("GET", url, (("msisdn", "48600100200"), ("status", said)), (), {}, b"")
            assert found.read_report("vonage", report) == state
            posted = Report("POST", url, (), (), {}, f'{{"status": "{said}"}}'.encode())
            assert found.read_report("vonage", posted) == state


async def test_the_sample_for_whatsapp_works(tmp_path: Path) -> None:
    """The code stands in body and button of the template, the language in the vendor's spelling."""
    async with sample(tmp_path, "whatsapp", vendors.whatsapp) as (found, made):
        message = outgoing(channel="whatsapp", language="es-LA")
        carried = await found.send("whatsapp", message)
        assert (carried.outcome, carried.reference) == ("accepted", "wamid.HBgL")
        code = [{"type": "text", "text": "271828"}]
        assert made.taken[0].json == {
            "messaging_product": "whatsapp",
            "to": "48600100200",
            "type": "template",
            "template": {
                "name": "login_code",
                "language": {"code": "es_MX"},
                "components": [
                    {"type": "body", "parameters": code},
                    {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
                ],
            },
        }
        assert made.taken[0].path == "/v23.0/106540352242922/messages"
        assert (
            await found.send("whatsapp", outgoing(channel="whatsapp", to="+48600100298"))
        ).outcome == "refused"
        assert (await found.send("whatsapp", outgoing())).reason == "whatsapp does not carry sms"


async def test_the_sample_for_afilnet_works(tmp_path: Path) -> None:
    """An error inside a 200 is read, and the vendor's id kept."""
    async with sample(tmp_path, "afilnet", vendors.afilnet) as (found, made):
        carried = await found.send("afilnet", outgoing())
        assert (carried.outcome, carried.reference) == ("accepted", "778899")
        assert dict(made.taken[0].form)["sms"] == "Your code is 271828."
        assert (await found.send("afilnet", outgoing(to="+48600100299"))).outcome == "later"


async def test_the_sample_for_octopush_works(tmp_path: Path) -> None:
    """Credentials travel in header fields, the number with its plus inside a list."""
    async with sample(tmp_path, "octopush", vendors.octopush) as (found, made):
        carried = await found.send("octopush", outgoing())
        assert (carried.outcome, carried.reference) == ("accepted", "sms_5fec89fe97109")
        assert made.taken[0].json == {
            "text": "Your code is 271828.",
            "type": "sms_premium",
            "purpose": "alert",
            "sender": "ACME",
            "recipients": [{"phone_number": "+48600100200"}],
        }
        assert (await found.send("octopush", outgoing(to="+48600100298"))).outcome == "refused"


@pytest.mark.parametrize(
    ("status", "body", "rules", "outcome"),
    [
        (200, "OK 17", {}, "accepted"),
        (204, "", {}, "accepted"),
        (200, "ERR 5", {"success": {"pattern": "^OK"}}, "refused"),
        (200, "ERR 7", {"success": {"pattern": "^OK"}, "retry": {"pattern": "^ERR 7"}}, "later"),
        (200, '{"ok": false}', {"success": {"path": "ok", "equals": [True]}}, "refused"),
        (200, '{"ok": true}', {"success": {"path": "ok", "equals": [True]}}, "accepted"),
        (200, '{"a": [{"n": 0}]}', {"success": {"path": "a.0.n", "equals": [0]}}, "accepted"),
        (200, '{"a": []}', {"success": {"path": "a.0.n"}}, "refused"),
        (200, "no json", {"success": {"path": "a"}}, "refused"),
        (200, "[" * 5000, {"success": {"path": "a"}}, "refused"),
        (302, "", {}, "later"),
        (400, "", {}, "refused"),
        (400, "busy", {"retry": {"pattern": "busy"}}, "later"),
        (401, "", {}, "later"),
        (429, "", {}, "later"),
        (500, "OK", {"success": {"pattern": "OK"}}, "later"),
    ],
)
async def test_answers_are_read_by_rules(
    tmp_path: Path, status: int, body: str, rules: dict[str, Any], outcome: str
) -> None:
    """Success needs a 2xx and its rule; what may work later is told from what is for good."""
    async with vendor(lambda _: (status, body)) as made:
        table = {
            "type": "http_template",
            "channels": ["sms"],
            "url": made.url,
            "form": {"t": "{text}"},
            **rules,
        }
        async with carriers(tmp_path, {"v": table}) as found:
            carried = await found.send("v", outgoing())
    assert carried.outcome == outcome
    assert not carried.unsure


async def test_ids_are_found_in_text_too(tmp_path: Path) -> None:
    """The first group of a pattern is the vendor's id."""
    async with vendor(lambda _: (200, "queued id=ab-17;")) as made:
        table = {"type": "http_template", "channels": ["sms"], "url": made.url, "id_pattern": "id=([^;]+)"}
        async with carriers(tmp_path, {"v": table}) as found:
            assert (await found.send("v", outgoing())).reference == "ab-17"


@pytest.mark.parametrize(
    "text",
    [
        "a&to=48600100201",
        'a", "to": "48600100201',
        "</text><to>48600100201</to><text>",
        "]]>&to;",
        "a%26to%3D1",
        "{to}{secret.key}{{x}}",
        "one\ntwo",
        "+ %0d%0a;\\",
        "🙂 é",
    ],
)
async def test_api_16_values_stay_in_their_places(tmp_path: Path, text: str) -> None:
    """Whatever a text holds, it arrives as that text, in every kind of place, and nothing is added."""
    async with vendor(lambda _: (200, "")) as made:
        key = {"secret_files": {"key": secret(tmp_path, "s3cret&x")}}
        base = {"type": "http_template", "channels": ["sms"], "url": made.url + "/a/b", **key}
        fields = {"to": "{to}", "text": "{text}", "key": "{secret.key}"}
        tables = {
            "query": base | {"query": fields, "method": "GET"},
            "form": base | {"form": fields},
            "json": base | {"json": {"m": [fields], "n": 3}},
            "xml": base | {"xml": '<m to="{to}"><text a="{text}">{text}</text></m>'},
            "path": base | {"url": made.url + "/p/{to}/{text}/end?t={text}"},
        }
        async with carriers(tmp_path, tables) as found:
            for name in tables:
                assert (await found.send(name, outgoing(text=text))).outcome == "accepted", name
        query, form, json, xml, path = made.taken
        wanted = [("to", "+48600100200"), ("text", text), ("key", "s3cret&x")]
        assert (query.query, query.body) == (wanted, b"")
        assert form.form == wanted
        assert json.json == {"m": [dict(wanted)], "n": 3}
        inside = xml.body.decode()
        assert inside.count("<") == inside.count(">") == 4
        assert path.path.count("/") == 4
        assert path.query == [("t", text)]


@pytest.mark.parametrize("text", ["..", ".", "..."])
async def test_api_16_a_value_is_never_a_step_of_a_path(tmp_path: Path, text: str) -> None:
    """Dots that would lead to another endpoint are refused for good."""
    async with vendor(lambda _: (200, "")) as made:
        table = {"type": "http_template", "channels": ["sms"], "url": made.url + "/send/{text}/x"}
        async with carriers(tmp_path, {"v": table}) as found:
            assert (await found.send("v", outgoing(text=text))).outcome == "refused"
    assert made.taken == []


@pytest.mark.parametrize("text", ["one\nX-Evil: 1", "é", "tab\u2028"])
async def test_api_16_a_header_field_takes_printable_ascii_only(tmp_path: Path, text: str) -> None:
    """What could end a header field, or would be guessed at, is refused for good."""
    async with vendor(lambda _: (200, "")) as made:
        table = {
            "type": "http_template",
            "channels": ["sms"],
            "url": made.url,
            "headers": {"X-Text": "{text}"},
        }
        async with carriers(tmp_path, {"v": table}) as found:
            assert (await found.send("v", outgoing(text=text))).outcome == "refused"
            assert (await found.send("v", outgoing(text="plain"))).outcome == "accepted"
    assert [taken.headers["x-text"] for taken in made.taken] == ["plain"]


async def test_ssr_07_no_message_decides_where_it_goes(tmp_path: Path) -> None:
    """Redirects, URLs in texts and hosts in values: the canary hears nothing, the vendor hears all."""
    async with vendor(lambda _: (200, "")) as canary:

        def redirect(_: Any) -> tuple[int, Any]:
            return 307, ""

        async with vendor(redirect) as made:
            host = urlsplit(canary.url).netloc
            table = {
                "type": "http_template",
                "channels": ["sms"],
                "url": made.url + "/{text}",
                "form": {"u": "{text}"},
            }
            async with carriers(tmp_path, {"v": table}) as found:
                for text in (
                    canary.url,
                    f"@{host}/",
                    f"//{host}/x",
                    f"\\\\{host}",
                    "http://169.254.169.254/",
                ):
                    assert (await found.send("v", outgoing(text=text))).outcome == "later"
            assert len(made.taken) == 5
        assert canary.taken == []


@pytest.mark.parametrize("said", ["271828", "s3cret-of-vendor", "+48600100200"])
async def test_otp_11_no_reason_ends_inside_a_secret(tmp_path: Path, said: str) -> None:
    """What a vendor repeats is taken out of the reason wherever it stands, and none is cut before that."""
    secret(tmp_path, "s3cret-of-vendor", "key")
    async with vendor(lambda taken: (400, dict(taken.query)["pad"])) as made:
        table = {
            "type": "http_template",
            "channels": ["sms"],
            "url": made.url,
            "query": {"pad": "{text}"},
            "secret_files": {"key": str(tmp_path / "key")},
        }
        async with carriers(tmp_path, {"vendor": table}) as found:
            for length in range(60, 210):
                carried = await found.send("vendor", outgoing(text="x" * length + said))
                assert said[1:4] not in carried.reason, length
