"""What server and device must agree on: no IO, no clock, no randomness."""
