"""What to record next: how much a posterior would shrink, setting by setting."""
