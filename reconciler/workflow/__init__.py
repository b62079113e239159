"""An n8n workflow as a document: normal form, managed entry, bindings, checks, differences. Pure."""
