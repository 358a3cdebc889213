"""The push server."""
