"""``hookline secret …``: keys to sign and verify with."""

from cyclopts import App

from hookline.cli.output import print_json, stdout
from hookline.cli.parameters import Flag
from hookline.cli.sheet import facts
from hookline.clock import SystemClock

app = App(name="secret", help="Make keys to sign and verify webhooks with.")


@app.command
def new(*, ed25519: Flag = False, json: Flag = False) -> None:
    """Print a fresh signing secret. It is not kept anywhere.

    Args:
        ed25519: A key pair: the private key signs, the public key verifies. Else one shared secret.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.protocol import signatures  # brings in the cryptography library

    if ed25519:
        private, public = signatures.generate_ed25519(SystemClock().token(signatures.ED25519_BYTES))
        if json:
            print_json({"private": private, "public": public})
        else:
            stdout().print(facts((("private", private), ("public", public))), soft_wrap=True)
        return
    secret = signatures.generate_secret(SystemClock().token(32))
    if json:
        print_json({"secret": secret})
    else:
        stdout().print(secret, soft_wrap=True)
