"""The person on call: how they are told, and what they are told to do."""
