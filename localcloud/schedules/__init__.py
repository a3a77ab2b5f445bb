"""Fires the schedules of EventBridge Scheduler, which moto keeps and never runs."""
