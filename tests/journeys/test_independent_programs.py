"""Programs that we did not write read our pictures and make our codes."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from placet_protocol import otpauth
from placet_server.testing import ManualClock, live_server
from support.system import needed


@pytest.mark.parametrize(
    ("algorithm", "digits", "period"), [("SHA1", 6, 30), ("SHA256", 8, 60), ("SHA512", 7, 30)]
)
async def test_tot_01_another_programs_code_is_accepted(
    tmp_path: Path, algorithm: str, digits: int, period: int
) -> None:
    """Zbarimg reads the provisioning picture, oathtool makes the code of its secret, and the server takes it once."""
    zbarimg, oathtool = needed("zbarimg"), needed("oathtool")
    clock = ManualClock()
    async with live_server(tmp_path / "server", clock=clock) as server:
        key, user = await server.api_key(), await server.user()
        wanted = {"name": "phone", "algorithm": algorithm, "digits": digits, "period": period, "qr": "png"}
        path = f"/v1/users/{user.tfa_id}/soft_tokens"
        _, made = await server.call("POST", path, wanted, key=key)
        picture = tmp_path / "token.png"
        picture.write_bytes(base64.b64decode(made["qr"].partition(",")[2]))
        read = subprocess.run([zbarimg, "--raw", "-q", picture], check=True, capture_output=True, text=True)
        assert read.stdout.strip() == made["uri"]
        secret = base64.b32encode(otpauth.parse(made["uri"]).secret).decode()
        at = f"--now=@{clock.now() // 1000}"
        words = [
            f"--totp={algorithm.lower()}",
            f"--digits={digits}",
            f"--time-step-size={period}s",
            at,
            "-b",
            secret,
        ]
        code = subprocess.run([oathtool, *words], check=True, capture_output=True, text=True).stdout.strip()
        _, first = await server.call("POST", f"{path}/verify", {"code": code}, key=key)
        _, again = await server.call("POST", f"{path}/verify", {"code": code}, key=key)
    assert (first, again["verified"]) == ({"verified": True}, False)
