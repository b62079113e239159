"""The SQL of events: `reconciler.store.events` and `reconciler.store.event_records` execute it."""

from __future__ import annotations

ADD = b"""
INSERT INTO reconciler.events (organization_id, id, type, data, sent_by)
VALUES (%(organization)s, %(id)s, %(type)s, %(data)s::jsonb, %(sent_by)s)
ON CONFLICT (organization_id, id) DO NOTHING
RETURNING created_at
"""
KNOWN = b"""
SELECT type, data = %(data)s::jsonb, dispatched_at IS NULL, error
FROM reconciler.events WHERE organization_id = %(organization)s AND id = %(id)s
"""
# statement_timestamp() is the database's clock too, and an index can be searched with it.
OPEN = """
SELECT organization_id, id, type, created_at, started, jsonb_typeof(data),
       CASE WHEN octet_length(data::text) <= %(most)s THEN data::text END
FROM reconciler.events
WHERE dispatched_at IS NULL AND {} ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
DUE = OPEN.format("due_at <= statement_timestamp()").encode()
ONE = OPEN.format("organization_id = %(organization)s AND id = %(id)s").encode()
LISTENERS = b"""
SELECT v.place, t.id, t."automationId", t."eventFilters"::text,
       coalesce(r.organization || '/' || r.name, a.name), t.name
FROM unnest(%(places)s::int[], %(organizations)s::text[], %(names)s::text[], %(types)s::text[])
    AS v(place, organization, name, type)
JOIN public.workflow_triggers t ON t."orgId" = v.organization AND t."triggerEvent" = v.name
    AND t."isActive" AND t."triggerType"::text = ANY(%(event_types)s)
    AND (v.type IS NULL OR t."triggerType"::text = v.type)
JOIN public.automations a ON a.id = t."automationId" AND a."isActive"
LEFT JOIN reconciler.resources r ON r.row_id = a.id AND r.kind = 'Automation'
ORDER BY t."automationId", t.id, v.place
"""
SETTLE = b"""
UPDATE reconciler.events e SET
    attempts = e.attempts + 1, executions = v.executions, error = v.error,
    started = ARRAY(SELECT jsonb_array_elements_text(v.started)),
    dispatched_at = CASE WHEN v.finished THEN clock_timestamp() END,
    due_at = CASE WHEN v.finished THEN e.due_at
             ELSE clock_timestamp() + make_interval(secs => least(60, power(2, least(e.attempts, 10)))) END
FROM unnest(%(organizations)s::text[], %(ids)s::text[], %(executions)s::int[],
            %(started)s::jsonb[], %(errors)s::text[], %(finished)s::bool[])
    AS v(organization, id, executions, started, error, finished)
WHERE e.organization_id = v.organization AND e.id = v.id
"""
POSTPONE = b"""
UPDATE reconciler.events SET attempts = attempts + 1, error = %(error)s,
    due_at = clock_timestamp() + make_interval(secs => least(300, power(2, least(attempts, 10))))
WHERE organization_id = %(organization)s AND id = %(id)s AND dispatched_at IS NULL
"""
STARTED = b"""
SELECT e.id, e."automationId", coalesce(r.organization || '/' || r.name, a.name), t.id, t.name,
       e.status::text
FROM public.workflow_triggers t
JOIN public.workflow_executions e ON e."automationId" = t."automationId"
    AND e."idempotencyKey" = 'evt:' || %(id)s || ':' || t.id
JOIN public.automations a ON a.id = e."automationId"
LEFT JOIN reconciler.resources r ON r.row_id = a.id AND r.kind = 'Automation'
WHERE t."orgId" = %(organization)s AND t."triggerType"::text = ANY(%(event_types)s)
ORDER BY 3, t.name, e.id
"""
