"""The AWS services of the local cloud, all but Lambda: moto, corrected where the pipeline would notice the difference."""
