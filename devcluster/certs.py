"""The keys of one devcluster: an authority, a serving certificate, the key of service account tokens.

Made before anything starts, so that every component and the kubeconfig know the authority from the beginning.
Elliptic keys, because making an RSA key costs more time than etcd needs to start.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devcluster.ports import LOOPBACK

VALID_FOR = timedelta(days=30)

SERVICE_IP = "10.96.0.1"
"""First address of the service range: where pods reach the API server."""

DNS_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Keys:
    """Paths of PEM files."""

    ca: Path
    serving_certificate: Path
    serving_key: Path
    service_account_key: Path


def write_keys(folder: Path) -> Keys:
    """Make all keys in ``folder``, which only its owner can read."""
    folder.mkdir(mode=0o700)
    keys = Keys(
        ca=folder / "ca.crt",
        serving_certificate=folder / "serving.crt",
        serving_key=folder / "serving.key",
        service_account_key=folder / "service-account.key",
    )
    authority_key, serving_key = _key(), _key()
    authority = _certificate("devcluster-ca", key=authority_key, signer=authority_key, issuer="devcluster-ca")
    serving = _certificate("kube-apiserver", key=serving_key, signer=authority_key, issuer="devcluster-ca")
    keys.ca.write_bytes(_pem(authority))
    keys.serving_certificate.write_bytes(_pem(serving))
    keys.serving_key.write_bytes(_private_pem(serving_key))
    keys.service_account_key.write_bytes(_private_pem(_key()))
    return keys


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    name: str, *, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, issuer: str
) -> x509.Certificate:
    now = datetime.now(UTC)
    is_authority = key is signer
    builder = (
        x509.CertificateBuilder()
        .subject_name(_common_name(name))
        .issuer_name(_common_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour of slack for clocks of virtual machines that jump.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_key_usage(is_authority=is_authority), critical=True)
    )
    if not is_authority:
        names = [x509.DNSName(dns) for dns in DNS_NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in (LOOPBACK, SERVICE_IP)]
        builder = builder.add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    # Python 3.13 checks strictly: an authority must say that it signs certificates.
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1, not PKCS 8: kube-apiserver reads the public half of a service account key out of this form only.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
