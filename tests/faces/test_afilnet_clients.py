"""The published clients of Afilnet, unmodified, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.afilnet import PASSWORD, PHONE, USER, afilnet, port
from support.http import raw
from support.node import node_client
from support.otpfaces import Desk

TEMPLATES = {"templates": {"1000": "Hello <name>"}}


async def test_the_npm_client_does_everything_it_knows(tmp_path: Path) -> None:
    """Version 2.2.1: login with right and wrong password, balance, sends by three channels, states, templates."""
    async with (
        afilnet(tmp_path, price=500, settings=TEMPLATES) as at,
        node_client("afilnet", url=f"{at.live.url}/api/http/", user=USER, password=PASSWORD) as client,
    ):
        assert await client.call("login", USER, PASSWORD) == [True]
        assert await client.call("login", USER, "wrong-one") == [False]
        assert await client.call("login", "nobody@example.org", PASSWORD) == [False]
        assert await client.call("login", USER, PASSWORD) == [True]
        (balance,) = await client.call("user.getBalance")
        assert balance == {"status": "SUCCESS", "result": "10.00"}
        calls: list[tuple[str, list[Any]]] = [
            ("sms.send", [PHONE, "hola año & <más>", "Me", None, None]),
            ("sms.sendFromTemplate", [PHONE, "1000", "name:Ana", None, ""]),
            ("voice.send", [PHONE, "hola", "es", "", ""]),
            ("email.send", ["Hi", "ana@example.org", "<b>hola</b>", None, "json"]),
        ]
        ids = []
        for name, words in calls:
            (answer,) = await client.call(name, *words)
            assert answer["status"] == "SUCCESS", (name, answer)
            assert answer["result"]["credits"] == "0.05"
            ids.append(answer["result"]["messageid"])
        texts = sorted(str(message["text"]) for message in await at.arrived(4))
        assert texts == ["Hello Ana", "hola", "hola", "hola año & <más>"]
        (states,) = await client.call("sms.getDeliveryStatus", ",".join(ids))
        assert [state["messageid"] for state in states["result"]] == ids
        (refused,) = await client.call("sms.sendToGroup", "Me", "34", "7", "x", None, None)
        assert refused == {"status": "ERROR", "error": "INCORRECT_METHOD"}


def python_client(at: Desk, calls: list[list[Any]]) -> list[Any]:
    """What PyPI afilnet 1.0.1 returns for these calls; its host is inline, so a proxy's address leads it here."""
    program = (
        "import afilnet, json, sys\n"
        "print(json.dumps([getattr(afilnet, name)(*words) for name, *words in json.loads(sys.argv[1])]))\n"
    )
    environment = {**os.environ, "http_proxy": at.live.url, "no_proxy": ""}
    for name in ("HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(calls)],
        env=environment,
        capture_output=True,
        check=False,
        timeout=30,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said: list[Any] = json.loads(done.stdout)
    return said


async def test_the_python_client_does_everything_it_knows(tmp_path: Path) -> None:
    """Version 1.0.1: its GETs with raw ``@`` and empty values, in the absolute form that proxies get."""
    async with afilnet(tmp_path, price=500, settings=TEMPLATES) as at:
        said = await asyncio.to_thread(
            python_client,
            at,
            [
                ["isUser", USER, PASSWORD],
                ["isUser", USER, "wrong-one"],
                ["getBalance", USER, PASSWORD],
                ["sendSms", USER, PASSWORD, PHONE, "hello", "Me"],
                ["sendSmsFromTemplate", USER, PASSWORD, PHONE, "1000", "name:Ana"],
                ["sendVoice", USER, PASSWORD, PHONE, "spoken", "fr"],
                # It forgets an equals sign: no server can know the address.
                ["sendEmail", USER, PASSWORD, "Hi", "ana@example.org", "hello"],
            ],
        )
        assert said[:3] == [True, False, {"status": "SUCCESS", "result": "10.00"}]
        assert [answer["status"] for answer in said[3:6]] == ["SUCCESS"] * 3
        assert said[6] == {"status": "ERROR", "error": "MISSING_COMPULSORY_PARAM"}
        texts = sorted(str(message["text"]) for message in await at.arrived(3))
        assert texts == ["Hello Ana", "hello", "spoken"]
        ids = ",".join(answer["result"]["messageid"] for answer in said[3:6])
        (states,) = await asyncio.to_thread(
            python_client, at, [["getDeliveryStatus", USER, PASSWORD, "sms", ids]]
        )
        assert [state["messageid"] for state in states["result"]] == ids.split(",")


@pytest.mark.parametrize(
    "sample",
    [
        (
            "GET /api/http/?class=otp&method=generateotp&user=demo@example.org&password=s3cret&type=number"
            "&destination=34600000000&time=1&timetype=days&length=6&otpformat=all&output= HTTP/1.1\r\n"
            "User-Agent: Wget/1.21.3\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
        ),
        (
            "POST /api/http/ HTTP/1.1\r\nUser-Agent: Java/17.0.1\r\nAccept: text/html, image/gif, *; q=.2, */*; q=.2\r\n"
            "Content-type: application/x-www-form-urlencoded\r\nContent-Length: 150\r\n\r\n"
            "class=otp&method=generateotp&user=demo%40example.org&password=s3cret&type=email&destination=ana%40example.org"
            "&time=1&timetype=days&length=6&otpformat=all"
        ),
        (
            "POST /api/http/?class=otp&method=generateotp&user=demo@example.org&password=s3cret&type=mobile"
            "&destination=34600000000&otpformat=numbers&output= HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        ),
        (
            "POST /api/http/ HTTP/1.1\r\nAuthorization: Basic ZGVtb0BleGFtcGxlLm9yZzpzM2NyZXQ=\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 66\r\n\r\n"
            "class=otp&method=generateotp&type=mobile&destination=%2B3460000000"
        ),
    ],
    ids=["shell", "java", "node", "dotnet"],
)
async def test_the_published_samples_get_their_code(tmp_path: Path, sample: str) -> None:
    """The request shapes of their samples for shells, Java, Node and .NET, as bytes."""
    async with afilnet(tmp_path) as at:
        head, _, body = sample.partition("\r\n\r\n")
        start, _, headers = head.partition("\r\n")
        lines = [line for line in headers.split("\r\n") if not line.startswith("Content-Length")]
        sent = "\r\n".join([start, "Host: placet.test", *lines, f"Content-Length: {len(body)}", "", body])
        answer = await raw(port(at), sent.encode())
        assert answer is not None
        assert answer.json()["result"]["status"] == "SUCCESS"
