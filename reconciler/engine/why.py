"""Why something is as it is, in sentences: an execution, a resource. Pure.

Each answer begins with the reason that counts; what else is known follows. Not here: reading it
(`reconciler.store.background`), how it looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.plan.restraint import Hold, What, covering
from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store.background import Known, Runtime
from reconciler.store.executions import Attempt, Execution, Summary
from reconciler.store.operations import StepRecord
from reconciler.trigger.execution import Status

SYNCED = "Synced"  # the condition that the daemon keeps


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: what it is about, and a sentence without a period."""

    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an execution's fate may depend on; *now* by the database's clock."""

    now: datetime
    runtime: Runtime | None
    address: Address | None
    holds: Sequence[Hold] = ()


def why_execution(one: Execution, around: Circumstances) -> list[Said]:
    """Explain why an execution ended as it did, or what it waits for."""
    return [Said("because", text) for text in _reasons(one, around)] + [
        Said(f"attempt {attempt.attempt}", _attempt(attempt, before))
        for attempt, before in zip(one.attempts, (None, *one.attempts), strict=False)
    ]


def _reasons(one: Execution, around: Circumstances) -> Iterator[str]:
    summary = one.summary
    match summary.status:
        case Status.QUEUED:
            yield from _waits(summary, around)
        case Status.RUNNING:
            yield from _runs(one, around)
        case Status.SUCCESS:
            tries = f" at attempt {summary.attempt}" if summary.attempt > 1 else ""
            yield f"the workflow ran to its end{tries}"
        case Status.TIMEOUT:
            limit = f" ({one.timeout_seconds} s)" if one.timeout_seconds else ""
            yield f"it took longer than the automation may take{limit}, so it was stopped"
            yield from _error(summary)
        case Status.CANCELLED:
            yield summary.error_message or "it was cancelled"
        case Status.FAILED:
            yield from _error(summary)
            yield _no_more(summary)


def _error(one: Summary) -> Iterator[str]:
    if one.error_message:
        where = f'node "{one.error_node}" failed: ' if one.error_node else ""
        yield f"{where}{one.error_message}"


def _no_more(one: Summary) -> str:
    if one.attempt >= one.max_attempts:
        several = f"all {one.max_attempts} attempts were used"
        return several if one.max_attempts > 1 else "it has one attempt (execution.retries is 0)"
    return "trying again can't help with such an error"


def _waits(one: Summary, around: Circumstances) -> Iterator[str]:
    if one.run_at > around.now:
        wait = _seconds((one.run_at - around.now).total_seconds())
        what = f"attempt {one.attempt + 1} of {one.max_attempts}" if one.attempt else "it"
        yield f"{what} is to begin in {wait}, at {_time(one.run_at)}"
        yield from _error(one)
        return
    reasons = [*_firing(around), *_crowd(around.runtime)]
    yield from reasons
    if not reasons:
        ahead = around.runtime.ahead if around.runtime else 0
        if ahead:
            yield f"{ahead} more of its automation wait before it"
        yield (
            "no worker has taken it: is there a daemon with the role worker, and does n8n answer? "
            "`/readyz` of the daemon tells"
        )


def _crowd(runtime: Runtime | None) -> Iterator[str]:
    if runtime is None:
        return
    if not runtime.active:
        yield "its automation is switched off; what waits is cancelled"
    if runtime.breaker != "CLOSED":
        yield _paused(runtime)
    if runtime.running >= runtime.concurrency:
        more = f", and {runtime.ahead} more wait before it" if runtime.ahead else ""
        yield f"as many runs of its automation go on as may: {runtime.running}{more}"


def _firing(around: Circumstances) -> Iterator[str]:
    if around.address is not None:
        for hold in covering(around.holds, around.address, What.FIRE):
            yield f"runs of {hold.place} are {hold}"


def _paused(runtime: Runtime) -> str:
    end = f" until {_time(runtime.breaker_until)}" if runtime.breaker_until else ""
    if runtime.breaker == "HALF_OPEN":
        return "its automation failed again and again: one run probes whether it works again"
    return f"its automation failed again and again and is paused{end}; then one run probes it"


def _runs(one: Execution, around: Circumstances) -> Iterator[str]:
    summary = one.summary
    since = summary.started_at or summary.created_at
    took = _seconds(max(0.0, (around.now - since).total_seconds()))
    limit = f" of at most {one.timeout_seconds} s" if one.timeout_seconds else ""
    yield f"it has run for {took}{limit}, attempt {summary.attempt} of {summary.max_attempts}"
    if one.worker is not None:
        yield f"worker {one.worker} has it"
    if summary.n8n_execution_id is None:
        yield "n8n has not told an execution id yet"
    if summary.cancel_requested_at is not None:
        yield f"its worker was asked to stop it at {_time(summary.cancel_requested_at)}"


def _attempt(one: Attempt, before: Attempt | None) -> str:
    parts = [_time(one.started_at)]
    if before is not None and before.finished_at is not None:
        gap = (one.started_at - before.finished_at).total_seconds()
        parts.append(f"({_seconds(gap)} after the one before)")
    if one.adopted_at is not None:
        parts.append(f"taken over at {_time(one.adopted_at)} from a worker that was gone,")
    parts.append(one.outcome or "runs")
    if one.milliseconds is not None:
        parts.append(f"after {_seconds(one.milliseconds / 1000)}")
    if one.error:
        where = f'node "{one.error_node}": ' if one.error_node else ""
        parts[-1] += f": {where}{one.error}"
    return " ".join(parts)


def why_resource(
    known: Known | None,
    address: Address,
    holds: Sequence[Hold],
    steps: Sequence[StepRecord],
    runtime: Runtime | None,
) -> list[Said]:
    """Explain why a resource is in the state it is in, from what is recorded."""
    if known is None:
        text = "it was never applied: nothing of this name is recorded"
        return [Said("because", text), *(_step(step) for step in steps)]
    said = [Said("because", text) for text in _state(known, steps)]
    said += [
        Said(f"{what.value} held", f"{hold.place}: {hold}")
        for what in What
        for hold in covering(holds, address, what)
    ]
    if runtime is not None:
        said += [Said("runs", text) for text in _runtime(runtime)]
    said += [_step(step) for step in steps]
    return said


def _state(known: Known, steps: Sequence[StepRecord]) -> Iterator[str]:
    if known.removed_at is not None:
        yield f"it was removed at {_time(known.removed_at)}; declaring it again brings it back"
        return
    if known.applied_at is None and steps and steps[0].error:
        yield f"it is not there: the last try to {steps[0].action} it failed: {steps[0].error}"
    elif known.applied_at is None:
        yield "applying it has begun and never ended: apply again"
    else:
        revision = f" at revision {known.revision}" if known.revision else ""
        yield f"it was applied{revision} at {_time(known.applied_at)}"
    for condition in known.conditions:
        if condition.get("type") == SYNCED:
            yield _condition(condition)
            break
    else:
        yield "no daemon has compared it since; `reconciler plan` does"


def _condition(condition: Object) -> str:
    since = f" since {_kept(condition.get('since'))}"
    message = str(condition.get("message") or "")
    reason = str(condition.get("reason") or "")
    if condition.get("status") == "True":
        return f"it is in sync{since}"
    again = f"; tried again at {_kept(condition['retry_at'])}" if "retry_at" in condition else ""
    return f"it is out of sync{since}: {message or reason}{again}"


def _runtime(runtime: Runtime) -> Iterator[str]:
    if not runtime.active:
        yield "it is switched off: nothing starts it"
    if runtime.breaker != "CLOSED":
        yield _paused(runtime)
    elif runtime.failures_in_a_row:
        times = runtime.failures_in_a_row
        yield f"the last {times} failed" if times > 1 else "the last one failed"
    average = runtime.average_milliseconds
    took = f", {_seconds(average / 1000)} on average" if average is not None else ""
    yield (
        f"{runtime.running} of at most {runtime.concurrency} run, {runtime.queued} wait; "
        f"{runtime.successes} of {runtime.executions} succeeded{took}"
    )


def _step(step: StepRecord) -> Said:
    outcome = {"done": "done", "failed": "failed"}.get(step.outcome or "", "was interrupted")
    error = f": {step.error}" if step.error else ""
    reason = f" ({step.reason})" if step.reason else ""
    return Said("changed", f"{_time(step.intended_at)} {step.action}{reason} {outcome}{error}")


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{value // 60:.0f} m {value % 60:.0f} s"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _kept(text: object) -> str:
    """Write a time that is kept as text."""
    try:
        return _time(datetime.fromisoformat(str(text)))
    except ValueError:  # somebody wrote it by hand
        return str(text)
