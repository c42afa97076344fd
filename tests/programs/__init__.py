"""The operator's Secrets in the hands of the programs that they are made for."""
