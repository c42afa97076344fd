"""Whose a Secret is: other people's are never touched, v0.6.0's are adopted, ours are defended."""
