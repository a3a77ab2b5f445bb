"""THE PROGRAM: what exists in AWS and GitHub. Imports nothing here, so that `components.naming` stays pure."""
