"""A small AWS Lambda for the local cloud: the control plane, function URLs, and sandboxes that run the real zips.

It is reached only through ``AWS_ENDPOINT_URL_LAMBDA``; its state is kept in memory and is gone when it ends.
"""
