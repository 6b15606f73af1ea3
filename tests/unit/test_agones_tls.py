"""The Kubernetes API over TLS, as it is in every cluster: with the cluster's own certificate authority."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from match_server.errors import SettingsError
from match_server.servers.provider import Created, NotCreated
from tests.shared.fake_agones import FakeAgones, FleetSize
from tests.unit.agones_calls import api_of, order, provider_for


def authority(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that vouches for itself, and what a server needs to show it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return ca_file, context


def test_the_token_goes_to_the_api_of_the_clusters_authority_alone(tmp_path: Path) -> None:
    ours, context = authority(tmp_path, "ours")
    others, _ = authority(tmp_path, "others")

    async def scene() -> None:
        async with FakeAgones({"duel": FleetSize(1)}, tls=context) as fake:
            async with provider_for(fake, tmp_path, timeout_seconds=2, ca_file=others) as provider:
                (refused,) = await provider.create([order()])
            assert isinstance(refused, NotCreated)
            assert "certificate verify failed" in refused.detail
            assert fake.calls == []
            async with provider_for(fake, tmp_path, ca_file=ours) as provider:
                (made,) = await provider.create([order()])
            assert isinstance(made, Created)

    asyncio.run(scene())


def test_a_file_without_certificates_ends_the_start(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text("no certificate")
    fake = FakeAgones({"duel": FleetSize(1)})
    fake.url = "https://127.0.0.1:1"
    with pytest.raises(SettingsError, match=r"MATCH_AGONES: ca_file: .*ca\.crt has no certificates"):
        api_of(fake, tmp_path, ca_file=ca_file)
