"""A child process that sends back what it gets."""

import asyncio
import sys

from hookline.processes.child import own_end
from hookline.processes.link import linked


async def main() -> None:
    """Until the parent is gone."""

    def received(message: bytes) -> None:
        link.send(message)

    link = await linked(own_end(int(sys.argv[1])), received)
    await link.ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
