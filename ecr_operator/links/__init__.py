"""Links: ServiceAccounts whose pods pull with or mount a generated Secret (`link_service_accounts`)."""
