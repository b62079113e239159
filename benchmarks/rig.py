"""PostgreSQL and n8n for one run of the benchmarks, and our side of each measurement."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.figures import Spent, Watch
from benchmarks.floor import Floor, side_by_side
from reconciler import app
from reconciler.app.planning import Wish, plan_folder
from reconciler.app.specs import Specs, read_folder
from reconciler.embedded.stack import Stack, with_database
from reconciler.engine.outcome import Report
from reconciler.n8n.client import Limits, N8n
from reconciler.plan.planner import PlanOptions
from reconciler.resource.payload import Object
from reconciler.settings import STATE_FOLDER, Settings
from reconciler.store import migrate
from reconciler.store.admin import create_database


class Watched(N8n):
    """The client of n8n, which remembers when the last publication was accepted."""

    accepted: float = 0.0

    async def post(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Any
    ) -> Object:
        """Call an action."""
        answer = await super().post(path, body, idempotent=idempotent, **query)
        if path.endswith("/publish"):
            self.accepted = time.perf_counter()
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One apply: until n8n had accepted everything, and until everything was served and recorded."""

    accepted: float  # seconds
    spent: Spent
    report: Report


@dataclass(slots=True)
class Rig:
    """One n8n for all parts, and a fresh database of ours whenever a part wants to start anew."""

    folder: Path
    server_url: str
    n8n_url: str
    api_key: str
    encryption_key: str = field(default_factory=lambda: secrets.token_hex(32))
    made: int = 0

    def floor(self) -> Floor:
        """Make a bare client."""
        return Floor(self.n8n_url, self.api_key)

    def anew(self, specs: Path) -> Settings:
        """Empty n8n, and make a database of ours that knows nothing."""
        asyncio.run(self.empty())
        self.made += 1
        name = f"bench_{self.made}"
        create_database(self.server_url, name)
        url = with_database(self.server_url, name)
        asyncio.run(migrate.upgrade(url))
        state = self.folder / "state" / name / STATE_FOLDER
        state.mkdir(parents=True)
        return Settings(
            database_url=SecretStr(url),
            n8n_url=self.n8n_url,
            n8n_api_key=SecretStr(self.api_key),
            encryption_key=SecretStr(self.encryption_key),
            specs=specs,
            state=state,
            n8n_timeout=120,
        )

    async def empty(self) -> None:
        """Delete all workflows in n8n."""
        async with self.floor() as floor:
            ids = [str(workflow["id"]) for workflow in await floor.listing()]
            await side_by_side(ids, floor.delete)

    def environment(self, settings: Settings) -> dict[str, str]:
        """Tell another process what *settings* say."""
        assert settings.database_url is not None
        return {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "N8N_URL": self.n8n_url,
            "N8N_API_KEY": self.api_key,
            "ENCRYPTION_KEY": self.encryption_key,
            "RECONCILER_SPECS": str(settings.specs),
            "RECONCILER_N8N_TIMEOUT": "120",
        }


@contextmanager
def servers(folder: Path) -> Iterator[Rig]:
    """Start PostgreSQL and n8n below *folder*, and end them."""
    print("starting PostgreSQL and n8n", flush=True)
    with Stack(folder / "stack", want_postgres=True, want_n8n=True) as stack:
        yield Rig(folder, stack.database_url, stack.n8n_url, stack.n8n_api_key)


def apply(settings: Settings) -> Applied:
    """Do what `reconciler apply` does, in this process: lock, read, plan, carry out."""
    watch, start = Watch(), time.perf_counter()

    async def work() -> tuple[float, Report]:
        async with _session(settings) as (session, api):
            async with session.lock("bench").acquire(0.0) as held:
                planned = await _plan(session, settings)
                report = await session.carry_out(planned, held, lambda _: None)
            return api.accepted, report

    accepted, report = asyncio.run(work())
    assert report.exit_code == 0, [o for o in report.outcomes if o.error][:3]
    return Applied(accepted=accepted - start, spent=watch.spent(), report=report)


def plan(settings: Settings) -> Spent:
    """Do what `reconciler plan` does, in this process; there must be nothing to do."""
    watch = Watch()

    async def work() -> app.Planned:
        async with _session(settings) as (session, _):
            return await _plan(session, settings)

    planned = asyncio.run(work())
    spent = watch.spent()
    assert planned.plan.is_empty, planned.plan.shown[:3]
    return spent


async def _plan(session: app.Session, settings: Settings) -> app.Planned:
    def valid(specs: Specs) -> None:
        assert not specs.diagnostics, specs.diagnostics[:3]

    reading = asyncio.ensure_future(asyncio.to_thread(read_folder, settings))
    return await plan_folder(session, reading, Wish(options=PlanOptions()), valid)


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[tuple[app.Session, Watched]]:
    assert settings.n8n_url is not None
    assert settings.n8n_api_key is not None
    limits = Limits(read=settings.n8n_timeout, total=settings.n8n_timeout * 3)
    key = settings.n8n_api_key.get_secret_value()
    async with app.open_session(settings, needs_key=True) as session:
        async with Watched(settings.n8n_url, key, limits=limits) as api:
            session.api = api
            yield session, api
