"""GitHub of the local cloud: the part of the REST API that the real provider and the releaser call, in memory."""
