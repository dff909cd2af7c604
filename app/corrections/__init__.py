"""What humans changed, and what that does to a count."""
