"""The clouds that the releaser talks to: AWS by boto3, GitHub by its REST API."""
