SELECT * FROM automations
WHERE "orgId" = $1 AND "isActive" = true
ORDER BY "createdAt" DESC;

SELECT * FROM workflow_executions
WHERE "automationId" = $1
ORDER BY "startedAt" DESC
LIMIT 50;

SELECT we.*, a.name as automation_name
FROM workflow_executions we
JOIN automations a ON we."automationId" = a.id
WHERE we.status = 'FAILED' AND we."retryCount" < 3
ORDER BY we."startedAt" DESC;

SELECT
  id,
  name,
  "executionCount",
  "successCount",
  "failureCount",
  CASE
    WHEN "executionCount" > 0
    THEN ("successCount"::float / "executionCount" * 100)
    ELSE 0
  END as success_rate_pct
FROM automations
WHERE "orgId" = $1
ORDER BY success_rate_pct DESC;

SELECT * FROM automation_templates
WHERE "isOfficial" = true
ORDER BY "useCount" DESC, rating DESC
LIMIT 20;

SELECT
  DATE_TRUNC('day', "startedAt") as day,
  COUNT(*) as total_executions,
  SUM(CASE WHEN status = 'SUCCESS' THEN 1 ELSE 0 END) as successful,
  (SUM(CASE WHEN status = 'SUCCESS' THEN 1 ELSE 0 END)::float / COUNT(*) * 100) as success_rate
FROM workflow_executions
WHERE "orgId" = $1
  AND "startedAt" >= NOW() - INTERVAL '30 days'
GROUP BY day
ORDER BY day DESC;

SELECT
  a.id,
  a.name,
  a."avgExecutionTime",
  a."executionCount"
FROM automations a
WHERE a."orgId" = $1
  AND a."executionCount" > 10
ORDER BY a."avgExecutionTime" DESC
LIMIT 10;
