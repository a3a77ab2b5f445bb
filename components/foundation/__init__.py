"""Scope `foundation`: what an administrator sets up, and CI can use but not change."""
