"""A code leaves by its channel and stands nowhere else."""

import asyncio
from pathlib import Path

import msgspec

from placet_server.desk import operations
from placet_server.plugin import Carried, ExchangeError, Outgoing
from placet_server.testing import RecordingGateway, live_server
from support.canaries import leaks
from support.carrying import eventually
from support.gated import logged
from support.receivers import receiver

CODE = "Qz7+Canary9Code"
TEXT = "WelcomeCanaryText"
PHONE = "+48600987654"


def repeated(message: Outgoing) -> str:
    """Everything of a message."""
    return f"{', '.join(message.code or '')} {message.code} {message.to} {message.text!r}: {message}"


class Leaky(RecordingGateway):
    """Refuses and raises with everything that it was given."""

    async def send(self, message: Outgoing) -> Carried:
        """Refuse the first, fail with the rest."""
        await super().send(message)
        if len(self.sent) % 2:
            return Carried("refused", repeated(message), repeated(message))
        raise ExchangeError(repeated(message)) if len(self.sent) % 4 else ValueError(repeated(message))


class Chatty(RecordingGateway):
    """Takes everything, and says as its reference what it was given."""

    async def send(self, message: Outgoing) -> Carried:
        """Take it."""
        await super().send(message)
        return Carried("accepted", repeated(message))


async def test_otp_11_the_code_leaves_by_its_channel_only(tmp_path: Path) -> None:
    """Neither answers, events, logs, lists nor the data folder hold a code or its text, whatever a gateway says of it."""
    places: dict[str, bytes] = {}
    leaky, good = Leaky("leaky", "sms", "voice"), Chatty("good", "sms")
    async with logged() as lines, receiver() as hook:
        async with live_server(tmp_path / "data", gateways=[leaky, good]) as server:
            key = await server.api_key("acme")
            await server.domain.applications.add_webhook("acme", hook.url, server.clock.now())
            ids = []
            for number in range(4):
                body = {
                    "phone": f"{PHONE[:-1]}{number}",
                    "channel": "sms",
                    "code": CODE,
                    "text": TEXT + " {code}",
                }
                status, made = await server.call("POST", "/v1/codes", body, key=key)
                assert status == 201, made
                places[f"answer {number}"] = msgspec.json.encode(made)
                ids.append((made["id"], made["message_id"]))
            await good.count(4)
            voice = {"phone": PHONE, "channel": "voice", "code": CODE, "text": TEXT + " {code}"}
            status, made = await server.call("POST", "/v1/codes", voice, key=key)
            assert status == 201, made
            ids.append((made["id"], made["message_id"]))
            await eventually(
                lambda: server.domain.messages.get(None, ids[-1][1]), lambda info: info.reason or info.gateway
            )
            for code_id, message_id in ids:
                for path in (f"/v1/codes/{code_id}", f"/v1/messages/{message_id}", "/v1/messages", "/v1/log"):
                    status, said = await server.call("GET", path, key=key)
                    assert status == 200, (path, said)
                    places[f"{path} of {code_id}"] = msgspec.json.encode(said)
            wrong = await server.call("POST", f"/v1/codes/{ids[0][0]}/check", {"code": "wrong-one"}, key=key)
            places["check"] = msgspec.json.encode(wrong)
            desk = server.app.desk
            for command, arguments in {
                "gateway list": {},
                "message list": {},
                "message show": {"id": ids[0][1]},
                "log search": {},
            }.items():
                places[command] = msgspec.json.encode(await operations.run(desk, command, arguments))
            await hook.count(4)
            await asyncio.sleep(0)
            places |= {f"event {number}": body for number, (_, _, body) in enumerate(hook.posts)}
            places |= {
                f"live {file.name}": file.read_bytes()
                for file in (tmp_path / "data").iterdir()
                if file.is_file()
            }
        places |= {
            f"closed {file.name}": file.read_bytes()
            for file in (tmp_path / "data").iterdir()
            if file.is_file()
        }
        places["log"] = lines.getvalue().encode()
    assert all(message.code == CODE and TEXT in message.text for message in (*leaky.sent, *good.sent))
    assert len(leaky.sent) >= 5
    secrets = {"code": CODE, "spoken": ", ".join(CODE), "text": TEXT, "number": PHONE[1:-1]}
    assert list(leaks(secrets, places)) == []
