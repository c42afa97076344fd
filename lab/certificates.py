"""The lab's own certificate authority: serving and client certificates, and service account keys."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


def key_pair() -> tuple[bytes, bytes]:
    """Make a private key and return both its halves in PEM."""
    key = _new_key()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _private_pem(key), public


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


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
        self._key = _new_key()
        self._subject = _name("ecr-lab")
        builder = self._builder(self._subject, self._key)
        for extension in (x509.BasicConstraints(ca=True, path_length=0), _AUTHORITY_USAGE):
            builder = builder.add_extension(extension, critical=True)
        self.certificate = self._signed(builder)

    def serving(self, *hosts: str) -> tuple[bytes, bytes]:
        """Issue a certificate for 127.0.0.1, localhost and these hosts."""
        names = [x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, ("localhost", *hosts))]
        return self._issue(
            _name("kube-apiserver"),
            (x509.SubjectAlternativeName(names), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        )

    def client(self, user: str, groups: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
        """Issue a client certificate for a user who is a member of these groups."""
        return self._issue(
            _name(user, groups), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        )

    def _issue(self, subject: x509.Name, *extensions: tuple[x509.ExtensionType, bool]) -> tuple[bytes, bytes]:
        key = _new_key()
        builder = self._builder(subject, key)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return self._signed(builder), _private_pem(key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        authority = self._key.public_key()
        return (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            # Python 3.13 and later refuse a chain without key identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
