"""The notifier service: what leaves over HTTP. It stands on `fasttrack` and knows no other service."""
