"""HTTP in and out: the native API, the device API, errors, health."""
