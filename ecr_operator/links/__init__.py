"""The Secrets that service accounts name."""
