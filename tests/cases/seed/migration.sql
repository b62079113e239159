-- CreateEnum
CREATE TYPE "AutomationTrigger" AS ENUM ('WEBHOOK', 'SCHEDULE', 'EVENT', 'MANUAL', 'API');
CREATE TYPE "ExecutionStatus" AS ENUM ('QUEUED', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED');
CREATE TYPE "TriggerType" AS ENUM ('WEBHOOK', 'SCHEDULE', 'INTAKE_CREATED', 'INTAKE_ASSIGNED', 'DOCUMENT_UPLOADED', 'DOCUMENT_PROCESSED', 'PIPELINE_STAGE_CHANGED', 'FORM_SUBMITTED', 'EMAIL_RECEIVED', 'API_CALL');
CREATE TYPE "TemplateCategory" AS ENUM ('LEAD_MANAGEMENT', 'CUSTOMER_ONBOARDING', 'REPORTING', 'NOTIFICATIONS', 'DATA_SYNC', 'CONTENT_PUBLISHING', 'INVOICING', 'SUPPORT_AUTOMATION', 'SALES_PIPELINE', 'MARKETING', 'HR_OPERATIONS', 'OTHER');
CREATE TYPE "IntegrationProvider" AS ENUM ('GMAIL', 'GOOGLE_SHEETS', 'GOOGLE_DRIVE', 'GOOGLE_CALENDAR', 'SLACK', 'MICROSOFT_TEAMS', 'OUTLOOK', 'HUBSPOT', 'SALESFORCE', 'STRIPE', 'PAYPAL', 'MAILCHIMP', 'SENDGRID', 'TWILIO', 'ZOOM', 'DROPBOX', 'TRELLO', 'ASANA', 'NOTION', 'AIRTABLE', 'WEBHOOK', 'HTTP_REQUEST', 'DATABASE', 'OPENAI', 'ANTHROPIC', 'OTHER');

-- CreateTable: Automation
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
);

-- CreateTable: WorkflowExecution
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
);

-- CreateTable: WorkflowTrigger
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
);

-- CreateTable: AutomationTemplate
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
);

-- CreateTable: IntegrationCredential
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
);

-- CreateIndexes
CREATE INDEX "automations_orgId_isActive_idx" ON "automations"("orgId", "isActive");
CREATE INDEX "automations_triggerType_idx" ON "automations"("triggerType");
CREATE INDEX "automations_createdById_idx" ON "automations"("createdById");
CREATE INDEX "automations_createdAt_idx" ON "automations"("createdAt");

CREATE INDEX "workflow_executions_automationId_status_idx" ON "workflow_executions"("automationId", "status");
CREATE INDEX "workflow_executions_orgId_startedAt_idx" ON "workflow_executions"("orgId", "startedAt");
CREATE INDEX "workflow_executions_status_idx" ON "workflow_executions"("status");
CREATE INDEX "workflow_executions_createdAt_idx" ON "workflow_executions"("createdAt");

CREATE INDEX "workflow_triggers_automationId_isActive_idx" ON "workflow_triggers"("automationId", "isActive");
CREATE INDEX "workflow_triggers_orgId_idx" ON "workflow_triggers"("orgId");
CREATE INDEX "workflow_triggers_triggerType_idx" ON "workflow_triggers"("triggerType");

CREATE INDEX "automation_templates_category_idx" ON "automation_templates"("category");
CREATE INDEX "automation_templates_useCount_idx" ON "automation_templates"("useCount");
CREATE INDEX "automation_templates_rating_idx" ON "automation_templates"("rating");
CREATE INDEX "automation_templates_isOfficial_idx" ON "automation_templates"("isOfficial");

CREATE UNIQUE INDEX "integration_credentials_userId_provider_credentialName_key" ON "integration_credentials"("userId", "provider", "credentialName");
CREATE INDEX "integration_credentials_orgId_idx" ON "integration_credentials"("orgId");
CREATE INDEX "integration_credentials_userId_isActive_idx" ON "integration_credentials"("userId", "isActive");

-- AddForeignKeys
ALTER TABLE "automations" ADD CONSTRAINT "automations_orgId_fkey" FOREIGN KEY ("orgId") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "automations" ADD CONSTRAINT "automations_createdById_fkey" FOREIGN KEY ("createdById") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "workflow_executions" ADD CONSTRAINT "workflow_executions_automationId_fkey" FOREIGN KEY ("automationId") REFERENCES "automations"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "workflow_executions" ADD CONSTRAINT "workflow_executions_orgId_fkey" FOREIGN KEY ("orgId") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "workflow_triggers" ADD CONSTRAINT "workflow_triggers_automationId_fkey" FOREIGN KEY ("automationId") REFERENCES "automations"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "workflow_triggers" ADD CONSTRAINT "workflow_triggers_orgId_fkey" FOREIGN KEY ("orgId") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "integration_credentials" ADD CONSTRAINT "integration_credentials_userId_fkey" FOREIGN KEY ("userId") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "integration_credentials" ADD CONSTRAINT "integration_credentials_orgId_fkey" FOREIGN KEY ("orgId") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
