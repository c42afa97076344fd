"""Keeps registry credentials for Amazon ECR alive in Kubernetes Secrets."""

__version__ = "1.0.0.dev0"
