"""Security properties of every stack, as rules over what Pulumi is about to make: tests and a policy pack run them."""
