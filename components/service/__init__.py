"""Scope `service`: what CI deploys, from the items table to the alarms."""
