"""Reads, decides, and returns frozen values and write plans; knows no framework, clock or driver."""
