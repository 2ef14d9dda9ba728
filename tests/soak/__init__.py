"""A storm of faults and actions over the real program on real hosts, and what must hold all the same."""
