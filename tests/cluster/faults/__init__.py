"""What the operator lives through: the way to the API server, and the server itself, at their worst."""
