"""The script for a real cluster and a real AWS account, and its test without them."""
