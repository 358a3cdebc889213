"""The device's socket against the server as it is started: a process, on the loop that it chooses."""

from __future__ import annotations

from pathlib import Path

from placet_authenticator.enrolling import read_uri
from placet_authenticator.inbox import Arrived, Connected
from support.blackbox import remote, shop
from support.persons import authenticator, following, until
from support.programs import serving


async def test_psh_07_a_request_reaches_a_real_device_over_the_socket_of_a_real_server(
    tmp_path: Path,
) -> None:
    """The socket opens and stays, a request comes over it, and nothing falls back to polling."""
    data = tmp_path / "server"
    with serving(data) as server:
        key, _ = await shop(data)
        async with remote(server.url, key) as application, authenticator(tmp_path / "device") as device:
            user = await application.native("POST", "/v1/users", {"email": "ada@example.com"})
            path = f"/v1/users/{user['tfa_id']}/enrollments"
            invited = await application.native("POST", path, {})
            done = await device.enroll(read_uri(invited["uri"]), device_name="laptop")
            check = {"check": done.enrollment.check}
            await application.native("POST", f"/v1/enrollments/{invited['id']}/confirm", check)
            assert await device.confirmed(done.enrollment)
            async with following(device) as (_, events):
                assert (await until(events, Connected)).transport == "socket"
                body = {"tfa_id": user["tfa_id"], "message": "Pay 10 EUR?"}
                asked = await application.native("POST", "/v1/approval_requests", body)
                arrived = await until(events, Arrived)
                assert arrived.entry.rid == asked["id"]
