"""Says in one sentence why a TLS connection did not come about, and what to do. Pure."""

import ssl
from typing import Final

_ENDED: Final = 10
_NOT_YET: Final = 9
_OTHER_NAMES: Final = frozenset({62, 64})  # a host name, an address (X509_V_ERR_…, openssl/x509_vfy.h)
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_DISTRUST: Final = frozenset(
    {"TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_BAD_CERTIFICATE"}
)
# Said by a server that does not let this client in. It says so before it reads a request (RFC 8446, section 6.2).
_ALERTS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate, and none was shown",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust the client certificate that was shown",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client certificate that was shown has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client certificate that was shown is revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server does not take the client certificate that was shown",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the client certificate that was shown is not made for clients",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not take the client certificate that was shown",
    "TLSV1_ALERT_DECRYPT_ERROR": "the server does not take the client certificate that was shown",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server asks for a client certificate, or for another TLS than this",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks another version of TLS",
}


def explained(error: ssl.SSLError) -> str:
    """The reason, for the end of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _ENDED:
            return "the server's certificate has expired"
        if error.verify_code == _NOT_YET:
            return "the server's certificate is not valid yet, by the clock of this machine"
        if error.verify_code in _OTHER_NAMES:
            return f"the server's certificate is for another name: {_plain(error.verify_message)}"
        return f"the server's certificate is not trusted: {_plain(error.verify_message)}"
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "what answers there does not speak TLS"
    return _ALERTS.get(reason, f"the TLS handshake failed: {reason or error}")


def why_not_let_in(error: ssl.SSLError) -> str:
    """The same at a server, of its client."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {_plain(error.verify_message)}"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it shows no certificate"
    if reason in _DISTRUST:
        return "it does not trust the certificate that is shown here"
    if reason == "SSLV3_ALERT_CERTIFICATE_EXPIRED":
        return "it says that the certificate that is shown here has expired"
    return reason or str(error)


def cure(error: ssl.SSLError) -> str:
    """Tells a caller of a service what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _ENDED:
            return "It has to be renewed there."
        if error.verify_code == _NOT_YET:
            return "Is the clock of this machine right?"
        if error.verify_code in _OTHER_NAMES:
            return "Is the address right?"
        return 'Name your own authority: ca_file="ca.pem", --ca-file ca.pem or HOOKLINE_CA_FILE=ca.pem.'
    if is_not_let_in(error):
        return (
            'Show a certificate that it trusts: cert=("client.pem", "client-key.pem"), --client-cert and --client-key, '
            "or HOOKLINE_CLIENT_CERT and HOOKLINE_CLIENT_KEY."
        )
    return "Does it speak TLS? If not, its address begins with http://."


def is_not_let_in(error: BaseException | None) -> bool:
    """The server has said that it does not take this client: it has read no request."""
    return isinstance(error, ssl.SSLError) and (error.reason or "") in _ALERTS


def _plain(message: object) -> str:
    return str(message).rstrip(".")
