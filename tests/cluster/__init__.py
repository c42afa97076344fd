"""The operator as a black box: a real process, a real API server, a local AWS."""
