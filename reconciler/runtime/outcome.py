"""What the end of an attempt means for its row: done, failed, or tried again.

Not here: running and asking (`reconciler.runtime.run`), nor writing it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

from reconciler.n8n.outcome import Run, RunState
from reconciler.resource.payload import Value
from reconciler.runtime.hold import Hold
from reconciler.trigger import retry
from reconciler.trigger.execution import Ended, Status

_REPEATABLE: Final = frozenset({RunState.ERROR, RunState.CRASHED})


def ended(hold: Hold, now: float, status: Status, message: str | None = None) -> Ended:
    """Describe an end for good at *now* (the event loop's time)."""
    return Ended(
        id=hold.claimed.id,
        attempt=hold.claimed.attempt,
        status=status,
        milliseconds=max(0, round((now - hold.began) * 1000)),
        n8n_execution_id=hold.n8n_execution_id,
        error_message=message,
    )


def failed(hold: Hold, now: float, message: str) -> Ended:
    """Describe a failure for good, or the end of what somebody wanted to end anyway."""
    if hold.cancelled.is_set():
        return ended(hold, now, Status.CANCELLED, "cancelled")
    return ended(hold, now, Status.FAILED, message)


def again(hold: Hold, failed: Ended, retry_after: float | None = None) -> Ended:
    """Turn an end into another try in 2, 4, 8 seconds, if there is one left."""
    if failed.attempt >= hold.claimed.max_attempts or hold.cancelled.is_set():
        return failed
    wait = retry.delay(failed.attempt, retry_after)
    return replace(failed, status=Status.QUEUED, outcome=failed.status, retry_in=wait)


def untried(hold: Hold, now: float, message: str, wait: float = 0.0) -> Ended:
    """Put it back without spending the attempt: nothing ran, and the workflow is not to blame."""
    back = ended(hold, now, Status.QUEUED, message)
    began, wait = hold.claimed.began_at, min(wait, retry.MAX_DELAY)
    return replace(back, outcome=Status.FAILED, retry_in=wait, counts=False, began_at=began)


def lost(
    hold: Hold, now: float, message: str = "the worker was lost, and n8n does not know of a run"
) -> Ended:
    """Decide about a run of which n8n tells nothing, so that nobody knows what it did."""
    if hold.claimed.at_most_once:
        return failed(hold, now, f"{message}; it is not repeated (atMostOnce)")
    return again(hold, failed(hold, now, message))


def finished(hold: Hold, now: float, run: Run, *, outage: bool = False) -> Ended:
    """Record how n8n's run ended; after an *outage* n8n may have lost a run that it had begun."""
    if run.state is RunState.GONE and outage:
        return lost(hold, now, "n8n was away and does not know of the run any more")
    late = now >= hold.began + hold.claimed.timeout_seconds
    match run.state:
        case RunState.SUCCESS:
            status = Status.SUCCESS
        case RunState.CANCELED if late and not hold.cancelled.is_set():
            status = Status.TIMEOUT  # by us, or by n8n's own limit for the workflow
        case RunState.CANCELED:
            status = Status.CANCELLED
        case _ if hold.cancelled.is_set():
            status = Status.CANCELLED
        case _:
            status = Status.FAILED
    result = replace(
        ended(hold, now, status, run.error_message),
        n8n_execution_id=run.id,
        n8n_version_id=run.version_id,
        output=cast("Value", run.output),  # JSON is one kind of Value
        output_truncated=run.truncated,
        error_stack=run.error_stack,
        error_node=run.error_node,
    )
    if status is Status.TIMEOUT:
        return again(hold, replace(result, error_message=_too_long(hold)))
    if run.state is RunState.CRASHED and hold.claimed.at_most_once:
        message = f"{run.error_message or 'n8n crashed'}; it is not repeated (atMostOnce)"
        return replace(result, error_message=message)
    return again(hold, result) if run.state in _REPEATABLE else result


def timed_out(hold: Hold, now: float) -> Ended:
    """Record a run whose time was over, and that n8n does not show as stopped."""
    over = ended(hold, now, Status.TIMEOUT, _too_long(hold))
    if hold.started and hold.claimed.at_most_once:
        message = f"{over.error_message}; it is not repeated (atMostOnce)"
        return replace(over, error_message=message)
    return again(hold, over)


def broken(hold: Hold, now: float, error: BaseException) -> Ended:
    """Record a mistake of our own; another attempt may get around it."""
    message = f"reconciler failed to run it: {type(error).__name__}"
    if hold.started:  # n8n may have run it
        return lost(hold, now, message)
    return again(hold, failed(hold, now, message))


def _too_long(hold: Hold) -> str:
    return f"the run took longer than {hold.claimed.timeout_seconds:g} s"
