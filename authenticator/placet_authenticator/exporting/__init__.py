"""What a person takes along: a soft token as the URI and the QR code that other authenticators read."""
