DROP TABLE IF EXISTS integration_credentials CASCADE;
DROP TABLE IF EXISTS automation_templates CASCADE;
DROP TABLE IF EXISTS workflow_triggers CASCADE;
DROP TABLE IF EXISTS workflow_executions CASCADE;
DROP TABLE IF EXISTS automations CASCADE;

DROP TYPE IF EXISTS IntegrationProvider;
DROP TYPE IF EXISTS TemplateCategory;
DROP TYPE IF EXISTS TriggerType;
DROP TYPE IF EXISTS ExecutionStatus;
DROP TYPE IF EXISTS AutomationTrigger;
