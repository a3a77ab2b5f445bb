"""The AWS services of the local cloud but Lambda: moto, corrected where the pipeline would notice the difference."""
