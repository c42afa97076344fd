"""Tokens that stay alive, and an AWS that is asked no more than is needed."""
