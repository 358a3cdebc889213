"""Keys at rest: the master key's tree, sealing, signing, the Merkle log."""
