"""What a person brings along: URIs and pictures of QR codes."""
