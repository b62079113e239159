"""A webhook server in a process of its own: `python -m tests.hook_server DATABASE_URL`.

Prints its address, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys

from reconciler.store.database import Database
from tests.hooks_rig import serving


async def main() -> None:
    """Serve until somebody closes our standard input."""
    async with (
        Database(sys.argv[1], pool_size=4, scans=False) as database,
        serving(database) as hooks,
    ):
        print(hooks.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
