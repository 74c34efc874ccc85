"""The server: a page that shows predictions while you write, and an endpoint that answers in batches."""
