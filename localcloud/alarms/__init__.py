"""CloudWatch's alarm evaluation, which moto lacks: reads metrics, sets states, sends the notifications."""
