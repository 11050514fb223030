"""What deploy/ makes for other machines."""
