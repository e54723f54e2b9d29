"""The addresses of a name, in time."""

import socket
import threading


def addresses(host: str, port: int, timeout_s: float) -> list[str]:
    """The addresses of a name; looked up by a thread of its own, since nothing else can end a lookup in time.

    Raises:
        TimeoutError, OSError: there is no answer, or none that helps.
    """
    if _is_address(host):
        return [host]
    found: list[str] = []
    failed: list[OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError(f"{host} is not a name of a host"))
        finally:
            done.set()

    threading.Thread(target=look_up, name="hookline-lookup", daemon=True).start()
    if not done.wait(timeout_s):
        raise TimeoutError(f"looking up {host} took too long")
    if failed:
        raise failed[0]
    if not found:
        raise OSError("the name has no address")
    return found


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return True
    return False
