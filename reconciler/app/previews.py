"""When the schedules of spec files fire, without any server.

Not here: schedules that are applied (`reconciler.app.schedules`), nor printing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.app import load_specs
from reconciler.diagnostics import Diagnostic
from reconciler.errors import UsageError
from reconciler.kinds.automation import AutomationSpec
from reconciler.kinds.trigger import TriggerSpec
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.spec.link import Loaded, Resource
from reconciler.spec.problems import did_you_mean
from reconciler.trigger.events import TriggerType
from reconciler.trigger.next_fire import fires, remark, schedule_problem
from reconciler.trigger.schedule import cron_problem, zone_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One time a schedule fires: *local* in its zone, and what changing clocks do to it."""

    local: datetime
    remark: str | None

    @property
    def utc(self) -> datetime:
        """The same in UTC."""
        return self.local.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A schedule, and when it fires next."""

    label: str
    cron: str
    zone: str
    misfire: str = "fire_once"
    overlap: str = "skip"
    jitter_seconds: float = 0
    active: bool = True  # it and its automation
    occurrences: tuple[Occurrence, ...] = ()


def upcoming(cron: str, zone: str, after: datetime, count: int) -> tuple[Occurrence, ...]:
    """List the next *count* occurrences later than *after*; fewer when there are no more.

    Raises UsageError for a schedule that is broken.
    """
    problem = schedule_problem(cron, zone)
    if problem is not None:
        known = cron_problem(cron) or zone_problem(zone)
        usual = 'such as "0 9 * * 1-5" with --timezone Europe/Berlin'
        raise UsageError(problem, hint=known.hint if known and known.hint else usual)
    found: list[Occurrence] = []
    try:
        for fire in islice(fires(cron, zone, after), count):
            local = fire.astimezone(ZoneInfo(zone))
            found.append(Occurrence(local=local, remark=remark(cron, zone, fire)))
    except ValueError:
        pass  # never again
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The schedules that a name means, and what is wrong with the specs where there is none."""

    previews: tuple[Preview, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


def in_specs(settings: Settings, name: str, after: datetime, count: int) -> Found:
    """Preview the schedules that *name* (a file, an automation, a schedule) means in the specs.

    Raises UsageError when there is none, though the specs are right; ConfigError without specs.
    """
    file = Path(name) if name.lower().endswith((".yaml", ".yml")) else None
    if file is not None and not file.is_file():
        message = f"there is no file {file}"
        raise UsageError(message)
    loaded = load_specs(settings.specs if file is None else _root(settings, file))
    meant = [one for one in _schedules(loaded) if _is_meant(one, name, file)]
    if meant:
        return Found(previews=tuple(_preview(loaded, one, after, count) for one in meant))
    wrong = tuple(one for one in loaded.diagnostics if one.is_error and _is_in(one, file))
    if wrong:
        return Found(diagnostics=wrong, texts=loaded.texts)
    if file is not None:
        message = f"{file} declares no schedule"
        raise UsageError(message, hint="a trigger of type SCHEDULE with cron: is one")
    message = f'the specs have no schedule "{name}"'
    known = {one.address.name for one in _schedules(loaded)}
    known |= {name.partition(".")[0] for name in known}
    hint = did_you_mean(name, known, "--applied looks into the database instead")
    raise UsageError(message, hint=hint)


def _is_in(diagnostic: Diagnostic, file: Path | None) -> bool:
    if file is None:
        return True
    mark = diagnostic.mark
    return mark is not None and Path(mark.path).resolve() == file.resolve()


def _root(settings: Settings, file: Path) -> Path:
    """Read the folder that holds *file*: all of the specs, where it is one of them."""
    inside = file.resolve().is_relative_to(settings.specs.resolve())
    return settings.specs if inside else file.parent


def _schedules(loaded: Loaded) -> Iterator[Resource]:
    for resource in loaded.resources:
        spec = resource.spec
        if isinstance(spec, TriggerSpec) and spec.type is TriggerType.SCHEDULE:
            yield resource


def _is_meant(resource: Resource, name: str, file: Path | None) -> bool:
    if file is not None:
        return Path(resource.mark.path).resolve() == file.resolve()
    spec = resource.spec
    assert isinstance(spec, TriggerSpec)
    address = resource.address
    home = address.organization
    names = [address.name, spec.automation]
    return name in {
        *names,
        str(address),
        str(Address(home, "Automation", spec.automation)),
        *(f"{home}/{one}" for one in names),
    }


def _preview(loaded: Loaded, resource: Resource, after: datetime, count: int) -> Preview:
    spec = resource.spec
    assert isinstance(spec, TriggerSpec)
    home = resource.address.organization
    owner = loaded.resource(Address(home, "Automation", spec.automation))
    on = owner is None or not isinstance(owner.spec, AutomationSpec) or owner.spec.active
    jitter = 0.0 if spec.jitter is None else spec.jitter.total_seconds()
    return Preview(
        label=f"{home}/{resource.address.name}",
        cron=spec.cron or "",
        zone=spec.timezone,
        misfire=spec.misfire.value,
        overlap=spec.overlap.value,
        jitter_seconds=jitter,
        active=spec.active and on,
        occurrences=upcoming(spec.cron or "", spec.timezone, after, count),
    )
