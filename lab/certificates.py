"""The lab's own certificate authority: serving and client certificates, and service account keys."""

import ssl
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


def key_pair() -> tuple[bytes, bytes]:
    """Make a private key and return both its halves in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _private_pem(key), public


def load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate and its key, in PEM; Python reads them from a file only."""
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        file.write(certificate + key)
        context.load_cert_chain(file.name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


# Python 3.13 and later refuse an authority without it.
_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority, valid for a day; each method returns (certificate, key) in PEM."""

    def __init__(self) -> None:
        """Make the key and the self-signed certificate."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name("ecr-lab")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = self._sign(self._subject, self._key, {constraints: True, _AUTHORITY_USAGE: True})

    def serving(self, *hosts: str) -> tuple[bytes, bytes]:
        """Issue a certificate for 127.0.0.1, localhost and these hosts."""
        names = [x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, ("localhost", *hosts))]
        return self._issue(_name("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """Return the context of a server with such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_chain(context, *self.serving(*hosts))
        return context

    def client(self, user: str, groups: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
        """Issue a client certificate for a user who is a member of these groups."""
        return self._issue(_name(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self, subject: x509.Name, usage: x509.ObjectIdentifier, names: Sequence[x509.GeneralName] = ()
    ) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: dict[x509.ExtensionType, bool] = {x509.ExtendedKeyUsage([usage]): False}
        if names:
            extensions[x509.SubjectAlternativeName(names)] = False
        return self._sign(subject, key, extensions), _private_pem(key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: Mapping[x509.ExtensionType, bool],
    ) -> bytes:
        """Make a certificate in PEM; `extensions` are true where they are critical."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )
        # Python 3.13 and later refuse a chain without key identifiers.
        identifiers = (
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
        )
        for extension, critical in {**dict.fromkeys(identifiers, False), **extensions}.items():
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
