"""The seed's enum types and their labels."""

from __future__ import annotations

from reconciler.store.types import enum

AUTOMATION_TRIGGER = enum("AutomationTrigger", "WEBHOOK", "SCHEDULE", "EVENT", "MANUAL", "API")

EXECUTION_STATUS = enum(
    "ExecutionStatus", "QUEUED", "RUNNING", "SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"
)

TRIGGER_TYPE = enum(
    "TriggerType",
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
)

TEMPLATE_CATEGORY = enum(
    "TemplateCategory",
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
)

INTEGRATION_PROVIDER = enum(
    "IntegrationProvider",
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
)
