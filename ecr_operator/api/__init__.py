"""What users write and what it means: the kinds, the checked spec, reasons and errors. Pure."""
