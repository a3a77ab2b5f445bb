"""Who gets which version: aliases, and the schedules that put them back without us."""
