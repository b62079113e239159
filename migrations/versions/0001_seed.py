"""The seed: five tables, their enums, indexes and foreign keys, exactly as it prints them.

`organization` and `users` are made only where the host application has none.
"""

from __future__ import annotations

from alembic import op

from reconciler.store.ownership import Ownership

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ENUMS = {
    "AutomationTrigger": (
        "WEBHOOK",
        "SCHEDULE",
        "EVENT",
        "MANUAL",
        "API",
    ),
    "ExecutionStatus": (
        "QUEUED",
        "RUNNING",
        "SUCCESS",
        "FAILED",
        "TIMEOUT",
        "CANCELLED",
    ),
    "TriggerType": (
        "WEBHOOK",
        "SCHEDULE",
        "INTAKE_CREATED",
        "INTAKE_ASSIGNED",
        "DOCUMENT_UPLOADED",
        "DOCUMENT_PROCESSED",
        "PIPELINE_STAGE_CHANGED",
        "FORM_SUBMITTED",
        "EMAIL_RECEIVED",
        "API_CALL",
    ),
    "TemplateCategory": (
        "LEAD_MANAGEMENT",
        "CUSTOMER_ONBOARDING",
        "REPORTING",
        "NOTIFICATIONS",
        "DATA_SYNC",
        "CONTENT_PUBLISHING",
        "INVOICING",
        "SUPPORT_AUTOMATION",
        "SALES_PIPELINE",
        "MARKETING",
        "HR_OPERATIONS",
        "OTHER",
    ),
    "IntegrationProvider": (
        "GMAIL",
        "GOOGLE_SHEETS",
        "GOOGLE_DRIVE",
        "GOOGLE_CALENDAR",
        "SLACK",
        "MICROSOFT_TEAMS",
        "OUTLOOK",
        "HUBSPOT",
        "SALESFORCE",
        "STRIPE",
        "PAYPAL",
        "MAILCHIMP",
        "SENDGRID",
        "TWILIO",
        "ZOOM",
        "DROPBOX",
        "TRELLO",
        "ASANA",
        "NOTION",
        "AIRTABLE",
        "WEBHOOK",
        "HTTP_REQUEST",
        "DATABASE",
        "OPENAI",
        "ANTHROPIC",
        "OTHER",
    ),
}

HOST_TABLES = {
    "organization": """
CREATE TABLE "organization" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "organization_pkey" PRIMARY KEY ("id")
)""",
    "users": """
CREATE TABLE "users" (
    "id" TEXT NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "users_pkey" PRIMARY KEY ("id")
)""",
}

TABLES = {
    "automations": """
CREATE TABLE "automations" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "n8nWorkflowId" TEXT,
    "webhookUrl" TEXT,
    "isActive" BOOLEAN NOT NULL DEFAULT true,
    "triggerType" "AutomationTrigger" NOT NULL,
    "triggerConfig" JSONB NOT NULL,
    "lastExecutedAt" TIMESTAMP(3),
    "executionCount" INTEGER NOT NULL DEFAULT 0,
    "successCount" INTEGER NOT NULL DEFAULT 0,
    "failureCount" INTEGER NOT NULL DEFAULT 0,
    "avgExecutionTime" DOUBLE PRECISION,
    "orgId" TEXT NOT NULL,
    "createdById" TEXT NOT NULL,
    "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "metadata" JSONB,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "automations_pkey" PRIMARY KEY ("id")
)""",
    "workflow_executions": """
CREATE TABLE "workflow_executions" (
    "id" TEXT NOT NULL,
    "automationId" TEXT NOT NULL,
    "orgId" TEXT NOT NULL,
    "n8nExecutionId" TEXT,
    "status" "ExecutionStatus" NOT NULL DEFAULT 'RUNNING',
    "startedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "completedAt" TIMESTAMP(3),
    "executionTime" INTEGER,
    "triggerData" JSONB NOT NULL,
    "outputData" JSONB,
    "errorMessage" TEXT,
    "errorStack" TEXT,
    "retryCount" INTEGER NOT NULL DEFAULT 0,
    "metadata" JSONB,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "workflow_executions_pkey" PRIMARY KEY ("id")
)""",
    "workflow_triggers": """
CREATE TABLE "workflow_triggers" (
    "id" TEXT NOT NULL,
    "automationId" TEXT NOT NULL,
    "orgId" TEXT NOT NULL,
    "triggerType" "TriggerType" NOT NULL,
    "triggerEvent" TEXT NOT NULL,
    "webhookUrl" TEXT,
    "cronSchedule" TEXT,
    "eventFilters" JSONB,
    "isActive" BOOLEAN NOT NULL DEFAULT true,
    "lastTriggeredAt" TIMESTAMP(3),
    "triggerCount" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "workflow_triggers_pkey" PRIMARY KEY ("id")
)""",
    "automation_templates": """
CREATE TABLE "automation_templates" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "category" "TemplateCategory" NOT NULL,
    "difficulty" TEXT NOT NULL DEFAULT 'beginner',
    "n8nWorkflowJson" TEXT NOT NULL,
    "thumbnailUrl" TEXT,
    "demoVideoUrl" TEXT,
    "requiredIntegrations" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "useCount" INTEGER NOT NULL DEFAULT 0,
    "rating" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "isOfficial" BOOLEAN NOT NULL DEFAULT false,
    "publishedById" TEXT,
    "publishedAt" TIMESTAMP(3),
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "automation_templates_pkey" PRIMARY KEY ("id")
)""",
    "integration_credentials": """
CREATE TABLE "integration_credentials" (
    "id" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "orgId" TEXT NOT NULL,
    "provider" "IntegrationProvider" NOT NULL,
    "credentialName" TEXT NOT NULL,
    "credentialData" TEXT NOT NULL,
    "scope" TEXT,
    "expiresAt" TIMESTAMP(3),
    "isActive" BOOLEAN NOT NULL DEFAULT true,
    "lastUsedAt" TIMESTAMP(3),
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "integration_credentials_pkey" PRIMARY KEY ("id")
)""",
}

INDEXES = {
    "automations_orgId_isActive_idx": ("", '"automations"("orgId", "isActive")'),
    "automations_triggerType_idx": ("", '"automations"("triggerType")'),
    "automations_createdById_idx": ("", '"automations"("createdById")'),
    "automations_createdAt_idx": ("", '"automations"("createdAt")'),
    "workflow_executions_automationId_status_idx": (
        "",
        '"workflow_executions"("automationId", "status")',
    ),
    "workflow_executions_orgId_startedAt_idx": ("", '"workflow_executions"("orgId", "startedAt")'),
    "workflow_executions_status_idx": ("", '"workflow_executions"("status")'),
    "workflow_executions_createdAt_idx": ("", '"workflow_executions"("createdAt")'),
    "workflow_triggers_automationId_isActive_idx": (
        "",
        '"workflow_triggers"("automationId", "isActive")',
    ),
    "workflow_triggers_orgId_idx": ("", '"workflow_triggers"("orgId")'),
    "workflow_triggers_triggerType_idx": ("", '"workflow_triggers"("triggerType")'),
    "automation_templates_category_idx": ("", '"automation_templates"("category")'),
    "automation_templates_useCount_idx": ("", '"automation_templates"("useCount")'),
    "automation_templates_rating_idx": ("", '"automation_templates"("rating")'),
    "automation_templates_isOfficial_idx": ("", '"automation_templates"("isOfficial")'),
    "integration_credentials_userId_provider_credentialName_key": (
        "UNIQUE ",
        '"integration_credentials"("userId", "provider", "credentialName")',
    ),
    "integration_credentials_orgId_idx": ("", '"integration_credentials"("orgId")'),
    "integration_credentials_userId_isActive_idx": (
        "",
        '"integration_credentials"("userId", "isActive")',
    ),
}

FOREIGN_KEYS = (
    (
        "automations",
        "automations_orgId_fkey",
        'FOREIGN KEY ("orgId") REFERENCES "organization"("id")',
        "ON DELETE RESTRICT ON UPDATE CASCADE",
    ),
    (
        "automations",
        "automations_createdById_fkey",
        'FOREIGN KEY ("createdById") REFERENCES "users"("id")',
        "ON DELETE RESTRICT ON UPDATE CASCADE",
    ),
    (
        "workflow_executions",
        "workflow_executions_automationId_fkey",
        'FOREIGN KEY ("automationId") REFERENCES "automations"("id")',
        "ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "workflow_executions",
        "workflow_executions_orgId_fkey",
        'FOREIGN KEY ("orgId") REFERENCES "organization"("id")',
        "ON DELETE RESTRICT ON UPDATE CASCADE",
    ),
    (
        "workflow_triggers",
        "workflow_triggers_automationId_fkey",
        'FOREIGN KEY ("automationId") REFERENCES "automations"("id")',
        "ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "workflow_triggers",
        "workflow_triggers_orgId_fkey",
        'FOREIGN KEY ("orgId") REFERENCES "organization"("id")',
        "ON DELETE RESTRICT ON UPDATE CASCADE",
    ),
    (
        "integration_credentials",
        "integration_credentials_userId_fkey",
        'FOREIGN KEY ("userId") REFERENCES "users"("id")',
        "ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "integration_credentials",
        "integration_credentials_orgId_fkey",
        'FOREIGN KEY ("orgId") REFERENCES "organization"("id")',
        "ON DELETE RESTRICT ON UPDATE CASCADE",
    ),
)


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(
        "CREATE TABLE reconciler.created_objects ("
        "kind text NOT NULL, name text NOT NULL, "
        "created_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
        "CONSTRAINT created_objects_pkey PRIMARY KEY (kind, name))"
    )
    ours = Ownership(connection)
    for name, labels in ENUMS.items():
        ours.enum(name, labels)
    for name, ddl in HOST_TABLES.items():
        if ours.host_table(name, ddl) and name == "users":
            op.execute('CREATE UNIQUE INDEX "users_email_key" ON "users"("email")')
    for name, ddl in TABLES.items():
        ours.table(name, ddl)
    for name, (unique, on) in INDEXES.items():
        ours.index(name, f'CREATE {unique}INDEX "{name}" ON {on}')
    for table, name, columns, actions in FOREIGN_KEYS:
        ours.constraint(table, name, f"{columns} {actions}")


def downgrade() -> None:
    ours = Ownership(op.get_bind())
    ours.drop_kept()
    for table, name, _, _ in FOREIGN_KEYS:
        ours.drop_constraint(table, name)
    for name in INDEXES:
        ours.drop_index(name)
    for name in reversed(TABLES):
        ours.drop_table(name)
    for name, ddl in HOST_TABLES.items():
        ours.drop_host_table(name, ddl)
    for name in ENUMS:
        ours.drop_enum(name)
    op.execute("DROP TABLE reconciler.created_objects")
