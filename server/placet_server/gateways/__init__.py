"""What carries text and speech to people: plug-ins of the entry-point group ``placet.gateways``."""
