"""HTTP in: webhooks, events, the API, health. Not here: what runs because of them (`runtime`)."""
