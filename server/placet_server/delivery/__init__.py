"""What leaves the server by itself: pushes, webhooks, live items."""
