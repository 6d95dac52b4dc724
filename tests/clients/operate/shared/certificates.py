"""Certificates of a test's own, made when they are asked for."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def key_of(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key, form="pkcs8", passphrase=None):
    forms = {
        "pkcs8": serialization.PrivateFormat.PKCS8,
        # PKCS#1 of an RSA key, SEC1 of an elliptic one.
        "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
    }
    locked = serialization.NoEncryption()
    if passphrase:
        locked = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, forms[form], locked)


def subject_of(name, organization):
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Issues into a folder; each certificate is `<file>.pem` beside `<file>.key`."""

    def __init__(self, folder, name="authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, subject_of(name, "Bongsu tests")
        self.key = key_of("ec")
        now = datetime.datetime.now(datetime.UTC)
        own = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, file, name="localhost", *, kind="ec", form="pkcs8", names=(), ended=False,
              organization=None, passphrase=None):
        """Returns the paths of certificate and key, and the serial number."""
        key = key_of(kind)
        now = datetime.datetime.now(datetime.UTC)
        serial = x509.random_serial_number()
        alternatives = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject_of(name, organization))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - 20 * DAY)
            .not_valid_after(now - DAY if ended else now + 20 * DAY)
            .add_extension(x509.SubjectAlternativeName([*alternatives, *names]), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        paths = (self.folder / f"{file}.pem", self.folder / f"{file}.key")
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(pem_of(key, form, passphrase))
        return (*map(str, paths), serial)
