"""A stand-in for the AWS provider plugin of Pulumi: real AWS calls by boto3, strict where the real provider is.

Started by the engine as `python -m localcloud.aws_provider [ENGINE_ADDRESS]`. What it takes and what a change replaces
comes from `aws-facts.json`; the AWS calls of each resource type stand in the module of its service.
"""
