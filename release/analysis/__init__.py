"""Verdicts over a release: samples, probes, alarms, and the watch over them."""
