"""Says why somebody is not signed in."""

from typing import Final

FORBIDDEN: Final = 403


class SignInRefused(Exception):
    """They are not signed in; the reason is for them and for the log, and tells nothing that is secret.

    Attributes:
        why: in a sentence or two.
        status: of the page that says it.
    """

    def __init__(self, why: str, status: int = FORBIDDEN) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class UnknownKey(Exception):
    """The id token is signed with a key that the provider had not published when it was asked last."""
