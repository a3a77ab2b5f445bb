"""What may go to production, and through which approval."""
