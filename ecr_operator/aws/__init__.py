"""The AWS adapter: who we are, and the call to ECR."""
