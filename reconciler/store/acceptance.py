"""The statements that take webhook calls in: known ids, rate, queue, rows, counts, log.

ORDINARY takes the calls with which nothing is special and says no word about the others; ACCEPT
takes any, and tells why it did not. Each is one round trip and one commit for all calls that
wait, which is what makes webhooks fast; a few calls cost what it takes to set the plan up, so
ORDINARY has few parts. The rows of the rate windows are locked first and in order, so that
daemons neither count past each other nor wait in a circle. Look-ups are lateral and limited, and
updates name their rows in an array besides: a plan that was made while a table was small must not
read all of it later. What they insert is what
`reconciler.store.executions.insert` does, a test compares them. Not here: reading the answers.
"""

from __future__ import annotations

from typing import Final

from reconciler.store.executions.insert import (
    CROWD,
    DEFAULT_MAX_QUEUED,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    NOW,
)
from reconciler.trigger.rate import SLOTS

# How far a window has moved, and what it still holds: see `reconciler.trigger.rate`. One that is
# further ahead than a period was written by a clock that was wrong: it holds nothing. (ORDINARY
# takes it as it is until it is full, and leaves it to ACCEPT then.)
_WINDOWS: Final = f"""
rules AS MATERIALIZED (
    SELECT DISTINCT ON (automation) automation, "limit", period / {SLOTS} AS size
    FROM asked ORDER BY automation, place DESC
), locked AS MATERIALIZED (
    SELECT w.automation_id, w.slot, w.slot_seconds, w.counts
    FROM reconciler.webhook_rates AS w
    WHERE w.automation_id = ANY(%(automations)s) ORDER BY w.automation_id FOR UPDATE
), clock AS MATERIALIZED (
    -- Of the locked rows, so that it is read after the wait for them.
    SELECT l.*, r."limit", r.size, extract(epoch FROM clock_timestamp())::float8 AS at
    FROM locked AS l JOIN rules AS r ON r.automation = l.automation_id
), windows AS MATERIALIZED (
    SELECT c.*, m.*,
        "limit" - (SELECT COALESCE(sum(n), 0) FROM unnest(
            c.counts[1:{SLOTS + 1} - m.moved]
        ) AS n) AS free
    FROM clock AS c CROSS JOIN LATERAL (
        SELECT now_slot, same, CASE
            WHEN same THEN LEAST(abs(now_slot - c.slot), {SLOTS + 1})::integer
            WHEN abs(c.at - (c.slot + 1) * c.slot_seconds) > {SLOTS + 1} * c.size THEN {SLOTS + 1}
            ELSE 0 END AS moved
        FROM (
            SELECT GREATEST(
                floor(c.at / c.size)::bigint,
                CASE WHEN c.slot_seconds = c.size AND c.slot <= c.at / c.size + {SLOTS}
                    THEN c.slot END
            ) AS now_slot, c.slot_seconds = c.size AS same
        ) AS n
    ) AS m
)"""

# The counts after *taken* more, shifted: zeros for slots in which nobody called.
_SHIFTED: Final = f"""
    WHEN w.moved = 0 THEN
        ARRAY[COALESCE(w.counts[1], 0) + t.taken] || w.counts[2:{SLOTS + 1}]
    ELSE ARRAY[t.taken] || array_fill(0, ARRAY[w.moved - 1])
        || w.counts[1:{SLOTS + 1} - w.moved]
END"""
_COUNTS: Final = f"""
CASE
    WHEN NOT w.same AND w.moved = 0 THEN ARRAY[(
        SELECT COALESCE(sum(n), 0)::integer FROM unnest(w.counts) AS n) + t.taken]{_SHIFTED}"""

# Followed by where the rows come from.
_INSERT: Final = f"""
    INSERT INTO workflow_executions (
        id, "automationId", "orgId", status, "startedAt", "triggerData", "triggerId",
        "idempotencyKey", "runAt", "maxAttempts", "timeoutSeconds", revision, cause, method,
        "queueDeadline", "createdAt", "updatedAt"
    )
    SELECT id, automation, organization, 'QUEUED', {NOW}, data, trigger, key, {NOW},
        COALESCE(max_retries, {DEFAULT_RETRIES}) + 1,
        COALESCE(timeout_seconds, {DEFAULT_TIMEOUT}), revision, 'webhook', method,
        {NOW} + make_interval(secs => queue_deadline_seconds), {NOW}, {NOW}"""

# What follows from `taken`: the rest of `moved`, which sets the windows, and two more.
_AFTER: Final = f"""
    FROM windows AS w
    JOIN (SELECT automation, count(*)::integer AS taken FROM taken GROUP BY 1) AS t
        ON t.automation = w.automation_id
    WHERE r.automation_id = w.automation_id
        AND r.automation_id = ANY(ARRAY(SELECT automation FROM taken))
), counted AS (
    UPDATE workflow_triggers AS t
    SET "triggerCount" = t."triggerCount" + f.fires, "lastTriggeredAt" = {NOW}
    FROM (SELECT trigger AS id, count(*) AS fires FROM taken GROUP BY 1 ORDER BY 1) AS f
    WHERE t.id = f.id AND t.id = ANY(ARRAY(SELECT trigger FROM taken))
), logged AS (
    INSERT INTO reconciler.webhook_deliveries (
        organization_id, automation_id, trigger_id, accepted, replay_key, execution_id,
        remote_address, body_bytes
    )
    SELECT organization, automation, trigger, true, key, id, remote::inet, bytes FROM taken
    ON CONFLICT DO NOTHING
)"""

ACCEPT: Final = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(
            %(ids)s::text[], %(automations)s::text[], %(triggers)s::text[], %(keys)s::text[],
            %(methods)s::text[], %(limits)s::bigint[], %(periods)s::float8[], %(remotes)s::text[],
            %(bytes)s::integer[]
        ), jsonb_array_elements(%(data)s::jsonb)
    ) WITH ORDINALITY AS v(
        id, automation, trigger, key, method, "limit", period, remote, bytes, data, place)
), {_WINDOWS}, known AS MATERIALIZED (
    SELECT v.place, e.id, e.status, (
        SELECT d.execution_id FROM reconciler.webhook_deliveries AS d
        WHERE d.automation_id = v.automation AND d.replay_key = v.key AND d.accepted
        LIMIT 1
    ) AS delivered
    FROM asked AS v
    LEFT JOIN LATERAL (
        SELECT x.id, x.status::text FROM workflow_executions AS x
        WHERE x."automationId" = v.automation AND x."idempotencyKey" = v.key
        LIMIT 1
    ) AS e ON true
    WHERE v.key IS NOT NULL
), checked AS MATERIALIZED (
    SELECT v.*, a."orgId" AS organization, r.automation_id IS NULL AS bare, s.revision,
        r.timeout_seconds, r.max_retries, r.queue_deadline_seconds,
        COALESCE(r.max_queued, {DEFAULT_MAX_QUEUED}) AS room,
        COALESCE(k.id, k.delivered) AS known_id, k.status AS known_status,
        CASE
            WHEN a."orgId" IS NULL OR t."isActive" IS NULL THEN 'unknown'
            WHEN NOT a."isActive" OR NOT t."isActive" THEN 'inactive'
            WHEN COALESCE(k.id, k.delivered) IS NOT NULL THEN 'known'
            WHEN w.automation_id IS NULL THEN 'bare'
        END AS refusal, w.free
    FROM asked AS v
    LEFT JOIN LATERAL (
        SELECT x."orgId", x."isActive" FROM automations AS x WHERE x.id = v.automation LIMIT 1
    ) AS a ON true
    LEFT JOIN LATERAL (
        SELECT x."isActive" FROM workflow_triggers AS x
        WHERE x.id = v.trigger AND x."automationId" = v.automation LIMIT 1
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT x.* FROM reconciler.automation_runtime AS x
        WHERE x.automation_id = v.automation LIMIT 1
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT x.revision FROM reconciler.resources AS x WHERE x.row_id = v.automation LIMIT 1
    ) AS s ON true
    LEFT JOIN known AS k ON k.place = v.place
    LEFT JOIN windows AS w ON w.automation_id = v.automation
), {CROWD}, ranked AS MATERIALIZED (
    SELECT c.*, w.waiting,
        row_number() OVER (PARTITION BY c.automation ORDER BY c.place) AS rank
    FROM checked AS c JOIN crowd AS w ON w.automation = c.automation
    WHERE c.refusal IS NULL
), admitted AS MATERIALIZED (
    SELECT r.*, CASE WHEN rank > free THEN 'rate' WHEN waiting + rank > room THEN 'full' END AS why
    FROM ranked AS r
), equipped AS (
    INSERT INTO reconciler.automation_runtime (automation_id)
    SELECT DISTINCT automation FROM admitted WHERE bare AND why IS NULL ORDER BY automation
    ON CONFLICT (automation_id) DO NOTHING
), fresh AS ({_INSERT}
    FROM admitted WHERE why IS NULL ORDER BY place
    ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
    DO NOTHING
    RETURNING id
), taken AS MATERIALIZED (
    SELECT a.* FROM admitted AS a JOIN fresh AS f ON f.id = a.id
), moved AS (
    UPDATE reconciler.webhook_rates AS r
    SET slot = w.now_slot, slot_seconds = w.size, counts = {_COUNTS}{_AFTER}
SELECT c.place, t.id IS NOT NULL, COALESCE(c.refusal, a.why), c.known_id, c.known_status,
    w.slot, w.slot_seconds, w.counts, w.at
FROM checked AS c
LEFT JOIN admitted AS a ON a.place = c.place
LEFT JOIN taken AS t ON t.place = c.place
LEFT JOIN windows AS w ON w.automation_id = c.automation AND a.why = 'rate'
ORDER BY c.place
""".encode()

# Calls of an active trigger whose id nobody knows, within the rate, of an automation without a
# bound of its own. That far fewer executions wait than may, the caller knows (`reconciler.store.rooms`).
# `windows` describes each automation once; `rank` numbers an automation's calls. JSON, because
# an array for each column costs more, here and there. Of a call whose id turns out to be taken,
# only ACCEPT can say whose it is.
ORDINARY: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT w.*, v."limit", v.size, w.slot_seconds = v.size AS same
    FROM (
        SELECT * FROM jsonb_to_recordset(%(windows)s::jsonb) AS v(
            automation text, "limit" bigint, size float8)
        ORDER BY automation
    ) AS v
    CROSS JOIN LATERAL (
        SELECT x.* FROM reconciler.webhook_rates AS x
        WHERE x.automation_id = v.automation LIMIT 1 FOR UPDATE
    ) AS w
), windows AS MATERIALIZED (
    SELECT m.*, CASE WHEN same THEN "limit" - (
            SELECT COALESCE(sum(n), 0) FROM unnest(m.counts[1:{SLOTS + 1} - m.moved]) AS n
        ) ELSE 0 END AS free
    FROM (
        SELECT n.*, LEAST(now_slot - slot, {SLOTS + 1})::integer AS moved FROM (
            SELECT l.*, GREATEST(
                floor(extract(epoch FROM clock_timestamp())::float8 / size)::bigint, slot
            ) AS now_slot FROM locked AS l
        ) AS n
    ) AS m
), asked AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(calls)s::jsonb) AS v(
        id text, automation text, trigger text, key text, method text, rank integer,
        remote text, bytes integer, data jsonb)
), fresh AS ({_INSERT}
    FROM (
        SELECT v.id, v.automation, a."orgId" AS organization, v.data, v.trigger, v.key, v.method,
            r.max_retries, r.timeout_seconds, r.queue_deadline_seconds, (
                SELECT x.revision FROM reconciler.resources AS x
                WHERE x.row_id = v.automation LIMIT 1
            ) AS revision
        FROM asked AS v
        CROSS JOIN LATERAL (
            SELECT x."orgId" FROM automations AS x
            WHERE x.id = v.automation AND x."isActive" LIMIT 1
        ) AS a
        CROSS JOIN LATERAL (
            SELECT x."automationId" AS automation, x."isActive" AS active
            FROM workflow_triggers AS x WHERE x.id = v.trigger LIMIT 1
        ) AS t
        CROSS JOIN LATERAL (
            SELECT x.* FROM reconciler.automation_runtime AS x
            WHERE x.automation_id = v.automation AND x.max_queued IS NULL LIMIT 1
        ) AS r
        JOIN windows AS w ON w.automation_id = v.automation
        WHERE v.rank <= w.free AND t.automation = v.automation AND t.active AND (
            SELECT d.execution_id FROM reconciler.webhook_deliveries AS d
            WHERE d.automation_id = v.automation AND d.replay_key = v.key AND d.accepted LIMIT 1
        ) IS NULL
    ) AS ordinary
    ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
    DO NOTHING
    RETURNING id, "orgId" AS organization
), taken AS MATERIALIZED (
    SELECT v.id, v.automation, v.trigger, v.key, v.remote, v.bytes, f.organization
    FROM asked AS v JOIN fresh AS f ON f.id = v.id
), moved AS (
    UPDATE reconciler.webhook_rates AS r
    SET slot = w.now_slot, counts = CASE{_SHIFTED}{_AFTER}
SELECT id FROM taken
""".encode()

# Each automation has a window before the first of its calls is counted.
EQUIP: Final = b"""
INSERT INTO reconciler.webhook_rates (automation_id)
SELECT a.id FROM automations AS a
WHERE a.id = ANY(%(ids)s)
  AND NOT EXISTS (SELECT FROM reconciler.webhook_rates AS r WHERE r.automation_id = a.id)
ORDER BY a.id
ON CONFLICT DO NOTHING
"""

# A statement of its own: it sees what another daemon committed while the first one waited.
KNOWN: Final = b"""
SELECT v.place, COALESCE(e.id, (
        SELECT d.execution_id FROM reconciler.webhook_deliveries AS d
        WHERE d.automation_id = v.automation AND d.replay_key = v.key AND d.accepted
        LIMIT 1
    )), e.status
FROM unnest(%(automations)s::text[], %(keys)s::text[], %(places)s::integer[])
    AS v(automation, key, place)
LEFT JOIN LATERAL (
    SELECT x.id, x.status::text FROM workflow_executions AS x
    WHERE x."automationId" = v.automation AND x."idempotencyKey" = v.key
    LIMIT 1
) AS e ON true
"""
