"""What was counted, and every way to take it away."""
