"""Keeps valid Amazon ECR credentials in Kubernetes Secrets."""

__version__ = "1.0.0.dev0"
