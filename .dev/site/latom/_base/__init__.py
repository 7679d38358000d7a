"""What families share: backend, arrays, rows, checks, history, and what estimators need."""
