"""The local cloud: AWS, GitHub and a news service on loopback, good enough to rehearse every promotion and rollback."""
