"""The API service: what is reached over HTTP. It stands on `fasttrack` and knows no other service."""
