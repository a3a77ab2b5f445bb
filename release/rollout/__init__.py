"""Changes an environment: promotion, canary, rollback, and what people do between releases."""
