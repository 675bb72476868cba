"""The keys of a devcluster, judged by Python's TLS."""

from __future__ import annotations

import asyncio
import ssl
import stat
from pathlib import Path

import pytest

from devcluster.certs import write_keys
from devcluster.ports import LOOPBACK


@pytest.mark.parametrize("name", [LOOPBACK, "localhost"])
async def test_a_client_that_knows_the_authority_trusts_the_server(tmp_path: Path, name: str) -> None:
    keys = write_keys(tmp_path / "pki")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(keys.serving_certificate, keys.serving_key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    async with server:
        trusting = ssl.create_default_context(cafile=str(keys.ca))
        _, writer = await asyncio.open_connection(LOOPBACK, port, ssl=trusting, server_hostname=name)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(LOOPBACK, port, ssl=ssl.create_default_context())


def test_only_the_owner_can_enter_the_folder(tmp_path: Path) -> None:
    write_keys(tmp_path / "pki")
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
