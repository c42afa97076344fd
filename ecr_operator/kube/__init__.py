"""The Kubernetes adapter: transport, list-watch, apply, status, events."""
