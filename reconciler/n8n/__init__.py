"""HTTP to n8n: the client, what its answers mean, and facts about the instance."""
