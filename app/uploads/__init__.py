"""What people send: images, checked and stored."""
