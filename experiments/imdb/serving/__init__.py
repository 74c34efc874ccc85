"""A trained run behind a loopback address: a page that reads as one writes, and an endpoint that answers in batches."""
