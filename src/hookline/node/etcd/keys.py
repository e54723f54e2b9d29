"""Names the keys of a cluster in etcd. Pure."""


class Keys:
    """The keys of one cluster, all below ``/hookline/<cluster>/``."""

    def __init__(self, cluster: str) -> None:
        self.root = f"/hookline/{cluster}/".encode()
        self.leader = self.root + b"leader"
        self.beat = self.root + b"beat"
        self.log = self.root + b"log/"
        self.nodes = self.root + b"nodes/"
        self.charter = self.root + b"charter"
        self.overruled = self.root + b"overruled/"
        self.secret_key = self.root + b"secret-key"

    def entry(self, index: int) -> bytes:
        """Of a log entry; sorts by index."""
        return self.log + b"%016x" % index

    def index_of(self, key: bytes) -> int:
        """The inverse of ``entry``."""
        return int(key[len(self.log) :], 16)

    def overruled_term(self, term: int) -> bytes:
        """Of the record that a term's leader was the odd one out."""
        return self.overruled + b"%016x" % term

    def node(self, name: str) -> bytes:
        """Of what a node tells about itself."""
        return self.nodes + name.encode()


def prefix_end(prefix: bytes) -> bytes:
    """The ``range_end`` that makes a range cover every key that starts with ``prefix``."""
    last = prefix[-1]
    assert last < 0xFF, "our prefixes are ASCII"
    return prefix[:-1] + bytes([last + 1])
